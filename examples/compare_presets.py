"""Drive the same actions under two presets: one video with both side by side, one table of what each chunk cost.

Run: python examples/compare_presets.py --presets off all --out outputs/compare
"""

import argparse
import time
from pathlib import Path

import gymnasium
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from li_env import Action, tools

# The second half sees again what the first half saw.
ACTIONS = [Action.FORWARD] * 2 + [Action.TURN_RIGHT] * 7 + [Action.TURN_LEFT] * 7
WINDOW, RETRIEVED, CURRENT, REST = "#7fb2d9", "#e8c98c", "#d4574e", "#e3e3e3"
SIZE, PANEL = (512, 384), 150  # pixels of a shown frame, height of the plan below it


def drive(preset, actions, world):
    """Play the actions; return the frames, plan and seconds of every chunk."""
    env = gymnasium.make("LightInteraction/Explore-v0", world=world, preset=preset).unwrapped
    env.reset(seed=0)
    chunks = []
    for action in actions:
        begun = time.perf_counter()
        observation, _, _, truncated, info = env.step(action)
        seconds = time.perf_counter() - begun
        chunks.append((observation[-info["new_frames"] :], env.plan, seconds))
        if truncated:
            break
    fps = env.world.spec.fps
    env.close()
    return chunks, fps


def panel(preset, plan, seconds, latents):
    """Draw the plan of a chunk: words, and one cell per latent of the episode."""
    image = Image.new("RGB", (SIZE[0], PANEL), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(16)
    steps, context = len(plan["sigmas"]) - 1, f"{len(plan['temporal'])} recent + {len(plan['memory'])} retrieved"
    draw.text((12, 8), f"{preset}: chunk {plan['chunk']}, {plan['regime']}", "black", ImageFont.load_default(20))
    draw.text((12, 38), f"context {context} latents, {steps} denoising steps", "black", font)
    draw.text((12, 62), f"attention {plan['attention']['kind']}, {1000 * seconds:.0f} ms", "black", font)
    width = (SIZE[0] - 24) / latents
    made = range(max(plan["temporal"], default=-1) + 1, latents)[:4]
    for index in range(latents):
        colour = WINDOW if index in plan["temporal"] else RETRIEVED if index in plan["memory"] else REST
        box = (12 + index * width, 96, 12 + (index + 1) * width - 1, 118)
        draw.rectangle(box, fill=CURRENT if index in made else colour if index < made.start else "white")
    for x, colour, word in ((12, WINDOW, "recent"), (112, RETRIEVED, "retrieved"), (232, CURRENT, "being made")):
        draw.rectangle((x, 126, x + 14, 140), fill=colour)
        draw.text((x + 20, 123), word, "black", font)
    return np.asarray(image)


def side_by_side(runs):
    """Join the frames of every preset, with the plan of their chunk below."""
    latents = max(plan["temporal"][-1] for _, plan, _ in next(iter(runs.values())) if plan["temporal"]) + 5
    columns = []
    for preset, chunks in runs.items():
        column = []
        for frames, plan, seconds in chunks:
            below = panel(preset, plan, seconds, latents)
            column += [np.concatenate([np.asarray(Image.fromarray(frame).resize(SIZE)), below]) for frame in frames]
        columns.append(column)
    return [np.concatenate(frames, axis=1) for frames in zip(*columns, strict=True)]


def decibels(frames, reference):
    """Compare two chunks: PSNR of all their pixels together, in dB."""
    return tools.pooled_psnr(tools.psnr(torch.from_numpy(frames), torch.from_numpy(reference)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--presets", nargs="+", default=["off", "all"], help="the first one is the reference")
    parser.add_argument("--world", default="freedoom")
    parser.add_argument("--chunks", type=int, default=len(ACTIONS))
    parser.add_argument("--out", type=Path, default=Path("outputs/compare"))
    arguments = parser.parse_args()

    runs = {}
    for preset in arguments.presets:
        runs[preset], fps = drive(preset, ACTIONS[: arguments.chunks], arguments.world)
    reference = runs[arguments.presets[0]]

    print("chunk  " + "".join(f"{f'{preset}: regime, context, steps, ms, PSNR':<46}" for preset in runs))
    for number, row in enumerate(zip(*runs.values(), strict=True)):
        cells = [
            f"{plan['regime']:<8} {len(plan['temporal']):>2} + {len(plan['memory'])} {len(plan['sigmas']) - 1:>3} "
            f"{1000 * seconds:>7.0f} {decibels(frames, reference[number][0]):>6.1f} dB"
            for frames, plan, seconds in row
        ]
        print(f"{number:>5}  " + "".join(f"{cell:<46}" for cell in cells))
    for preset, chunks in runs.items():
        frames, seconds = sum(len(each) for each, _, _ in chunks), sum(each for _, _, each in chunks)
        print(f"{preset}: {frames} frames in {seconds:.1f} s, {frames / seconds:.1f} frames/s")

    arguments.out.mkdir(parents=True, exist_ok=True)
    tools.write_video(arguments.out / "side_by_side.mp4", side_by_side(runs), fps)
    print(f"wrote {arguments.out / 'side_by_side.mp4'}")
