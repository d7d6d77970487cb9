"""``li-env rollout``: a trajectory in, a video out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from li_env.accel.config import AccelConfig
    from li_env.accel.geometry.camera import CameraMotion
    from li_env.accel.world import BaseWorld
    from li_env.accel.world_spec import WorldSpec
    from li_env.evaluation.drive import Rollout


@dataclass(frozen=True)
class Arguments:
    """Drive a world along a camera trajectory; write video.mp4, poses.npz, contact_sheet.png and report.json."""

    trajectory: str
    """Commands NAME-COUNT separated by commas. Names: w s a d (move), left right up down (look); COUNT in latents."""
    out: Path
    """Folder for the results; made if needed, files of the same name are replaced."""
    world: str = "freedoom"
    """World by name (see li-env worlds)."""
    preset: str = "all"
    """Acceleration preset: name, YAML file or {key: value, ...}."""
    compare: str | None = None
    """A second preset along the same path: adds compare.mp4 (both side by side) and PSNR in dB to the report."""
    seed: int = 0
    """Seed as in reset(seed=...): picks the noise, and the start frame unless --start or --image is given."""
    image: Path | None = None
    """Own start image (PNG, JPEG, WebP), scaled to cover the frame and cropped around its centre."""
    start: int | None = None
    """Index of one of the world's start frames."""
    scan: Path | None = None
    """Scan that the rollout takes place in: a folder or file of posed views (see li-env scan)."""
    view: int | None = None
    """View of the scan to begin at; drawn from the seed otherwise."""
    prompt: str | None = None
    """Text prompt, for worlds that use one, instead of the start frame's own."""
    device: str = "auto"
    """auto, cpu or cuda."""


def run(arguments: Arguments) -> None:
    """Roll out, write, and print the summary."""
    from li_env.accel.config import AccelConfig
    from li_env.accel.geometry.trajectory import parse_trajectory
    from li_env.files import check_folder
    from li_env.validation import MOST_SEED, check_text, check_whole
    from li_env.worlds.registry import load_world

    # All arguments are checked before anything takes long or is written.
    check_whole("seed", arguments.seed, 0, MOST_SEED)
    if arguments.prompt is not None:
        check_text("prompt", arguments.prompt, empty=True)
    configs = [AccelConfig.of(each) for each in (arguments.preset, arguments.compare) if each is not None]
    check_folder("out", arguments.out, ("video.mp4", "poses.npz", "contact_sheet.png", "report.json", "compare.mp4"))
    world = load_world(arguments.world, device=arguments.device)
    motions = parse_trajectory(arguments.trajectory, world.spec.motion)
    rollouts = _roll_out(world, configs, motions, arguments)
    report = _report(rollouts, configs, arguments)
    _write(arguments.out, rollouts, report, world.spec)
    _print(report, arguments.out)


def _options(arguments: Arguments) -> dict[str, Any]:
    """Return the reset options that the arguments ask for."""
    from li_env.images import read_image

    if arguments.image is not None and arguments.start is not None:
        raise ValueError("--image and --start exclude each other")
    options: dict[str, Any] = {}
    if arguments.image is not None:
        options["image"] = read_image(arguments.image)
    if arguments.start is not None:
        options["start"] = arguments.start
    for name in ("scan", "view", "prompt"):
        if getattr(arguments, name) is not None:
            options[name] = getattr(arguments, name)
    return options


def _roll_out(
    world: BaseWorld, configs: list[AccelConfig], motions: tuple[CameraMotion, ...], arguments: Arguments
) -> list[Rollout]:
    """Make the rollout, and the one to compare with along the path that the first one took."""
    from rich.console import Console
    from rich.progress import Progress

    from li_env.accel.runtime.engine import Engine
    from li_env.evaluation.camera_path import fill_chunks
    from li_env.evaluation.drive import begin, roll_out
    from li_env.evaluation.fixed_motion import FixedMotionWorld

    (begun,) = begin(Engine(world, configs[0]), [arguments.seed], [_options(arguments)])
    chunks = len(fill_chunks(world.spec, motions)[0])
    rollouts: list[Rollout] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for config in configs:
            task = progress.add_task(f"{arguments.world}, preset {config.name}", total=chunks)
            driven, path = (FixedMotionWorld(world), rollouts[0].motions) if rollouts else (world, motions)
            rollouts.append(
                roll_out(
                    driven,
                    config,
                    begun,
                    path,
                    arguments.seed,
                    on_chunk=lambda task=task: progress.advance(task),  # type: ignore[misc]
                )
            )
    return rollouts


