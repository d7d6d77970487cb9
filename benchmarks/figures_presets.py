"""Figures of docs/acceleration.md: what each preset saves, and what it costs."""

from __future__ import annotations

from figure_tools import Make, Recorded, figure, fixed, paragraph, signed, table, whole
from figures_freedoom import EVERY, PRESETS_CPU, PRESETS_GPU, bench_row
from figures_large_worlds import HY, MATRIX, times

REUSE = "freedoom_reuse.json"
PAPER_CPU = "freedoom_paper_cpu.json"
THREE_STEPS = "freedoom_three_steps_cpu.json"
PRESETS = ("off", "context", "cache", "sparse", "all", "paper")
EQUAL = 99.0
"""Decibels that equal frames count as in the file of `li-env bench`."""


def gains(recorded: Recorded, file: str, key: str, preset: str) -> tuple[float, float]:
    """Speed-up against ``off``: exploring and in a revisit."""
    plain, own = times(recorded, file, key, "off"), times(recorded, file, key, preset)
    return plain[0] / own[0], plain[1] / own[1]


def saves(preset: str) -> Make:
    """Make the figure of what a preset saves in HY-WorldPlay."""

    def make(recorded: Recorded) -> str:
        explore, revisit = gains(recorded, HY, "chunk_ms", preset)
        return f"{explore:.1f} / {revisit:.1f} times as fast"

    return make


def costs(preset: str) -> Make:
    """Make the figure of what a preset costs in freedoom."""

    def make(recorded: Recorded) -> str:
        if preset not in recorded.get(PRESETS_GPU, "settings", "presets"):
            return "not measured"
        psnr = bench_row(recorded, preset, file=PRESETS_GPU)["against_off"]["pooled_psnr"]
        return "nothing: equal frames" if psnr >= EQUAL else f"{psnr:.1f} dB"

    return make


for _name in PRESETS[1:]:
    figure(f"preset.saves.{_name}")(saves(_name))
    figure(f"preset.costs.{_name}")(costs(_name))


@figure("preset.times")
def preset_times(recorded: Recorded) -> str:
    """Tabulate the time of a chunk in every world, exploring and in a revisit."""
    rows = []
    for preset in PRESETS:
        cells = [
            " / ".join(fixed(each, 0) for each in times(recorded, file, key, preset))
            for file, key in ((HY, "chunk_ms"), (MATRIX, "clip_ms"))
        ]
        measured = preset in recorded.get(PRESETS_GPU, "settings", "presets")
        gain = bench_row(recorded, preset, file=PRESETS_GPU)["speed_up"]["median"] if measured else None
        rows.append((f"`{preset}`", *cells, fixed(gain, 2) if measured else "not measured"))
    header = ("preset", "`hy_worldplay`, ms per chunk", "`matrix_game_3`, ms per chunk", "`freedoom`, speed-up")
    return table(header, rows)


@figure("preset.quality")
def preset_quality(recorded: Recorded) -> str:
    """Quality of every preset in freedoom."""
    plain, rows = bench_row(recorded, "off", file=PRESETS_GPU), []
    for preset in recorded.get(PRESETS_GPU, "settings", "presets"):
        row = bench_row(recorded, preset, file=PRESETS_GPU)
        psnr = row["against_off"]["pooled_psnr"]
        against = "" if psnr is None else "equal" if psnr >= EQUAL else f"{psnr:.1f} dB"
        game, revisits = (row[key]["psnr"] - plain[key]["psnr"] for key in ("game", "revisits"))
        sharpness = row["game"]["sharpness"] - plain["game"]["sharpness"]
        changes = (f"{signed(game)} dB", f"{signed(revisits)} dB", signed(sharpness))
        rows.append((f"`{preset}`", against, *(changes if preset != "off" else ("", "", ""))))
    header = ("preset", "PSNR to `off`, pooled", "to the game, against `off`", "revisits, against `off`")
    return table((*header, "sharpness, against `off`"), rows)


def paths(recorded: Recorded) -> list[str]:
    """Camera paths of the rollouts on the GPU."""
    rows = recorded.get(PRESETS_GPU, "worlds", 0, "rows")
    return [name for name in dict.fromkeys(row["trajectory"] for row in rows) if name != EVERY]


