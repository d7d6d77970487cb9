"""Figures about the freedoom world: speed, presets, policies."""

from __future__ import annotations

from typing import Any

from figure_tools import FigureError, Recorded, figure, fixed, median, paragraph, signed, span, table, verdict, whole

GPU, CPU = "freedoom_throughput_h200.json", "freedoom_throughput_cpu.json"
PRESETS_CPU, PRESETS_GPU = "freedoom_presets_cpu.json", "freedoom_presets_h200.json"
POLICIES, FLAT = "freedoom_memory_policies_h200.json", "flat_cost_h200.json"
HOST, HALVES, FLOOR = "host_time.json", "freedoom_halves_h200.json", "preset_floor_h200.json"
GROUNDED = "freedoom_grounded_h200.json"
EVERY = "all trajectories"
MANY = 512


def cell(recorded: Recorded, file: str, worlds: int, preset: str, observations: str) -> dict[str, Any]:
    """One measurement of the throughput."""
    return recorded.pick(file, "cells", worlds=worlds, preset=preset, observations=observations)


def every_host(recorded: Recorded) -> dict[str, list[float]]:
    """Return frames per second of 512 envs on every host, by preset."""
    lists = [recorded.get(GPU, "cells"), *(run["cells"] for run in recorded.get(GPU).get("earlier", []))]
    runs = [
        {
            one["preset"]: one["frames_per_second"]
            for one in cells
            if one["worlds"] == MANY and one["observations"] == "device"
        }
        for cells in lists
    ]
    both = [run for run in runs if {"off", "all"} <= run.keys()]
    return {preset: [run[preset] for run in both] for preset in ("off", "all")}


def one_world_cpu(recorded: Recorded) -> dict[str, float]:
    """Frames per second of `li-env bench` on two CPU cores, by preset."""
    return {preset: median(bench_row(recorded, preset), "frames_per_second") for preset in ("off", "all")}


def bench_row(recorded: Recorded, preset: str, trajectory: str = EVERY, file: str = PRESETS_CPU) -> dict[str, Any]:
    """Return a row of `li-env bench`."""
    return recorded.pick(file, "worlds", 0, "rows", preset=preset, trajectory=trajectory)


@figure("throughput.gpu")
def throughput_gpu(recorded: Recorded) -> str:
    """Tabulate throughput by number of envs."""
    numbers = sorted({one["worlds"] for one in recorded.get(GPU, "cells")})
    rows = [(whole(worlds), *(whole(cell(recorded, GPU, worlds, preset, "device")["frames_per_second"])
                              for preset in ("off", "all"))) for worlds in numbers]  # fmt: skip
    host = (whole(cell(recorded, GPU, numbers[-1], preset, "host")["frames_per_second"]) for preset in ("off", "all"))
    return table(("envs", "`off`", "`all`"), [*rows, (f"{numbers[-1]}, observations on the host", *host)])


@figure("throughput.halves")
def throughput_halves(recorded: Recorded) -> str:
    """Tabulate one group of envs against two in flight, stepped at random and by a training."""
    rows = []
    for one in [each for each in recorded.get(HALVES, "cells") if each["observations"] == "device"]:
        preset, worlds = one["preset"], one["worlds"]
        two = recorded.pick(HALVES, "halves", worlds=worlds, preset=preset, observations="device")
        both = (*(whole(each["frames_per_second"]) for each in (one, two)),
                *(fixed(each["gpu_share"], 2) for each in (one, two)))  # fmt: skip
        rows.append((f"{worlds}, `{preset}`", *both))
    for preset in sorted({each["preset"] for each in recorded.get(HALVES, "ppo")}):
        loops = [recorded.pick(HALVES, "ppo", worlds=MANY, preset=preset, halves=halves) for halves in (False, True)]
        rows.append(
            (f"{MANY}, `{preset}`, a training with PPO", *(whole(each["frames_per_second"]) for each in loops), "", "")
        )
    return table(("envs", "one group", "two in flight", "GPU at work: one group", "two"), rows)


