"""Figures about how close the freedoom world comes to the game: its targets, without and in scans."""

from __future__ import annotations

from typing import Any

from figure_tools import FigureError, Recorded, figure, paragraph, span, table, whole

from li_env.evaluation.world.store import find_row
from li_env.evaluation.world.tables import markdown, shown, wanted
from li_env.evaluation.world.targets import Target, targets

WORLD, AGAIN, FIDELITY = "freedoom_world.json", "freedoom_world_again.json", "freedoom_fidelity.json"

FIRST_EDITION = {
    "next chunk, walk": 26.64,
    "next chunk, way back": 30.57,
    "chunk 16 of an own walk": 17.53,
    "real first look, generated second": 31.92,
    "... above no memory": 11.57,
    "sharpness, chunk 2": 0.437,
    "sharpness, chunk 16": 0.439,
    "PSNR of 4 steps below 16": 0.0,
    "sharpness of 4 steps below 16": 0.0349,
    "collapsed": 10,
}
"""Values of `FIDELITY` of the first edition's weights on the same maps and walks, as it stood at commit a386e48."""


@figure("world.table")
def world_table(recorded: Recorded) -> str:
    """Tabulate the targets of every preset."""
    return markdown(recorded.get(WORLD))


@figure("world.misses")
def world_misses(recorded: Recorded) -> str:
    """Tabulate the required values that a preset misses, and by how much."""
    report = recorded.get(WORLD)
    presets = report["settings"]["presets"]
    rows = [
        (row[0].name, *map(_missed, row), wanted(row[0])[0])
        for row in zip(*(targets(report, preset) for preset in presets), strict=True)
        if any(each.reached == "no" for each in row)
    ]
    return table(("missed", *(f"`{preset}`" for preset in presets), "required"), rows)


def _missed(target: Target) -> str:
    """Return a value, in bold with what it lacks where it misses the required one."""
    if target.reached != "no" or target.value is None or target.required is None:
        return shown(target)
    gap = abs(target.value - target.required)
    digits = target.digits + (round(gap, target.digits) == 0)
    return f"**{shown(target)}**, {gap:.{digits}f} {'over' if target.at_most else 'short'}"


@figure("world.again")
def world_again(recorded: Recorded) -> str:
    """Tabulate what differs where everything was measured again with today's retrieval."""
    again = {row["name"]: row for row in recorded.get(AGAIN, "rows")}
    rows = []
    for preset in ("off", "all"):
        for target in targets(recorded.get(WORLD), preset):
            now = again[target.name][preset] if target.name in again else shown(target)
            if now != shown(target):
                rows.append((target.name, f"`{preset}`", shown(target), now, wanted(target)[0]))
    return table(("what differs", "preset", "above", "measured again", "required"), rows)


@figure("world.walls")
def world_walls(recorded: Recorded) -> str:
    """Say how many blocked motions the recalls are made of."""
    row = _row(recorded.get(WORLD), "walls", scan=2.5)
    alone = _row(recorded.get(WORLD), "walls", scan=None)
    (hard, of_hard), (each, of_each) = (
        (round(row[key]["recall"] * row[key]["blocked"]), row[key]["blocked"]) for key in ("0.25", "0.05")
    )
    return paragraph(
        f"""Of {of_hard} motions that the game shortens by more than 0.25 m the head in a scan shortens {hard} as much
        ({-(-95 * of_hard // 100)} are asked for); of {of_each} by more than 0.05 m, {each}. Without a scan recall is
        {alone["0.25"]["recall"]:.3f} and {alone["0.05"]["recall"]:.3f}."""
    )


@figure("world.collapsed")
def world_collapsed(recorded: Recorded) -> str:
    """Say what the collapsed frames are, and where."""
    report = recorded.get(WORLD)
    words = []
    for scan, place in ((None, "without a scan"), (2.5, "in a scan")):
        both = [_health(report, preset, scan) for preset in ("off", "all")]
        counts = " and ".join(str(each["collapsed"]) for each in both)
        words.append(f"{place} {counts} of {whole(both[0]['frames'])}")
    scanned = [_health(report, preset, 2.5) for preset in ("off", "all")]
    saturated = sum(each["saturated"] for each in scanned)
    own = sum(each["collapsed"] - each["constant"] for each in scanned)
    lost, of = collapsed(recorded)
    walk = own_rollout(recorded, "walk")
    chunks = [4 * mean * count for mean, count in zip(walk["collapsed"]["mean"], walk["collapsed"]["n"], strict=True)]
    first = next((number for number, count in enumerate(chunks, 1) if count), None)
    place = (
        "none of them on walks"
        if first is None
        else f"""on walks the first is in chunk {first}, and no chunk has more than {max(chunks):.0f} among its
        {4 * max(walk["collapsed"]["n"])} frames"""
    )
    return paragraph(
        f"""Frames that collapse under `off` and `all`: {"; ".join(words)}. All of them but {own} are nearly constant
        (brightness varies by less than 3 levels) where the game's frame is not: a bare wall that fills the picture.
        In those that were looked at (three of eight walks under `all`, before the refinement of today's weights) the
        world had invented a wall where the game mostly has room, and the camera, which keeps to the game's poses here,
        stood in front of it. None is
        not finite. {saturated} frames in scans count as saturated, and {saturated - own} of them are right: the game
        shows pure red and blue there. The other report has {whole(lost)} of {whole(of)} without a scan,
        {FIRST_EDITION["collapsed"]} in the first edition; {place}."""
    )