@figure("preset.paper")
def preset_paper(recorded: Recorded) -> str:
    """Tabulate all methods of the paper's first table in freedoom on a CPU, the fastest first."""
    every = [row for row in recorded.get(PAPER_CPU, "rows") if row["trajectory"] == EVERY]
    own = {row["preset"]: row for row in every if row["sweep"] is None}
    known = [own[name] for name in recorded.get(PAPER_CPU, "table")]
    rows = []
    for row in sorted(known, key=lambda each: -each["speed_up"]["median"]):
        psnr, gain = row["against_off"]["pooled_psnr"], row["speed_up"]
        against = "" if psnr is None else "equal" if psnr >= EQUAL else f"{psnr:.1f} dB"
        spread = f"{gain['median']:.2f} ({gain['low']:.2f} to {gain['high']:.2f})"
        rows.append((f"`{row['preset']}`", spread, against, f"{row['game']['pooled_psnr']:.2f} dB"))
    return table(("method", "speed-up of generation", "PSNR to `off`, pooled", "to the game, pooled"), rows)


@figure("preset.revisits")
def preset_revisits(recorded: Recorded) -> str:
    """Tabulate what ``all`` costs by camera path, and how well views of one place agree."""
    rows = []
    for path in paths(recorded):
        plain, own = (bench_row(recorded, preset, path, PRESETS_GPU) for preset in ("off", "all"))
        values = (plain["revisits"]["psnr"], own["revisits"]["psnr"], own["revisits"]["game_psnr"])
        views = ("none" if value is None else "equal" if value >= EQUAL else f"{value:.1f} dB" for value in values)
        rows.append((path, f"{own['against_off']['pooled_psnr']:.1f} dB", *views, whole(own["revisits"]["pairs"])))
    header = ("camera path", "PSNR to `off`, pooled", "views of one place, `off`", "the same, `all`", "in the game")
    return table((*header, "pairs"), rows)


@figure("preset.pairs")
def preset_pairs(recorded: Recorded) -> str:
    """Count the pairs of views that the column about revisits rests on."""
    return whole(bench_row(recorded, "all", file=PRESETS_GPU)["revisits"]["pairs"])


@figure("preset.pooling")
def preset_pooling(recorded: Recorded) -> str:
    """Say why the two files' decibels cannot be compared."""
    gpu, cpu = (
        bench_row(recorded, "all", file=file)["against_off"]["pooled_psnr"] for file in (PRESETS_GPU, PRESETS_CPU)
    )
    single = [bench_row(recorded, "all", path, PRESETS_GPU)["against_off"]["pooled_psnr"] for path in paths(recorded)]
    return paragraph(
        f"""The {gpu:.1f} dB of the H200 and the {cpu:.1f} dB of the CPU are pooled differently. `{PRESETS_GPU}` takes
        the mean squared error of all frames of all rollouts, so that the path with the largest error weighs most.
        `{PRESETS_CPU}` takes it rollout by rollout and averages the decibels; on the H200 the mean over the four
        paths is {sum(single) / len(single):.1f} dB."""
    )


@figure("preset.cpu")
def preset_cpu(recorded: Recorded) -> str:
    """Say what the default preset gains on a laptop's processor."""
    row = bench_row(recorded, "all", file=PRESETS_CPU)
    plain, own = (bench_row(recorded, name, file=PRESETS_CPU)["frames_per_second"]["median"] for name in ("off", "all"))
    return paragraph(
        f"""On two CPU cores `all` makes {own:.1f} frames/s where `off` makes {plain:.1f}, at
        {row["against_off"]["pooled_psnr"]:.1f} dB to the frames of `off` (`{PRESETS_CPU}`)."""
    )


@figure("preset.reuse")
def preset_reuse(recorded: Recorded) -> str:
    """Tabulate the work and the quality of shared work in freedoom, by camera path."""
    rows = recorded.get(REUSE, "rows")
    paths = list(dict.fromkeys(row["path"] for row in rows))
    found = {(row["method"], row["path"]): row for row in rows}
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        if method == "off":
            continue
        cells = []
        for path in paths:
            row = found[method, path]
            equal = row["pooled_psnr"] >= EQUAL
            cells.append(f"{row['work']:.0%}, " + ("equal" if equal else f"{row['pooled_psnr']:.1f} dB"))
        lines.append((f"`{method}`", *cells))
    return table(("method", *paths), lines)


@figure("preset.three_steps")
def three_steps(recorded: Recorded) -> str:
    """Say what three denoising steps while exploring made of ``all`` in freedoom."""
    found = {row["preset"]: row for row in recorded.get(THREE_STEPS, "rows") if row["trajectory"] == EVERY}
    three, four = (found[name] for name in ("all", "all without cache"))
    faster = [row["speed_up"]["median"] for row in (three, four)]
    near = [row["against_off"]["pooled_psnr"] for row in (three, four)]
    game = [row["game"]["pooled_psnr"] for row in (three, four)]
    return (
        f"{faster[0]:.2f} times as fast as `off` on two cores instead of {faster[1]:.2f} with all steps, but on "
        f"held-out maps {near[0]:.1f} dB to `off` instead of {near[1]:.1f}, and {game[0]:.2f} dB to the game instead "
        f"of {game[1]:.2f}"
    )