@figure("throughput.grounded")
def throughput_grounded(recorded: Recorded) -> str:
    """Tabulate envs in scans beside envs without."""
    rows = []
    for one in recorded.get(GROUNDED, "grounded"):
        alone = cell(recorded, GROUNDED, one["worlds"], one["preset"], "device")
        rates = (alone["frames_per_second"], one["frames_per_second"])
        shares = (f"{each['gpu_share']:.2f}" for each in (alone, one))
        plans = (f"{each['stages']['plan']:.0f}" for each in (alone, one))
        rows.append((f"{one['worlds']}, `{one['preset']}`", *map(whole, rates), f"{100 * rates[1] / rates[0]:.0f} %",
                     " / ".join(shares), " / ".join(plans)))  # fmt: skip
    header = ("envs", "without a scan", f"in {recorded.get(GROUNDED, 'grounded', 0, 'scans')} scans", "share",
              "GPU at work: without / in scans", "ms of planning")  # fmt: skip
    return table(header, rows)


@figure("throughput.grounded_verdict")
def throughput_grounded_verdict(recorded: Recorded) -> str:
    """Hold the share of the speed that remains in scans against what was asked for."""
    words = []
    for one in recorded.get(GROUNDED, "grounded"):
        alone = cell(recorded, GROUNDED, one["worlds"], one["preset"], "device")
        mean, median = (one[key] / alone[key] for key in ("frames_per_second", "median_frames_per_second"))
        words.append(f"`{one['preset']}` has {100 * mean:.0f} % ({verdict(mean, 0.9)}; {100 * median:.0f} % by the "
                     "median of its steps)")  # fmt: skip
    return paragraph(f"Asked for are 90 % of the frames per second without a scan: {', '.join(words)}.")


@figure("preset.floor")
def preset_floor(recorded: Recorded) -> str:
    """Tabulate the time of a step under a preset over that of off, as it is and by the cost model."""
    rows = []
    for one in recorded.get(FLOOR, "cells"):
        ratios = (
            f"{each['median']:.2f} ({each['low']:.2f} to {each['high']:.2f})"
            for each in (one["ratio"]["as it is"], one["ratio"]["by cost"])
        )
        rows.append((whole(one["environments"]), *ratios, ", ".join(one["left_out"]) or "nothing"))
    return table(("envs", "`all` as it is", "`all` by the cost model", "left out"), rows)


@figure("host.time")
def host_time(recorded: Recorded) -> str:
    """Tabulate the host's time per step, before and after, and the parts of the newer one."""
    parts = ("motion", "plan", "generate", "decode", "environment")
    rows = []
    for one in recorded.get(HOST, "cells"):
        what = f"{one['task']}, `{one['preset']}`{', in a scan' if one['grounded'] else ''}, {one['observations']}"
        times = (fixed(one[which]["total"], 1) for which in ("before", "after"))
        rows.append((whole(one["envs"]), what, *times, fixed(one["ratio"], 2),
                     *(fixed(one["after"][part], 1) for part in parts)))  # fmt: skip
    return table(("envs", "task, preset, observations", "before", "after", "ratio", *parts), rows)


@figure("throughput.hosts")
def throughput_hosts(recorded: Recorded) -> str:
    """Say how far hosts differ, and what a step is made of."""
    hosts, one = every_host(recorded), cell(recorded, GPU, MANY, "all", "device")
    parts, stages = recorded.get(GPU, "parts"), one["stages"]
    gain = span((full / off for off, full in zip(hosts["off"], hosts["all"], strict=True)), lambda one: f"{one:.2f}")
    device = parts["motion_head"] + stages["generate"] + stages["decode"]
    return paragraph(
        f"""The host decides: on {len(hosts["all"])} machines with an H200, {MANY} envs made {span(hosts["off"])}
        frames/s under `off` and {span(hosts["all"])} under `all`, which was {gain} times as fast as `off` on the
        same machine. A step of them needs about {device:.0f} ms of the GPU under `all` (context pass and denoising
        {stages["generate"]:.0f}, decoding {stages["decode"]:.0f}, motions {parts["motion_head"]:.0f}); the table's took
        {one["milliseconds_per_step"]:.0f} ms, the rest of it waiting for Python. The host spends about
        {stages["motion"]:.0f} ms on motions, {stages["plan"]:.0f} on planning (most of it beside the GPU) and the
        rest on requests, launches, maps of seen area, histories and infos."""
    )


