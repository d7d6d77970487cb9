"""Block-sparse attention on one GPU: checks, then times of all variants beside dense and FlexAttention in the same run.

    PYTHONPATH=. python benchmarks/kernels/block_sparse_attention.py --out h200.json

Shapes of HY-WorldPlay (docs/spec/hy_worldplay.md, section 9.4): 2 x 16 heads of width 128, 30 x 52 tokens per latent,
tiles of 4 x 8 x 4 in both cuts, 900 text tokens. ``decode``: 4 latents of queries over text, 4 to 20 latents of history
(17.5 % of the tiles kept) and themselves. ``context``: the history over text and itself (30 % kept, neighbours first).

Operations are counted for true tokens only: 4 x width x sum over query tiles of (queries x keys attended to). Samples
of all variants are interleaved; a cell is the median of them. Every variant is first checked in another process, on
small problems and under a time limit: a kernel that fails or hangs on a chip costs its line and not the run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.provenance import provenance
from li_env.kernels.block_select import SelectionPlan, TileLists, block_select, selection_plan, tile_means
from li_env.kernels.block_sparse_attention import run_config
from li_env.kernels.block_sparse_attention.configs import CONFIGS, default_config
from li_env.kernels.block_sparse_attention.gathered import gathered_block_sparse_attention
from li_env.kernels.tile_order import Cut, TileLayout, tile_layout, tile_order, tile_table

DEVICE = "cuda"
WORLDS, HEADS, WIDTH, TEXT = 2, 16, 128, 900
ROWS, COLUMNS, TILE = 30, 52, (4, 8, 4)
DEFAULT_VARIANTS = [
    "hopper-2", "hopper-3", "descriptor-128x128", "descriptor-128x64", "descriptor-128x64-pair", "descriptor-64x64",
    "pointer-128x128", "pointer-128x64",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One problem and what was chosen for it."""

    name: str
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    layout: TileLayout
    plan: SelectionPlan
    lists: TileLists

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Query, key, value."""
        return self.query, self.key, self.value


def make_case(
    kind: str, latents: int, cut: Cut, ratio: float | None, dtype: torch.dtype, rows: int = ROWS, heads: int = HEADS
) -> Case:
    """Random tensors at the shapes of a denoising step (``decode``) or of the context pass (``context``)."""
    history = tile_order((latents, rows, COLUMNS), TILE, cut)
    own = tile_order((4, rows, COLUMNS), TILE, cut)
    middle = TEXT + history.permutation.numel()
    keys = tile_table([history.starts + TEXT] * WORLDS, [history.lengths] * WORLDS, DEVICE)
    generator = torch.Generator(DEVICE).manual_seed(latents)
    if kind == "decode":
        queries = tile_table([own.starts] * WORLDS, [own.lengths] * WORLDS, DEVICE)
        total, count = middle + own.permutation.numel(), own.permutation.numel()
        layout = tile_layout(queries, keys, [[(0, TEXT), (middle, total)]] * WORLDS)
        plan = selection_plan(layout, 0.175 if ratio is None else ratio)
    else:
        queries = tile_table([history.starts] * WORLDS, [history.lengths] * WORLDS, DEVICE)
        total, count = middle, history.permutation.numel()
        layout = tile_layout(queries, keys, [[(0, TEXT)]] * WORLDS)
        protected = [history.neighbours()] * WORLDS if ratio is None else None
        plan = selection_plan(layout, 0.3 if ratio is None else ratio, minimum=7, protected=protected)
    query, key, value = (
        torch.randn(WORLDS, heads, n, WIDTH, generator=generator, device=DEVICE, dtype=dtype)
        for n in (count, total, total)
    )
    lists = block_select(tile_means(query, queries), tile_means(key, keys), plan)
    return Case(f"{kind}-{latents}-{cut}", query, key, value, layout, plan, lists)


def operations(case: Case) -> float:
    """Floating-point operations for true tokens: 2 products of 2 operations each."""
    lengths = case.layout.keys.lengths.cpu()
    own = case.layout.queries.lengths.cpu()
    total = 0
    for world, ranges in enumerate(case.layout.always.ranges):
        always = sum(stop - first for first, stop in ranges)
        chosen = case.lists.indices[world].cpu()
        attended = torch.where(chosen >= 0, lengths[world][chosen.clamp(min=0).long()], 0).sum(dim=-1)
        total += int(((attended + always) * own[world]).sum())
    return 4.0 * WIDTH * total


def relative_rms(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Root mean square error over root mean square."""
    return float((actual.double() - expected.double()).pow(2).mean().sqrt() / expected.double().pow(2).mean().sqrt())


