"""Figures about block-sparse attention."""

from __future__ import annotations

from typing import Any

from figure_tools import Recorded, figure, fixed, paragraph, span, table, whole

SPEED = "kernels/block_sparse_attention_h200.json"
SELECTION = "kernels/block_sparse_attention_h200_selection.json"
OURS = "hopper-2"
KINDS = {"decode": "denoising", "context": "context pass"}


def tflops(case: dict[str, Any], variant: str) -> str:
    """Rate of a variant, empty where it was not measured."""
    return fixed(case["runs"].get(variant, {}).get("tflops"), 0)


def overhead(case: dict[str, Any], *parts: str) -> str:
    """Per cent that parts add to our kernel."""
    runs = case["runs"]
    return f"{100 * sum(runs[part]['ms'] for part in parts) / runs[OURS]['ms']:.1f} %"


@figure("kernels.table")
def attention_table(recorded: Recorded) -> str:
    """All cases with tiles cut as boxes."""
    rows = []
    for case in recorded.get(SPEED, "cases"):
        kind, latents, cut = case["case"].split("-")
        if cut == "grid":
            beside = recorded.pick(SELECTION, "cases", case=case["case"])
            rows.append(
                (
                    f"{KINDS[kind]}, {latents} latents",
                    f"{case['queries']} x {case['keys']}",
                    f"{100 * case['density']:.0f} %",
                    *(tflops(case, name) for name in (OURS, "flex-attention", "dense-cudnn", "dense-flash")),
                    overhead(beside, "query-means", "select"),
                    overhead(beside, "query-means", "select", "key-means"),
                )
            )
    header = ("case", "queries x keys", "kept", "ours", "FlexAttention", "dense, cuDNN", "dense, flash", "selection")
    return table((*header, "with means of keys"), rows)


@figure("kernels.text")
def attention_text(recorded: Recorded) -> str:
    """Compare with the release's kernel, other tiles and float32."""
    cases = recorded.get(SPEED, "cases")
    walks = [case["runs"][OURS]["tflops"] for case in cases if case["case"].endswith("serpentine")]
    ours = [1000 * case["runs"][OURS]["error"] for case in cases]
    dense = min(1000 * case["runs"][OURS]["torch_error"] for case in cases)
    release = recorded.get("published.json", "block_sparse_attention", "release_tflops")
    return paragraph(
        f"""The release's kernel reaches {release} TFLOP/s on such a GPU (`published.json`). With tiles cut along a
        winding walk instead of boxes ("serpentine" in the files), which leaves no partial tiles, ours reaches
        {span(walks)}. Its error against float32 is {span(ours, lambda value: f"{value:.1f}")} thousandths, that of
        torch's dense attention in bfloat16 {dense:.1f} thousandths or more. Nothing waits for the host (`no_sync` in
        the files)."""
    )


@figure("kernels.ours")
def ours(recorded: Recorded) -> str:
    """Range of our kernel over the cases of the table, TFLOP/s."""
    cases = recorded.get(SPEED, "cases")
    return span((case["runs"][OURS]["tflops"] for case in cases if case["case"].endswith("grid")), whole)
