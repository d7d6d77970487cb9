"""Figures about HY-WorldPlay and Matrix-Game-3.0."""

from __future__ import annotations

import statistics
from typing import Any

from figure_tools import Recorded, figure, fixed, paragraph, span, table, whole

HY, HY_VAE, MATRIX = "hy_worldplay_h200.json", "hy_worldplay_vae_h200.json", "matrix_game_3_h200.json"
REGIMES = {"explore": "exploring", "revisit": "revisiting", "any": "any"}
ATTENTION = {"block_sparse": "block sparse"}


def matrix_clip(recorded: Recorded, preset: str, regime: str) -> dict[str, Any]:
    """Return the row of a steady chunk."""
    return recorded.pick(MATRIX, "steady", preset=preset, regime=regime)


def times(recorded: Recorded, file: str, key: str, preset: str) -> tuple[float, float]:
    """Milliseconds of a chunk: exploring and in a revisit, the same where the file has one row for both."""
    found = {row["regime"]: row[key] for row in recorded.get(file, "steady") if row["preset"] == preset}
    return found["explore"], found.get("revisit", found["explore"])


@figure("hy.table")
def hy_table(recorded: Recorded) -> str:
    """Tabulate the original, the release, and every preset."""
    rows = [
        (row["what"], *hy_cells({"floor_ms": None, "context_ms": None, "step_ms": None, **row}))
        for row in recorded.get("published.json", "hy_worldplay", "rows")
    ]
    steady = recorded.get(HY, "steady")
    alone = {row["preset"] for row in steady if sum(other["preset"] == row["preset"] for other in steady) == 1}
    for row in steady:
        regime = "any" if row["preset"] in alone else row["regime"]
        rows.append((f"`{row['preset']}`", *hy_cells({**row, "regime": regime})))
    header = ("preset", "chunk", "context latents", "steps", "attention", "ms per chunk", "context pass", "one step")
    return table((*header, "floor", "peak, GiB"), rows)


def hy_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Cells after the preset."""
    words = (REGIMES[row["regime"]], str(row["context"]), str(row["steps"]))
    times = (fixed(row[key], 0) for key in ("chunk_ms", "context_ms", "step_ms", "floor_ms"))
    return (*words, ATTENTION.get(row["attention"], row["attention"]), *times, fixed(row["peak_gib"]))


@figure("ceilings")
def ceilings(recorded: Recorded) -> str:
    """Say which ceilings the floors are computed with."""
    found = recorded.get(HY, "ceilings_tflops")
    return f"{found['matrix products']:.0f} (products) and {found['attention']:.0f} TFLOP/s (attention)"


@figure("hy.rollouts")
def hy_rollouts(recorded: Recorded) -> str:
    """Whole trajectories beside the original."""
    original = recorded.get("published.json", "hy_worldplay", "rows", 0, "chunk_ms") / 1000
    rows, done = [], []
    for row in recorded.get(HY, "rollouts"):
        if row["trajectory"] not in done:
            done.append(row["trajectory"])
            off, full = (
                recorded.pick(HY, "rollouts", trajectory=row["trajectory"], preset=preset) for preset in ("off", "all")
            )
            chunks = len(off["chunks"])
            seconds = (f"{value:.1f} s" for value in (off["generate_s"], full["generate_s"]))
            rows.append((row["trajectory"], *seconds, fixed(full["frames_per_second"]), f"{chunks * original:.1f} s"))
    header = ("trajectory", "`off`", "`all`", "frames/s of `all`")
    return table((*header, f"{chunks} chunks at the original's steady {original:.2f} s"), rows)


@figure("hy.kernels")
def hy_kernels(recorded: Recorded) -> str:
    """Say what a chunk is made of, and how long the first start takes."""

    def parts(preset: str) -> str:
        times = recorded.get(HY, "kernels", preset)
        named = [f"{name} {whole(value)}" for name, value in times.items() if "all kernels" not in name
                 and "wall" not in name and value >= 5]  # fmt: skip
        return ", ".join(named)

    return paragraph(
        f"""What a chunk is made of, in ms of kernels (5 or more): `off` {parts("off")}; `all` revisiting
        {parts("all")}. First start with compilation {recorded.get(HY, "first_use", "start"):.0f} s."""
    )


@figure("hy.decoding")
def hy_decoding(recorded: Recorded) -> str:
    """Say how long the decoder takes."""
    row = recorded.pick(HY_VAE, "decode", episodes=1)
    tflop = sum(layer["tflop"] * layer["times"] for layer in recorded.get(HY_VAE, "layers"))
    kernels = recorded.get(HY_VAE, "kernels_ms")
    products = recorded.get(HY, "ceilings_tflops", "matrix products")
    return paragraph(
        f"""Decoding (`hy_worldplay_vae_h200.py`, float16, published sizes): {row["chunk_ms"]:.0f} ms per chunk of
        {row["frames"]} frames, of which {kernels["frame_conv_kernel"]:.0f} are convolutions ({tflop:.0f} TFLOP:
        {tflop / products:.2f} s at {products:.0f} TFLOP/s) and {kernels["Memcpy DtoH (Device -> Pageable)"]:.0f} the
        copy to the host; with the library's convolutions {row["chunk_ms_torch_convolutions"]:.0f} ms."""
    )


