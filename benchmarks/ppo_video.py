"""One episode of an agent inside the learned world, and the same episode in the game, side by side in one video.

    python benchmarks/ppo_video.py --agent benchmarks/agents/ppo_detour --dataset FILE --episode 3 --out episode.mp4

The agent plays in either world by itself, with the most likely macro actions. A picture that has ended stays. With
``--sheet FILE.png`` the last frame of every step is written too, a row per world. ``--scan`` names the scan of the
episode's map, in which the learned world plays then.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from li_env import View
from li_env.accel.device import on_host
from li_env.agents.base import ACTION_SPACE, Agent
from li_env.agents.registry import make_agent
from li_env.env import LightInteractionEnv
from li_env.recording import write_video
from li_env.rollouts import FinishedEpisode, play_episodes
from li_env.worlds.registry import resolve_device

SCALE, BAR = 4, 28  # pixels of the picture per pixel of a frame, height of the line of text


class Filming:
    """Agent that answers as another one does and keeps the frames of every step.

    Attributes:
        frames: lists of new frames, uint8 [n, H, W, 3], one per step before the last one.
        distances: to the goal, in length units, at the same times.
    """

    def __init__(self, actor: Agent) -> None:
        self._actor = actor
        self.frames: list[np.ndarray] = []
        self.distances: list[float] = []

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """Answer the one view."""
        for view in views:
            self.add(view.state, float(view.info["distance_to_goal"]))
        return self._actor.act(views)

    def add(self, state: Any, distance: float) -> None:
        """Keep the frames that the last step made."""
        if state.new_frames:
            self.frames.append(np.array(on_host(state.frames[-state.new_frames :])))
            self.distances.append(distance)


def film(
    agent: str, world: str, arguments: argparse.Namespace
) -> tuple[list[list[np.ndarray]], FinishedEpisode, float]:
    """Play the episode in one world; return its captioned pictures by step, the episode, frames per second."""
    learned = world != "freedoom_game"
    env = LightInteractionEnv(
        world,
        arguments.preset if learned else "off",
        ACTION_SPACE,
        "frame",
        device=arguments.device,
        task=arguments.task,
        dataset=arguments.dataset,
        scan=arguments.scan if learned else None,
    )
    filming = Filming(make_agent(agent, env, greedy=True, device=arguments.device))
    (episode,) = play_episodes(env, filming.act, [{"episode": arguments.episode}], max_steps=arguments.max_steps)
    filming.add(episode.last, episode.measures["distance_to_goal"])
    pictures = []
    for step, (frames, distance) in enumerate(zip(filming.frames, filming.distances, strict=True)):
        pictures.append([picture(frame, f"{world}: step {step}, goal {distance:.1f} m") for frame in frames])
    ended = "success" if episode.measures["success"] else "no success"
    pictures.append([picture(filming.frames[-1][-1], f"{world}: {ended}, SPL {episode.measures['spl']:.2f}")])
    fps = env.world.spec.fps
    env.close()
    return pictures, episode, fps


def picture(frame: np.ndarray, text: str) -> np.ndarray:
    """Enlarge a frame and put a line of text above it."""
    height, width = frame.shape[0] * SCALE, frame.shape[1] * SCALE
    image = Image.new("RGB", (width, height + BAR), "white")
    image.paste(Image.fromarray(frame).resize((width, height)), (0, BAR))
    ImageDraw.Draw(image).text((8, 4), text, "black", ImageFont.load_default(18))
    return np.asarray(image)


def contact_sheet(films: Sequence[Sequence[Sequence[np.ndarray]]], path: Path) -> None:
    """Write the last frame of every step, half as large, a row per world; rows that end early are white after that."""
    rows = [[Image.fromarray(pictures[-1]).reduce(2) for pictures in steps] for steps in films]
    width, height = rows[0][0].size
    sheet = Image.new("RGB", (width * max(map(len, rows)), height * len(rows)), "white")
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            sheet.paste(image, (x * width, y * height))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def main(words: Sequence[str] | None = None) -> None:
    """Play in both worlds, join, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", required=True, help="folder of an agent, or the name of a scripted one")
    parser.add_argument("--dataset", type=Path, help="navigation episodes; the world's own by default")
    parser.add_argument("--episode", type=int, default=0)
    parser.add_argument("--task", default="pointgoal", choices=["pointgoal", "imagegoal"])
    parser.add_argument("--preset", default="all")
    parser.add_argument("--scan", type=Path, help="scan of the episode's map")
    parser.add_argument("--max-steps", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("outputs/ppo_episode.mp4"))
    parser.add_argument("--sheet", type=Path, help="PNG of the last frame of every step")
    arguments = parser.parse_args(words)
    arguments.device = resolve_device(arguments.device)
    films: list[list[list[np.ndarray]]] = []
    for world in ("freedoom", "freedoom_game"):
        pictures, episode, fps = film(arguments.agent, world, arguments)
        films.append(pictures)
        print(f"{world}: {len(episode.actions)} steps, success {episode.measures['success']:.0f}")
    if arguments.sheet is not None:
        contact_sheet(films, arguments.sheet)
    flat = [[picture for step in steps for picture in step] for steps in films]
    length = max(map(len, flat))
    held = [[*pictures, *[pictures[-1]] * (length - len(pictures))] for pictures in flat]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_video(arguments.out, [np.concatenate(pair, axis=1) for pair in zip(*held, strict=True)], fps)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