@figure("world.scans")
def world_scans(recorded: Recorded) -> str:
    """Say what a scan changes beside the table."""
    report = recorded.get(WORLD)
    sharp = {
        preset: _row(report, "walks", preset=preset, scan=2.5, start="picture")["ranges"]["1-9"]["sharpness"]["mean"]
        for preset in ("off", "all")
    }
    back = {
        scan: _row(report, "next", preset="off", scan=scan, kind="way_back")["chunk"]["psnr"]["mean"]
        for scan in (None, 2.5)
    }
    same = [
        _row(report, "agents", preset="off", scan=None, agent=agent)["same_success"] for agent in ("seeker", "mapper")
    ]
    followed = [
        _row(report, "actions", frames=frames, scan=scan)["followed"]
        for frames, scan in (("game", None), ("generated", None), ("generated", 2.5))
    ]
    return paragraph(
        f"""In a scan `all` is nearer to the game in decibels than `off` and less sharp ({sharp["all"]:.2f} for
        {sharp["off"]:.2f}, chunks 1-9): nearly every chunk is a revisit there and takes two denoising steps, in the
        rows of 16 steps too, so these say nothing about `all` in a scan. Views of a scan count twice as much as the
        episode's own past, which costs a return after a real past {back[None] - back[2.5]:.1f} dB under `off`
        ({back[2.5]:.1f} for {back[None]:.1f} dB). Without a scan seeker and mapper end as in the game in
        {100 * same[0]:.0f} % and {100 * same[1]:.0f} % of the episodes only. Of the commanded motions a network sees
        {100 * followed[0]:.0f} % in the game's own frames, {100 * followed[1]:.0f} % in generated ones and
        {100 * followed[2]:.0f} % in those of a scan."""
    )


@figure("world.short")
def world_short(recorded: Recorded) -> str:
    """Say in one sentence what a scan does to a walk."""
    report = recorded.get(WORLD)

    def values(scan: float | None, chunks: str) -> str:
        rows = [_row(report, "walks", preset=preset, scan=scan, start="picture") for preset in ("off", "all")]
        return span((row["ranges"][chunks]["psnr"]["mean"] for row in rows), lambda one: f"{one:.1f}")

    return paragraph(
        f"""On maps that no training has seen, PSNR to the game is {values(2.5, "1-9")} dB in chunks 1 to 9 and
        {values(2.5, "27-31")} dB in chunks 27 to 31 of a walk in a scan with 2.5 m between its spots
        ({values(4.0, "27-31")} dB with 4 m, {values(6.0, "27-31")} with 6 m), and {values(None, "1-9")} and
        {values(None, "27-31")} dB without a scan (`off` and `all`, mean of decibels)."""
    )


@figure("fidelity")
def fidelity(recorded: Recorded) -> str:
    """Tabulate the targets of the fidelity report, beside the first edition."""
    bars = {bar["bar"]: bar for bar in recorded.get(FIDELITY, "bars")}

    def row(label: str, bar: str) -> tuple[str, str, str, str, str]:
        found = bars[bar]
        before = f"{FIRST_EDITION[bar]:.1f} dB"
        return label, before, f"{found['value']:.1f} dB", f"{found['must']:g}", f"{found['aim']:g}"

    def pair(label: str, first: str, second: str, form: str) -> tuple[str, str, str, str, str]:
        one, two = bars[first], bars[second]
        return (
            label,
            form.format(FIRST_EDITION[first], FIRST_EDITION[second]),
            form.format(one["value"], two["value"]),
            f"{one['must']:g} / {two['must']:g}",
            f"{one['aim']:g} / {two['aim']:g}",
        )

    lost, of = collapsed(recorded)
    count = f"of {whole(of)}"
    rows = [
        row("next chunk after a real past, walk, 4 steps", "next chunk, walk"),
        row("next chunk, return of out-and-back", "next chunk, way back"),
        row("chunk 16 of an own walk", "chunk 16 of an own walk"),
        row(
            "real first look, generated second look (lower of out-and-back and 360 degrees)",
            "real first look, generated second",
        ),
        row("... above the same without memory", "... above no memory"),
        pair(
            "sharpness (gradient energy, generated / game), chunk 2 / 16 of an own walk",
            "sharpness, chunk 2",
            "sharpness, chunk 16",
            "{:.2f} / {:.2f}",
        ),
        pair(
            "4 steps below 16 steps, PSNR (dB) / sharpness",
            "PSNR of 4 steps below 16",
            "sharpness of 4 steps below 16",
            "{:.0f} / {:.2f}",
        ),
        (
            "collapsed frames, 4 steps with memory, 32 chunks",
            f"{FIRST_EDITION['collapsed']} {count}",
            f"{whole(lost)} {count}",
            "0",
            "0",
        ),
    ]
    return table(("", "first edition", "measured", "required", "stretch"), rows)


