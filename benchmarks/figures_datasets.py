"""Figures about recorded datasets, and about agents that are cloned from them."""

from __future__ import annotations

from typing import Any

from figure_tools import FigureError, Recorded, figure, fixed, paragraph, signed, span, table, verdict, whole

LOADERS, VIDEO, MEMORY = "dataset_loaders.json", "dataset_video.json", "dataset_memory.json"
KILLS, SPEED, RATIO = "dataset_kills.json", "dataset_collection_cpu.json", "dataset_collection_game_cpu.json"
MANY, CLONING = "dataset_collection_h200.json", "cloning_comparison.json"


@figure("datasets.loaders")
def loaders(recorded: Recorded) -> str:
    """Name the loaders and count the rows that they read."""
    parts = []
    for found in recorded.get(LOADERS, "read"):
        if found["codec"] != "lossless":
            continue
        backends = [name for name in ("pyav", "torchcodec") if name in found]
        rows = {found[name]["whole"]["rows"] for name in backends}
        if len(rows) != 1:
            raise FigureError(f"benchmarks/{LOADERS}: the backends read different numbers of rows")
        parts.append(f"lerobot {found['versions']['lerobot']} ({' and '.join(backends)})")
    act = recorded.pick(LOADERS, "read", codec="lossless", versions=_newest(recorded))["act"]
    return paragraph(
        f"""LeRobot's own loaders read all {rows.pop():,} rows of {recorded.get(LOADERS, "episodes")} episodes:
        {" and ".join(parts)}. Every column and, with `lossless`, every pixel equals what the same episodes are when
        they are played again. So do windows of several frames, chosen episodes, two datasets that lerobot joins, a
        dataset to which lerobot 0.6.1 appends an episode, and streams. In {act["steps"]} steps of ACT the loss falls
        from {act["losses"][0]:.0f} to {act["losses"][-1]:.1f}."""
    )


def _newest(recorded: Recorded) -> dict[str, Any]:
    """Return the versions of the environment with the newest lerobot."""
    found: dict[str, Any] = max(
        (each["versions"] for each in recorded.get(LOADERS, "read")), key=lambda v: v["lerobot"]
    )
    return found


@figure("datasets.video")
def video(recorded: Recorded) -> str:
    """Quality and size of stored videos."""
    rows = [
        (f"`{row['codec']}`", whole(row["frames"]), fixed(row["mean_db"]), fixed(row["worst_db"]),
         f"{row['even_db']:.2f} / {row['odd_db']:.2f}", whole(row["bytes_per_frame"]))
        for row in recorded.get(VIDEO, "worlds", "freedoom_game")
    ]  # fmt: skip
    header = ("codec", "frames", "PSNR, mean of decibels", "worst frame", "even / odd frames", "bytes per frame")
    return table(header, rows)


@figure("datasets.kills")
def kills(recorded: Recorded) -> str:
    """Kills on Ray."""
    found, answers = recorded.get(KILLS, "killed"), ("same_content", "episodes_once", "verified")
    if not all(recorded.get(KILLS, name) for name in answers) or recorded.get(KILLS, "left"):
        raise FigureError(f"benchmarks/{KILLS}: the dataset is not the one without kills")
    return paragraph(
        f"""On Ray {found["worker"]} workers and {found["driver"]} drivers were killed at random moments of one
        collection, the last driver in its final pass: the content hash is the one without a kill."""
    )


