"""Walk through one held-out place three times under the same actions: in the game, in the world, in a scan of it.

Builds a scan of the place from the game (needs the extra doom), and writes one video with the three side by side.

Run: python examples/grounded_place.py --out outputs/grounded
"""

import argparse
from pathlib import Path

import gymnasium
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from li_env import Action, Scan, tools

MAP_SEED = 10_000_005  # of the split for validation: no world has seen this map in training
VIEW = 40  # of the scan, where the walk begins
ACTIONS = [Action.FORWARD, *[Action.TURN_RIGHT] * 2, *[Action.FORWARD] * 2, *[Action.TURN_LEFT] * 2, Action.FORWARD]
SIZE, LABEL = (384, 288), 28  # pixels of a shown frame, height of the words above it


def walk(world, actions, **start):
    """Play the actions; return the start frame and every frame that came after it."""
    env = gymnasium.make("LightInteraction/Explore-v0", world=world).unwrapped
    observation, _ = env.reset(seed=0, options=start)
    frames = [observation[-1]]
    for action in actions:
        observation, _, _, truncated, info = env.step(action)
        frames += list(observation[-info["new_frames"] :])
        if truncated:
            break
    fps = env.world.spec.fps
    env.close()
    return frames, fps


def labelled(frame, words):
    """Draw a frame with words above it."""
    image = Image.new("RGB", (SIZE[0], SIZE[1] + LABEL), "white")
    image.paste(Image.fromarray(frame).resize(SIZE), (0, LABEL))
    ImageDraw.Draw(image).text((8, 4), words, "black", ImageFont.load_default(18))
    return np.asarray(image)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--map-seed", type=int, default=MAP_SEED)
    parser.add_argument("--view", type=int, default=VIEW, help="of the scan, where the walk begins")
    parser.add_argument("--spacing", type=float, default=2.5, help="metres between the spots of the scan")
    parser.add_argument("--headings", type=int, default=8, help="views per spot")
    parser.add_argument("--actions", type=int, default=len(ACTIONS))
    parser.add_argument("--out", type=Path, default=Path("outputs/grounded"))
    arguments = parser.parse_args()

    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "scan.npz"
    words = ["--spacing", str(arguments.spacing), "--headings", str(arguments.headings), "--out", str(file)]
    if tools.main(["scan", "build", "--map-seed", str(arguments.map_seed), *words]):
        raise SystemExit("the scan was not built")
    scan, actions = Scan.read(file), ACTIONS[: arguments.actions]
    view = arguments.view % len(scan.images)
    pose, image = scan.poses[view], scan.images[view]

    runs = {}
    runs["the game"], fps = walk(
        "freedoom_game", actions, image=image, pose=pose, prompt=f"map {arguments.map_seed}"
    )  # fmt: skip
    runs["the world alone"], _ = walk("freedoom", actions, image=image, pose=pose)
    runs[f"the world in a scan of {len(scan.images)} views"], _ = walk(
        "freedoom", actions, scan=scan, image=image, pose=pose
    )  # fmt: skip

    length = min(len(frames) for frames in runs.values())
    game = torch.from_numpy(np.stack(next(iter(runs.values()))[1:length]))
    for name, frames in list(runs.items())[1:]:
        decibels = tools.psnr(torch.from_numpy(np.stack(frames[1:length])), game)
        last = decibels[-4:].mean()
        print(f"{name}: {decibels.mean():.1f} dB to the game over {length - 1} frames, {last:.1f} at the end")
    rows = zip(*(frames[:length] for frames in runs.values()), strict=True)
    video = [
        np.concatenate([labelled(frame, name) for frame, name in zip(row, runs, strict=True)], axis=1) for row in rows
    ]
    tools.write_video(arguments.out / "game_world_scan.mp4", video, fps)
    tools.write_png(arguments.out / "game_world_scan.png", np.concatenate(video[:: max(1, length // 4)]))
    print(f"wrote {arguments.out / 'game_world_scan.mp4'} and a picture of it beside it")