def own_rollouts(recorded: Recorded) -> list[dict[str, Any]]:
    """Return those of the shipped settings on held-out maps."""
    found = [row for row in recorded.get(FIDELITY, "own_rollouts")
             if row["place"] == "held-out maps" and row["steps"] == 4 and row["memory"]]  # fmt: skip
    if not found:
        raise FigureError(f"benchmarks/{FIDELITY}: own_rollouts has none on held-out maps with memory and 4 steps")
    return found


def own_rollout(recorded: Recorded, kind: str) -> dict[str, Any]:
    """Return the rollouts of one kind of walk."""
    return next(row for row in own_rollouts(recorded) if row["kind"] == kind)


def collapsed(recorded: Recorded) -> tuple[float, int]:
    """Return (collapsed, all) frames of own rollouts; a chunk has four, the first chunk's start frame too."""
    lost, of = 0.0, 0
    for row in own_rollouts(recorded):
        for mean, count in zip(row["collapsed"]["mean"], row["collapsed"]["n"], strict=True):
            lost, of = lost + 4 * count * mean, of + 4 * count
    return lost, of


@figure("fidelity.variants")
def fidelity_variants(recorded: Recorded) -> str:
    """Say how often frames collapse in the variants and out of distribution."""
    away = {
        place: _share(recorded.pick(FIDELITY, "own_rollouts", place=place)["collapsed"]["mean"])
        for place in ("hand-made Freedoom maps", "my_way_home")
    }
    bar = recorded.pick(FIDELITY, "bars", bar="collapsed frames of own rollouts")["value"]
    back = recorded.pick(FIDELITY, "bars", bar="next chunk, way back")["value"]
    asked = next(each.required for each in targets(recorded.get(WORLD), "off") if each.name == "next chunk, return")
    return paragraph(
        f"""The required values are those of the first edition. By that of the table above, {asked} dB, the return is
        {asked - back:.2f} dB short on the walks of this report. Over all its variants, without memory and with 16 steps
        too, {100 * bar:.2f} % of the frames collapse; out of distribution {away["hand-made Freedoom maps"]:.1f} % in
        hand-made maps and {away["my_way_home"]:.1f} % in `my_way_home`."""
    )


def _share(means: list[float]) -> float:
    return 100 * sum(means) / len(means)


@figure("fidelity.long")
def fidelity_long(recorded: Recorded) -> str:
    """Say what PSNR to the game, in dB, is left late on a walk."""
    return span(own_rollout(recorded, "walk")["psnr"]["mean"][15:], lambda one: f"{one:.1f}")


@figure("fidelity.bounds")
def fidelity_bounds(recorded: Recorded) -> str:
    """Say how exact the autoencoder and the motion head are."""
    best = next(row for row in recorded.get(FIDELITY, "next_chunk") if row["method"] == "autoencoder"
                and row["place"] == "held-out maps" and row["kind"] == "walk")  # fmt: skip
    motion = recorded.get(FIDELITY, "motion")
    return paragraph(
        f"""The autoencoder alone reaches {best["psnr"]["mean"]:.1f} dB and a sharpness of
        {best["sharpness"]["mean"]:.2f} on these walks, which bounds everything above. The motion head is wrong by
        {motion["error_metres"]:.3f} m on average ({motion["error_ignored_metres"]:.3f} m if walls were ignored), recall
        of blocked motions {motion["recall"]:.2f}, precision {motion["precision"]:.2f}."""
    )


def _row(report: dict[str, Any], part: str, **labels: Any) -> dict[str, Any]:
    found = find_row(report, part, **labels)
    if found is None:
        raise FigureError(f"benchmarks/{WORLD}: {part} has no row with {labels}")
    return found


def _health(report: dict[str, Any], preset: str, scan: float | None) -> dict[str, int]:
    """Return frames and degenerate ones of both kinds of walks."""
    rows = [_row(report, "collapse", preset=preset, scan=scan, kind=kind) for kind in ("walk", "mix")]
    return {key: sum(row[key] for row in rows) for key in ("frames", "collapsed", "constant", "saturated")}