@figure("throughput.pictures")
def throughput_pictures(recorded: Recorded) -> str:
    """Say whether the timed run made the right frames."""
    found = recorded.get(GPU).get("pictures")
    if found is None:
        return "That run did not look at its pictures."
    low = min(batch["lowest_psnr"] for batch in found["batches"])
    return paragraph(
        f"""The same run first compared its frames with {found["against"]}: PSNR of the least equal frame of
        {found["chunks"]} chunks {low:.1f} dB, {found["least_allowed"]:.0f} or more asked for."""
    )


@figure("throughput.cpu")
def throughput_cpu(recorded: Recorded) -> str:
    """Tabulate throughput on a CPU by number of envs."""
    numbers = sorted({one["worlds"] for one in recorded.get(CPU, "cells")})
    rows = [(str(worlds), *(fixed(cell(recorded, CPU, worlds, preset, "host")["frames_per_second"])
                            for preset in ("off", "all"))) for worlds in numbers]  # fmt: skip
    return table(("envs", "`off`", "`all`"), rows)


@figure("throughput.one")
def throughput_one(recorded: Recorded) -> str:
    """Return frames per second of one env on a GPU under ``all``."""
    return whole(cell(recorded, GPU, 1, "all", "device")["frames_per_second"])


@figure("throughput.all")
def throughput_all(recorded: Recorded) -> str:
    """Return the range of frames per second of 512 envs under ``all``, over hosts."""
    return span(every_host(recorded)["all"])


@figure("blocks.bfloat16")
def blocks_bfloat16(recorded: Recorded) -> str:
    """Compare equal envs in micro-batches of two sizes, default dtype: PSNR pooled / of the least equal frame."""
    return blocks(recorded, "")


@figure("blocks.float32")
def blocks_float32(recorded: Recorded) -> str:
    """Return `blocks` in float32."""
    return blocks(recorded, "_float32")


def blocks(recorded: Recorded, suffix: str) -> str:
    """Compare equal envs in micro-batches of two sizes."""
    pooled, lowest = (recorded.get(GPU, "checks", f"{kind}_psnr_8_against_16_worlds{suffix}")
                      for kind in ("pooled", "lowest"))  # fmt: skip
    return f"{pooled:.1f} / {lowest:.1f} dB"


@figure("flat")
def flat(recorded: Recorded) -> str:
    """Late steps beside early ones."""
    run = recorded.pick(FLAT, "runs", preset="all")
    first, last = (run["medians"][part]["step"] for part in ("first", "last"))
    memory = run["memory"]
    grown = (memory[-1]["device_mib"] - memory[0]["device_mib"]) / (memory[-1]["chunk"] - memory[0]["chunk"])
    chunks = len(run["milliseconds"]["step"])
    return paragraph(
        f"""A step does not get slower: the median of the last 100 of {chunks:,} chunks of one episode is
        {last / first:.2f} of that of chunks 20 to 119 (`flat_cost_h200.json`, `all`, one H200). Device memory grows by
        {grown:.2f} MiB per chunk, the history."""
    )


@figure("presets.cpu")
def presets_cpu(recorded: Recorded) -> str:
    """Preset ``all`` by trajectory."""
    rows = []
    for name in dict.fromkeys(row["trajectory"] for row in recorded.get(PRESETS_CPU, "worlds", 0, "rows")):
        off, full = (bench_row(recorded, preset, name) for preset in ("off", "all"))
        against, game, base = full["against_off"], full["game"], off["game"]
        gap = {key: None if game[key] is None else game[key] - base[key] for key in ("psnr", "sharpness")}
        rows.append(
            (
                "all" if name == EVERY else name,
                f"{median(full, 'speed_up'):.2f} / {median(full, 'speed_up_after_warmup'):.2f}",
                *(fixed(median(row, "frames_per_second")) for row in (off, full)),
                f"{fixed(against['pooled_psnr'])} dB",
                f"{fixed(against['psnr'])} dB",
                f"{signed(gap['psnr'])} dB",
                signed(gap["sharpness"]),
            )
        )
    header = ("trajectory", "speed-up", "frames/s `off`", "frames/s `all`", "PSNR to `off`, pooled", "mean of decibels")
    return table((*header, "to the game, against `off`", "sharpness, against `off`"), rows)


@figure("presets.pooling")
def presets_pooling(recorded: Recorded) -> str:
    """Say how the file's PSNR was pooled."""
    if "pooled_psnr" in recorded.get(PRESETS_CPU, "worlds", 0, "note"):
        return "of the mean squared error over all frames of a row"
    return "of the mean squared error over the frames of a rollout, then the mean over rollouts"


