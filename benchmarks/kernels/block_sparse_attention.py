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
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.kernels.block_sparse_cases import (
    WIDTH,
    WORLDS,
    Case,
    make_case,
    operations,
    relative_rms,
    sample_errors,
)
from benchmarks.kernels.block_sparse_rivals import dense_with, flex_attention_of
from benchmarks.provenance import provenance
from li_env.kernels.block_select import block_select, tile_means
from li_env.kernels.block_sparse_attention import run_config
from li_env.kernels.block_sparse_attention.configs import CONFIGS, default_config
from li_env.kernels.block_sparse_attention.gathered import gathered_block_sparse_attention

DEFAULT_VARIANTS = [
    "hopper-2", "hopper-3", "descriptor-128x128", "descriptor-128x64", "descriptor-128x64-pair", "descriptor-64x64",
    "pointer-128x128", "pointer-128x64",
]  # fmt: skip


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