@figure("hy.weights")
def hy_weights(recorded: Recorded) -> str:
    """GiB of the transformer on the GPU."""
    return fixed(recorded.get(HY, "weights_gib"))


@figure("matrix.table")
def matrix_table(recorded: Recorded) -> str:
    """Tabulate the original and every preset."""
    names = ("as the original computes it, all in bfloat16", "the same with float32 where it has it")
    frames, rows = 40, []
    for name, row in zip(names, recorded.get(MATRIX, "original"), strict=True):
        rate = fixed(1000 * frames / row["clip_ms"], 0)
        rows.append((name, "", "5", "3", "dense", fixed(row["clip_ms"], 0), rate, "", fixed(row["peak_gib"])))
    for row in (steady := recorded.get(MATRIX, "steady")):
        alone = sum(other["preset"] == row["preset"] for other in steady) == 1
        words = (
            f"`{row['preset']}`",
            REGIMES["any" if alone else row["regime"]],
            str(row["memory"]),
            str(row["steps"]),
        )
        words = (*words, ATTENTION.get(row["attention"], row["attention"]))
        numbers = (fixed(row[key], 0) for key in ("clip_ms", "frames_per_second", "floor_ms"))
        rows.append((*words, *numbers, fixed(row["peak_gib"])))
    header = ("preset", "clip", "memory latents", "steps", "attention", "ms per clip", "frames/s", "floor", "peak, GiB")
    return table(header, rows)


@figure("matrix.text")
def matrix_text(recorded: Recorded) -> str:
    """Speed-ups, and whole rollouts."""
    off = matrix_clip(recorded, "off", "explore")["clip_ms"]
    first, back = (matrix_clip(recorded, "all", regime)["clip_ms"] for regime in ("explore", "revisit"))
    original = recorded.pick(MATRIX, "original", products="bfloat16")["clip_ms"]
    plain, full = (
        recorded.pick(MATRIX, "rollouts", trajectory="left-right", preset=name) for name in ("off", "all")
    )  # fmt: skip
    later = statistics.median(clip["generate_ms"] for clip in full["clips"] if clip["regime"] == "revisit")
    text = f"""`all` against `off`: {off / first:.2f} times as fast exploring, {off / back:.2f} revisiting; against the
        original in bfloat16: {original / first:.2f} and {original / back:.2f}. Through the
        engine, {len(full["clips"])} clips, three of them warm-up, take {plain["generate_s"]:.1f} s under `off` and
        {full["generate_s"]:.1f} s under `all`"""
    if "provenance" not in recorded.get(MATRIX):
        text += f" (an earlier run, in which a steady clip of `all` took {100 * (later / back - 1):.0f} % longer)"
    return paragraph(text + ".")


@figure("speed")
def speed(recorded: Recorded) -> str:
    """Format the README's table."""
    from figures_freedoom import every_host, one_world_cpu

    (plain, _), own = (times(recorded, HY, "chunk_ms", preset) for preset in ("off", "all"))
    clips = [matrix_clip(recorded, *kind)["clip_ms"] / 1000
             for kind in (("off", "explore"), ("all", "explore"), ("all", "revisit"))]  # fmt: skip
    hosts, cpu = every_host(recorded), one_world_cpu(recorded)
    rows = [
        (
            "`hy_worldplay`, 480 x 832, transformer",
            "one H200",
            f"{plain / 1000:.1f} s per 16 frames",
            f"{own[0] / 1000:.2f} s exploring, {own[1] / 1000:.2f} s coming back",
        ),
        (
            "`matrix_game_3`, 704 x 1280, transformer",
            "one H200",
            f"{clips[0]:.2f} s per 40 frames",
            f"{clips[1]:.2f} s exploring, {clips[2]:.2f} s coming back",
        ),
        (
            "`freedoom`, 512 envs at once",
            f"one H200 ({len(hosts['all'])} hosts)",
            *(f"{span(hosts[preset])} frames/s" for preset in ("off", "all")),
        ),
        ("`freedoom`, one env", "two CPU cores", *(f"{cpu[preset]:.1f} frames/s" for preset in ("off", "all"))),
    ]
    return table(("world", "machine", "plain model (`off`)", "accelerated (`all`, the default)"), rows)