def _report(rollouts: list[Rollout], configs: list[AccelConfig], arguments: Arguments) -> dict[str, Any]:
    report = {**rollouts[0].report, "trajectory": arguments.trajectory}
    if len(rollouts) == 2:
        report["compare"] = {
            "preset": configs[1].name,
            **_difference(rollouts, max(config.warmup_chunks for config in configs)),
            "report": rollouts[1].report,
        }
    return report


def _difference(rollouts: list[Rollout], warmup: int) -> dict[str, Any]:
    """Compute the PSNR between two rollouts as ``li-env bench`` reports it."""
    import numpy as np

    from li_env.evaluation.bench.quality import compare

    chunks = min(len(rollout.chunks) for rollout in rollouts)
    left_out = warmup if warmup < chunks else 0
    made, reference = (rollout.chunks[:chunks] for rollout in rollouts)
    found = compare(made, reference, left_out)
    return {
        "psnr": float(np.mean(found.psnr[left_out:])),
        "pooled_psnr": found.pooled_psnr,
        "psnr_by_chunk": list(found.psnr),
        "warmup_chunks": left_out,
        "note": "decibels; psnr: mean over frames of the PSNR of each; pooled_psnr: of the mean squared error over all "
        f"frames; the start frame and the first {left_out} chunks are left out, as in li-env bench",
    }


def _write(folder: Path, rollouts: list[Rollout], report: dict[str, Any], spec: WorldSpec) -> None:
    """Write all files, or none."""
    import numpy as np

    from li_env.files import atomic_folder, write_json
    from li_env.frames import intrinsics
    from li_env.recording import contact_sheet, write_png, write_video

    main = rollouts[0]
    with atomic_folder(folder) as temporary:
        write_video(temporary / "video.mp4", main.frames, spec.fps)
        # Frames with poses are a scan: li-env scan and Scan.read take the folder.
        lens = intrinsics(spec.focal, spec.frame_size)[[0, 1, 0, 1], [0, 1, 2, 2]]
        np.savez(temporary / "poses.npz", allow_pickle=False, poses=main.poses, intrinsics=lens)
        # The start frame and the last frame of every chunk: the whole rollout on one sheet.
        shown = main.frames[[0, *[end - 1 for end in main.chunk_ends]]]
        write_png(temporary / "contact_sheet.png", contact_sheet(shown, columns=6))
        if len(rollouts) == 2:
            length = min(len(rollout.frames) for rollout in rollouts)
            both = np.concatenate([rollout.frames[:length] for rollout in rollouts], axis=2)
            write_video(temporary / "compare.mp4", both, spec.fps)
        write_json(temporary / "report.json", report)


def _print(report: dict[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("chunk", "regime", "context", "steps", "motion", "plan", "generate", "decode")
    parts = ["temporal", "memory", *(["views"] if "scan" in report else [])]
    shown = "recent + retrieved latents + views" if "scan" in report else "recent + retrieved latents"
    table.caption = f"context: {shown}; stages in milliseconds"
    for chunk in report["chunks"]:
        table.add_row(
            str(chunk["chunk"]),
            chunk["regime"],
            " + ".join(str(len(chunk[part])) for part in parts),
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
        console.print(
            f"preset {compare['preset']} against {report['preset']}: PSNR {compare['psnr']:.1f} dB (mean over frames), "
            f"{compare['pooled_psnr']:.1f} dB pooled, after {compare['warmup_chunks']} chunks"
        )
    console.print(f"wrote {', '.join(sorted(file.name for file in folder.iterdir()))} to {folder}", soft_wrap=True)