@figure("datasets.cost")
def cost(recorded: Recorded) -> str:
    """Time and memory of writing."""
    (cell,) = recorded.get(SPEED, "cells")
    (many,) = recorded.get(RATIO, "cells")
    shares = [run["cpu_share"] for run in cell["runs"]]
    samples, growth = recorded.get(MEMORY, "samples"), recorded.get(MEMORY, "growth_mib_after_the_first_fifth")
    return paragraph(
        f"""Two CPU cores, `freedoom`: by CPU time, playing alone takes {cell["cpu_share"]:.3f} of playing and writing
        ({span(shares, "{:.3f}".format)} in {len(shares)} pairs of runs that took turns; other work disturbed the
        wall clock). {many["worlds"]} worlds and
        {many["episodes"]} episodes of the game: {many["computed_per_stored_step"]:.2f} steps are computed for every
        step stored. RAM over {samples[-1]["episodes"]:,} episodes: +{growth:.1f} MiB after the first fifth; the final
        pass takes {recorded.get(MEMORY, "most_in_the_final_pass_mib") - samples[-1]["resident_mib"]:.0f} MiB more."""
    )


@figure("datasets.cost_h200")
def cost_on_a_gpu(recorded: Recorded) -> str:
    """Say what writing costs beside hundreds of envs on a GPU."""
    (cell,) = recorded.get(MANY, "cells")
    rates, share = cell["frames_per_second"], cell["share"]
    steps = recorded.get(MANY, "settings", "max_steps")
    seconds = [run["written"]["joined_seconds"] for run in cell["runs"]]
    return paragraph(
        f"""One H200 and 16 cores, {cell["worlds"]} envs, {cell["episodes"]:,} episodes, h264 in
        {recorded.get(MANY, "settings", "encoders")} processes: {whole(rates["played"])} frames/s played,
        {whole(rates["written"])} written, {100 * share:.0f} %
        ({span([100 * run["share"] for run in cell["runs"]], "{:.0f} %".format)} in {len(cell["runs"])} pairs;
        {verdict(share, 0.9)}, asked for were 90 %). All episodes last {steps} steps, so that all end at once, and no
        more are played and waiting than there are envs. The final pass takes
        {span(seconds, "{:.0f}".format)} seconds more."""
    )


ARMS = {
    "freedoom": "expert in `freedoom`",
    "freedoom, labelled": "half of these, and half labelled where the clone walks",
    "freedoom_game": "expert in the game",
}


@figure("cloning.table")
def cloning(recorded: Recorded) -> str:
    """SPL and success in the game by where the data come from."""
    sets = list(recorded.get(CLONING, "table", "drawing"))
    rows = []
    for arm, label in ARMS.items():
        cells = []
        for name in sets:
            found = recorded.get(CLONING, "table", "drawing", name, arm)
            spl = f"{found['spl']['mean']:.3f} +- {found['spl']['std']:.3f}"
            cells.append(f"{spl} ({found['success']['mean']:.2f})")
        grounded = recorded.get(CLONING, "grounded") and arm == "freedoom"
        rows.append((f"{label}, in scans of the maps" if grounded else label, *cells))
    return table(("SPL (success)", *(f"`{name}`" for name in sets)), rows)


@figure("cloning.targets")
def cloning_targets(recorded: Recorded) -> str:
    """Return the shares that were asked for, where agents draw their actions, and the same where they do not."""
    drawn = recorded.get(CLONING, "answers", "drawing", "detour")
    share, gain = drawn["freedoom_share_of_game"], drawn["gain_by_labels"]
    spl = {arm: fixed(recorded.get(CLONING, "table", "greedy", "detour", arm)["spl"]["mean"], 3) for arm in ARMS}
    episodes, seeds = (int(recorded.get(CLONING, "settings", name)) for name in ("episodes", "seeds"))
    return paragraph(
        f"""{whole(episodes)} episodes per arm, {seeds} seeds, mean +- standard deviation, agents that draw their
        actions. Goals behind walls: data of `freedoom` bring {100 * share:.0f} % of the SPL that data of the game bring
        ({verdict(share, 0.9)}, asked for were 90 %), labels {signed(gain, 3)} ({verdict(gain, 0.05)}, asked for was
        +0.05). Where agents take their likeliest action instead, SPL is {spl["freedoom"]} without labels,
        {spl["freedoom, labelled"]} with them and {spl["freedoom_game"]} from the game."""
    )