def sample_errors(case: Case, output: torch.Tensor, lse: torch.Tensor) -> dict[str, float]:
    """Errors on some query tiles against float32, and those of plain torch in the same type."""
    ours, plain, lse_error = [], [], 0.0
    tiles = case.layout.queries.counts[0]
    for world, head, tile in ((0, 0, 0), (0, 1, tiles - 1), (WORLDS - 1, case.query.shape[1] - 1, tiles // 2)):
        start, length = (int(x[world, tile]) for x in (case.layout.queries.starts, case.layout.queries.lengths))
        tokens = [torch.arange(first, stop) for first, stop in case.layout.always.ranges[world]]
        for index in case.lists.indices[world, head, tile, : int(case.lists.counts[world, head, tile])].tolist():
            first = int(case.layout.keys.starts[world, index])
            tokens.append(torch.arange(first, first + int(case.layout.keys.lengths[world, index])))
        chosen = torch.cat(tokens).to(case.key.device)
        query, key, value = (
            case.query[world, head, start : start + length],
            case.key[world, head, chosen],
            case.value[world, head, chosen],
        )
        scores = query.double() @ key.double().T * WIDTH**-0.5
        exact = scores.softmax(dim=-1) @ value.double()
        low = (query @ key.T * WIDTH**-0.5).softmax(dim=-1) @ value
        ours.append(relative_rms(output[world, head, start : start + length], exact))
        plain.append(relative_rms(low, exact))
        lse_error = max(lse_error, float((lse[world, head, start : start + length] - scores.logsumexp(-1)).abs().max()))
    return {"error": max(ours), "torch_error": max(plain), "lse_error": lse_error}


def probe(name: str) -> dict[str, Any]:
    """Errors of one variant on small problems."""
    result: dict[str, Any] = {}
    for dtype, cut, kind, latents in (
        (torch.bfloat16, "grid", "decode", 8),
        (torch.bfloat16, "serpentine", "context", 5),
        (torch.float16, "grid", "decode", 4),
    ):
        case = make_case(kind, latents, cut, None, dtype, rows=14, heads=3)
        output, lse = run_config(name, *case.tensors, case.layout, case.lists)
        entry = sample_errors(case, output, lse)
        exact, _ = gathered_block_sparse_attention(*(x.float() for x in case.tensors), case.layout, case.lists)
        entry["whole"] = relative_rms(output, exact)
        good = entry["error"] <= 2 * entry["torch_error"] and entry["whole"] < 5e-3 and entry["lse_error"] < 1e-2
        result[f"{case.name}-{dtype}"] = {"ok": good, **entry}
    dense = make_case("decode", 5, "grid", 1.0, torch.bfloat16, rows=15, heads=3)
    # NaN behind the last key: nothing outside of a tile may be read.
    slack = [torch.cat([x, torch.full_like(x[:, :, :7], torch.nan)], dim=2) for x in (dense.key, dense.value)]
    output, _ = run_config(name, dense.query, *slack, dense.layout, dense.lists)
    error = relative_rms(output, scaled_dot_product_attention(*(x.float() for x in dense.tensors)))
    result["ratio-1-odd"] = {"ok": error < 5e-3, "error": error}
    return result


def probe_in_children(names: list[str], limit: float) -> dict[str, dict[str, Any]]:
    """Return the variants that work on this chip: {"ok" or the error}. Kernels of the same kind share a process."""
    alone = [[name] for name in names if CONFIGS[name].specialized]
    groups = [group for group in (*alone, [name for name in names if not CONFIGS[name].specialized]) if group]
    children = [
        subprocess.Popen(
            [sys.executable, __file__, "--probe", *group], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for group in groups
    ]
    found: dict[str, dict[str, Any]] = {}
    end = time.monotonic() + limit
    for child, group in zip(children, groups, strict=True):
        try:
            out, err = child.communicate(timeout=max(1.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            err = f"did not end within {limit:.0f} s; {err}"
        lines = [json.loads(line[6:]) for line in out.splitlines() if line.startswith("PROBE ")]
        for name in group:
            checks = next((line["checks"] for line in lines if line["name"] == name), None)
            if checks is None:
                found[name] = {"ok": False, "reason": err.strip()[-1500:]}
            else:
                found[name] = {"ok": all(entry["ok"] for entry in checks.values()), "checks": checks}
    return {name: found[name] for name in names}


def flex_attention_of(case: Case) -> Callable[[], Any]:
    """FlexAttention on the same lists: every tile padded to 128 positions, positions without a token masked out."""
    from torch.nn.attention.flex_attention import BlockMask, flex_attention

    device = case.query.device
    text_blocks = [(at, min(128, TEXT - at)) for at in range(0, TEXT, 128)]
    starts, lengths = case.layout.keys.starts[0].tolist(), case.layout.keys.lengths[0].tolist()
    own = list(zip(case.layout.queries.starts[0].tolist(), case.layout.queries.lengths[0].tolist(), strict=True))
    ranges = case.layout.always.ranges[0]
    current = [(ranges[1][0] + first, size) for first, size in own] if len(ranges) > 1 else []
    blocks = text_blocks + list(zip(starts, lengths, strict=True)) + current

    def padded(x: torch.Tensor, pieces: list[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        position = torch.arange(128)
        tokens = torch.cat([first + torch.where(position < size, position, 0) for first, size in pieces]).to(device)
        return x[:, :, tokens].contiguous(), torch.cat([position < size for _, size in pieces]).to(device)

    query, _ = padded(case.query, own)
    key, valid = padded(case.key, blocks)
    value, _ = padded(case.value, blocks)
    chosen = case.lists.indices.long()
    always = [*range(len(text_blocks)), *range(len(blocks) - len(current), len(blocks))]
    fixed = torch.tensor(always, device=device).expand(*chosen.shape[:3], -1)
    listed = torch.cat([fixed, torch.where(chosen >= 0, chosen + len(text_blocks), len(blocks))], dim=-1)
    sizes = torch.tensor([size for _, size in blocks] + [0], device=device)[listed]

    def ordered(keep: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        order = (~keep).to(torch.int8).sort(dim=-1, stable=True).indices
        numbers = listed.gather(-1, order).clamp(max=len(blocks) - 1)
        return keep.sum(-1, dtype=torch.int32), numbers.to(torch.int32).contiguous()

    partial, full = ordered((sizes > 0) & (sizes < 128)), ordered(sizes == 128)
    width = len(blocks)

    def grown(numbers: torch.Tensor) -> torch.Tensor:
        spare = torch.zeros((*numbers.shape[:3], width - numbers.shape[3]), dtype=torch.int32, device=device)
        return torch.cat([numbers, spare], dim=-1)

    mask = BlockMask.from_kv_blocks(
        partial[0], grown(partial[1]), full[0], grown(full[1]), BLOCK_SIZE=128,
        mask_mod=lambda b, h, q, kv: valid[kv],
    )  # fmt: skip
    compiled = torch.compile(flex_attention, dynamic=False)
    return lambda: compiled(query, key, value, block_mask=mask)


def dense_with(case: Case, backend: SDPBackend) -> Callable[[], Any]:
    """Dense attention of all queries over all keys through one backend of torch."""

    def run() -> Any:
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(*case.tensors)

    return run


def graphed(run: Callable[[], Any]) -> Callable[[], Any]:
    """Replay of ``run`` as a CUDA graph; fails if it waits for the GPU anywhere."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(2):
            run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def medians(runs: dict[str, Callable[[], Any]], samples: int) -> dict[str, dict[str, float]]:
    """Milliseconds per run, median and spread (quartiles) of interleaved samples."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(samples + 2):  # the first two rounds warm up
        for name, run in runs.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            torch.cuda._sleep(4_000_000)  # about 2 ms in which the host gets ahead: no launch cost in the times
            begin.record()
            run()
            end.record()
            end.synchronize()
            if number >= 2:
                times[name].append(begin.elapsed_time(end))
    return {
        name: {"ms": statistics.median(values), "ms_quartiles": statistics.quantiles(values, n=4)[::2]}
        for name, values in times.items()
    }


def measure(case: Case, variants: list[str], samples: int, flex: bool) -> dict[str, Any]:
    """Check and time one case."""
    flops = operations(case)
    dense_flops = 4.0 * WIDTH * WORLDS * case.query.shape[1] * case.query.shape[2] * case.key.shape[2]
    runs: dict[str, Callable[[], Any]] = {}
    entry: dict[str, Any] = {
        "case": case.name, "queries": case.query.shape[2], "keys": case.key.shape[2],
        "kept_tiles": case.plan.width, "of_tiles": case.layout.keys.counts[0],
        "density": flops / dense_flops, "tflop": flops / 1e12, "dense_tflop": dense_flops / 1e12, "runs": {},
    }  # fmt: skip
    for name in variants:
        checked = sample_errors(case, *run_config(name, *case.tensors, case.layout, case.lists))
        entry["runs"][name] = checked
        runs[name] = lambda name=name: run_config(name, *case.tensors, case.layout, case.lists)
    optional: dict[str, Callable[[], Callable[[], Any]]] = {
        "dense-flash": lambda: dense_with(case, SDPBackend.FLASH_ATTENTION),
        "dense-cudnn": lambda: dense_with(case, SDPBackend.CUDNN_ATTENTION),
    }
    if flex:
        optional["flex-attention"] = lambda: flex_attention_of(case)
    best = variants[0]
    means = tile_means(case.query, case.layout.queries), tile_means(case.key, case.layout.keys)
    optional["query-means"] = lambda: graphed(lambda: tile_means(case.query, case.layout.queries))
    optional["key-means"] = lambda: graphed(lambda: tile_means(case.key, case.layout.keys))
    optional["select"] = lambda: graphed(lambda: block_select(*means, case.plan))
    optional[f"means+select+{best}"] = lambda: graphed(
        lambda: run_config(
            best, *case.tensors, case.layout,
            block_select(tile_means(case.query, case.layout.queries), means[1], case.plan),
        )
    )  # fmt: skip
    for name, make in optional.items():
        try:
            run = make()
            run()
            torch.cuda.synchronize()
            runs[name] = run
        except Exception as error:  # a backend that this chip or version lacks is a line in the table, not the end
            entry["runs"][name] = {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
    for name, times in medians(runs, samples).items():
        result = entry["runs"].setdefault(name, {})
        result.update(times)
        if name not in ("query-means", "key-means", "select"):
            result["tflops"] = (dense_flops if name.startswith("dense") else flops) / times["ms"] / 1e9
    return entry


def waits_for_nothing(case: Case, name: str) -> bool:
    """Return whether selection and attention run without a synchronisation with the host."""
    run_config(name, *case.tensors, case.layout, case.lists)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        lists = block_select(
            tile_means(case.query, case.layout.queries), tile_means(case.key, case.layout.keys), case.plan
        )
        run_config(name, *case.tensors, case.layout, lists)
    except RuntimeError:
        traceback.print_exc()
        return False
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return True


def print_entry(entry: dict[str, Any]) -> None:
    """One table per case."""
    print(
        f"\n{entry['case']}: {entry['queries']} x {entry['keys']}, "
        f"density {entry['density']:.3f}, {entry['tflop']:.2f} TFLOP"
    )
    for name, run in sorted(entry["runs"].items(), key=lambda item: item[1].get("ms", 1e9)):
        if "failed" in run:
            print(f"  {name:32} failed: {run['failed'][:120]}")
            continue
        rate = f"{run['tflops']:7.0f} TFLOP/s" if "tflops" in run else " " * 15
        error = f"  error {run['error']:.1e} (torch {run['torch_error']:.1e})" if "error" in run else ""
        print(f"  {name:32} {run['ms']:9.4f} ms {rate}{error}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("block_sparse_attention.json"), help="where the JSON goes")
    parser.add_argument("--samples", type=int, default=15, help="timed launches per variant and case")
    parser.add_argument(
        "--variants", nargs="+", default=DEFAULT_VARIANTS, choices=sorted(CONFIGS), help="kernel variants"
    )
    parser.add_argument("--cuts", nargs="+", default=["grid", "serpentine"], help="how tiles are cut")
    parser.add_argument("--decode", nargs="*", type=int, default=[4, 8, 12, 20], help="history latents of decode cases")
    parser.add_argument("--context", nargs="*", type=int, default=[8, 12, 20], help="latents of context cases")
    parser.add_argument(
        "--no-flex", action="store_true", help="leave FlexAttention out (its compilation takes a while)"
    )
    parser.add_argument("--probe-limit", type=float, default=90, help="seconds a variant has for its checks")
    parser.add_argument("--probe", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        for name in options.probe:
            print("PROBE " + json.dumps({"name": name, "checks": probe(name)}), flush=True)
        return
    facts, device = provenance(), torch.cuda.get_device_properties(0)
    probes = probe_in_children(options.variants, options.probe_limit)
    for name, result in probes.items():
        print(
            f"{name:32} {'ok' if result['ok'] else 'NOT OK: ' + result.get('reason', json.dumps(result.get('checks')))}"
        )
    working = [name for name, result in probes.items() if result["ok"]]
    if not working:
        parser.exit(1, "no variant works on this chip\n")
    report: dict[str, Any] = {
        "provenance": facts, "device": device.name,
        "default": default_config(torch.cuda.get_device_capability(), WIDTH, torch.bfloat16),
        "probes": probes, "cases": [],
    }  # fmt: skip
    for kind, numbers in (("decode", options.decode), ("context", options.context)):
        for latents in numbers:
            for cut in options.cuts:
                case = make_case(kind, latents, cut, None, torch.bfloat16)
                # One context case is enough: each costs a compilation.
                flex = not options.no_flex and cut == options.cuts[0] and (kind == "decode" or latents == 12)
                entry = measure(case, working, options.samples, flex)
                entry["no_sync"] = waits_for_nothing(case, working[0])
                report["cases"].append(entry)
                print_entry(entry)
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(report, indent=1))
                del case
                torch.compiler.reset()
                torch.cuda.empty_cache()
    rates: dict[str, list[float]] = {}
    for entry in report["cases"]:
        for name in working:
            rates.setdefault(name, []).append(entry["runs"][name]["tflops"])
    print("\nmedian TFLOP/s over all cases, effective:")
    for name, values in sorted(rates.items(), key=lambda item: -statistics.median(item[1])):
        print(f"  {name:32} {statistics.median(values):7.0f}   (lowest {min(values):.0f}, highest {max(values):.0f})")


if __name__ == "__main__":
    main()
