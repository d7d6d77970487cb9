"""``li-env rollout``: a trajectory in, a video out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from li_env.accel.config import AccelConfig
    from li_env.accel.world import WorldModel
    from li_env.rollout import Rollout


@dataclass(frozen=True)
class Arguments:
    """Drive a world along a camera trajectory; write video.mp4, contact_sheet.png and report.json."""

    trajectory: str
    """Commands NAME-COUNT separated by commas. Names: w s a d (move), left right up down (look); COUNT in latents."""
    out: Path
    """Folder for the results; made if needed, files of the same name are replaced."""
    world: str = "freedoom"
    """World by name (see li-env worlds)."""
    preset: str = "all"
    """Acceleration preset: name, YAML file or {key: value, ...}."""
    compare: str | None = None
    """A second preset for the same rollout: adds compare.mp4 (both side by side) and PSNR in dB to the report."""
    seed: int = 0
    """Seed of the noise, and of the start frame unless --start or --image is given."""
    image: Path | None = None
    """Own start image (PNG, JPEG, WebP), scaled to cover the frame and cropped around its centre."""
    start: int | None = None
    """Index of one of the world's start frames."""
    prompt: str = ""
    """Text prompt, for worlds that use one."""
    device: str = "auto"
    """auto, cpu or cuda."""


def run(arguments: Arguments) -> None:
    """Roll out, write, and print the summary."""
    from li_env.accel.camera import parse_trajectory
    from li_env.accel.config import AccelConfig
    from li_env.errors import check_folder
    from li_env.validation import MOST_SEED, check_text, check_whole
    from li_env.worlds.registry import load_world

    # Everything that can be wrong is looked at before anything takes long or is written.
    check_whole("seed", arguments.seed, 0, MOST_SEED)
    check_text("prompt", arguments.prompt, empty=True)
    configs = [AccelConfig.of(each) for each in (arguments.preset, arguments.compare) if each is not None]
    check_folder("out", arguments.out, ("video.mp4", "contact_sheet.png", "report.json", "compare.mp4"))
    world = load_world(arguments.world, device=arguments.device)
    motions = parse_trajectory(arguments.trajectory, world.spec.motion)
    image, pose, start = _start_view(arguments, world)
    rollouts = _roll_out(world, configs, image, motions, arguments, pose)
    report = _report(rollouts, [config.name for config in configs], arguments, start)
    _write(arguments.out, rollouts, report, world.spec.fps)
    _print(report, arguments.out)


def _start_view(arguments: Arguments, world: WorldModel) -> tuple[np.ndarray, np.ndarray, int]:
    """(image, pose, start index or -1), exactly as the environment picks them."""
    from li_env.env import LightInteractionEnv
    from li_env.images import read_image

    if arguments.image is not None and arguments.start is not None:
        raise ValueError("--image and --start exclude each other")
    options: dict[str, Any] = {}
    if arguments.image is not None:
        options["image"] = read_image(arguments.image)
    elif arguments.start is not None:
        options["start"] = arguments.start
    env = LightInteractionEnv(world, preset=arguments.preset, observation="frame")
    _, info = env.reset(seed=arguments.seed, options=options)
    return env.last_frames()[-1], info["pose"], info["start_index"]


def _roll_out(
    world: WorldModel,
    configs: list[AccelConfig],
    image: np.ndarray,
    motions: tuple[Any, ...],
    arguments: Arguments,
    pose: np.ndarray,
) -> list[Rollout]:
    from li_env.cli._output import bars_while_it_lasts
    from li_env.rollout import fill_chunks, roll_out

    chunks = len(fill_chunks(world.spec, motions)[0])
    rollouts = []
    with bars_while_it_lasts() as progress:
        for config in configs:
            task = progress.add_task(f"{arguments.world}, preset {config.name}", total=chunks)
            rollouts.append(
                roll_out(
                    world,
                    config,
                    image,
                    motions,
                    seed=arguments.seed,
                    prompt=arguments.prompt,
                    pose=pose,
                    on_chunk=lambda task=task: progress.advance(task),  # type: ignore[misc]
                )
            )
    return rollouts


def _report(rollouts: list[Rollout], presets: list[str], arguments: Arguments, start: int) -> dict[str, Any]:
    import torch

    from li_env.metrics import pooled_psnr, psnr

    main = rollouts[0]
    report = {**main.report, "trajectory": arguments.trajectory, "start_index": start}
    if len(rollouts) == 2:
        other = rollouts[1]
        ends = [end for end in main.chunk_ends if end <= len(other.frames)]
        begins = [0, *ends[:-1]]
        pairs = [(main.frames[a:b], other.frames[a:b]) for a, b in zip(begins, ends, strict=True)]
        decibels = [psnr(torch.from_numpy(first), torch.from_numpy(second)) for first, second in pairs]
        report["compare"] = {
            "preset": presets[1],
            "psnr_db": [round(pooled_psnr(chunk), 6) for chunk in decibels],
            "pooled_psnr_db": round(pooled_psnr(torch.cat(decibels)), 6),
            "report": other.report,
        }
    return report


def _write(folder: Path, rollouts: list[Rollout], report: dict[str, Any], fps: float) -> None:
    """All files, or none."""
    import numpy as np

    from li_env.files import atomic_folder, write_json
    from li_env.recording import contact_sheet, write_png, write_video

    main = rollouts[0]
    with atomic_folder(folder) as temporary:
        write_video(temporary / "video.mp4", main.frames, fps)
        # The start frame and the last frame of every chunk: the whole way on one sheet.
        shown = main.frames[[0, *[end - 1 for end in main.chunk_ends]]]
        write_png(temporary / "contact_sheet.png", contact_sheet(shown, columns=6))
        if len(rollouts) == 2:
            length = min(len(rollout.frames) for rollout in rollouts)
            both = np.concatenate([rollout.frames[:length] for rollout in rollouts], axis=2)
            write_video(temporary / "compare.mp4", both, fps)
        write_json(temporary / "report.json", report)


def _print(report: dict[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("chunk", "regime", "context", "steps", "motion", "plan", "generate", "decode")
    table.caption = "context: recent + retrieved latents; stages in milliseconds"
    for chunk in report["chunks"]:
        table.add_row(
            str(chunk["chunk"]),
            chunk["regime"],
            f"{len(chunk['temporal'])} + {len(chunk['memory'])}",
            str(chunk["steps"]),
            *[f"{chunk['milliseconds'][stage]:.1f}" for stage in ("motion", "plan", "generate", "decode")],
        )
    console = Console()
    console.print(table)
    totals = report["totals"]
    console.print(
        f"{totals['frames']} frames in {totals['milliseconds']['all'] / 1000:.1f} s: "
        f"{totals['frames_per_second']:.1f} frames/s on {report['device']}, preset {report['preset']}"
    )
    if totals["degenerated"]:
        console.print("the world degenerated (numbers that are not finite): the rollout ends there")
    if report["note"]:
        console.print(report["note"])
    if "compare" in report:
        compare = report["compare"]
        decibels = f"{compare['pooled_psnr_db']:.1f} dB pooled PSNR"
        console.print(f"preset {compare['preset']} against {report['preset']}: {decibels}")
    console.print(f"wrote {', '.join(sorted(file.name for file in folder.iterdir()))} to {folder}", soft_wrap=True)