def policy(recorded: Recorded, *names: str) -> dict[str, Any]:
    """Return the row of a policy; its name changed between recordings."""
    for name in names[:-1]:
        try:
            return recorded.pick(POLICIES, "rows", preset=name, trajectory=EVERY)
        except FigureError:
            continue
    return recorded.pick(POLICIES, "rows", preset=names[-1], trajectory=EVERY)


@figure("policies")
def policies(recorded: Recorded) -> str:
    """Say what fewer and more retrieved latents cost."""
    off, rollouts = policy(recorded, "off")["game"]["psnr"], policy(recorded, "off")["rollouts"]
    named = "policies" in recorded.get(POLICIES)
    alone = policy(recorded, "coverage alone" if named else "all")
    twelve = policy(recorded, "two nearest groups", "near2")

    def words(row: dict[str, Any]) -> str:
        faster = f"a speed-up of {median(row, 'speed_up'):.2f}"
        lost = row["game"]["psnr"]
        return faster if lost is None else f"{signed(lost - off, 1)} dB to the game (mean of decibels) at {faster}"

    text = f"""How much memory is worth keeping was measured on an H200 over {rollouts} rollouts
        (`freedoom_memory_policies_h200.json`; speed-ups of generation against `off` over whole rollouts; the GPU waits
        for the host most of that time). With nothing but what coverage asks for ({alone["context_latents"]:.1f} context
        latents): {words(alone)}. With twelve latents (`nearest_view`, two groups): {words(twelve)}."""
    if named:
        full = policy(recorded, "all")
        text += f" `all` as it is ({full['context_latents']:.1f} latents): {words(full)}."
    return paragraph(
        text
        + """ One group always, as it is now, is the compromise; the world asks for it
        (`WorldSpec.fewest_memory_groups`)."""
    )


@figure("presets.gpu")
def presets_gpu(recorded: Recorded) -> str:
    """Say how little presets gain where launches decide."""
    rows = [row for row in recorded.get(PRESETS_GPU, "worlds", 0, "rows") if row["preset"] == "all"]
    every = bench_row(recorded, "all", file=PRESETS_GPU)
    single = {row["trajectory"]: median(row, "speed_up") for row in rows if row["trajectory"] != EVERY}
    most, least = max(single, key=single.__getitem__), min(single, key=single.__getitem__)
    sparse = "" if "pooled_psnr" in recorded.get(PRESETS_GPU, "worlds", 0, "note") else ", before that change"
    return paragraph(
        f"""On an H200 with four rollouts at a time (`freedoom_presets_h200.json`{sparse}) the model is bound by kernel
        launches, not by work: the speed-up of `all` is {median(every, "speed_up"):.2f} over all trajectories,
        {single[most]:.2f} at most ({most}) and {single[least]:.2f} at least ({least}). There `off` is as good."""
    )


@figure("cost")
def cost(recorded: Recorded) -> str:
    """Say what the world costs on a CPU and on a GPU."""
    single, memory = (
        recorded.get("freedoom_cpu.json"),
        recorded.get("freedoom_cpu.json", "resident_mib_every_25_chunks"),
    )
    chunks = 25 * len(memory)
    kilobytes = 2**20 * (memory[-1] - memory[0]) / (chunks - 25) / 1000
    one = throughput_one(recorded)
    return paragraph(
        f"""`benchmarks/freedoom_cpu.json`: {single["frames_per_second"]:.1f} frames/s on two CPU cores that multiply
        float32 matrices at {single["calibration_gflops"]:.0f} GFLOP/s, preset `{single["preset"]}` with its full
        context ({single["steady_seconds_per_chunk"]:.2f} s per chunk of 4 frames). In `freedoom_presets_cpu.json`,
        which is of another day: {one_world_cpu(recorded)["off"]:.1f} frames/s with `off` and
        {one_world_cpu(recorded)["all"]:.1f} with `all`. Memory grows by {kilobytes:.0f} kB a chunk, the history itself
        ({memory[0]:.0f} to {memory[-1]:.0f} MiB over {chunks} chunks, after the C library gave back free pages). On an
        H200, `all`: {one} frames/s for one env, {throughput_all(recorded)} for {MANY}, depending on the host
        ([benchmarks](../../benchmarks/README.md)); late chunks are as fast as early ones."""
    )
