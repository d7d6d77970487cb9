"""Compiles the kernels for chips that need not be there and prints what came out, one JSON line per kernel.

Run in a process of its own, without the interpreter: ``python -m tests.kernels.compile_sources``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from li_env.kernels.block_select.triton import block_scores_kernel, block_select_kernel, tile_means_kernel
from li_env.kernels.block_sparse_attention.configs import CONFIGS, FALLBACK, default_config
from li_env.kernels.block_sparse_attention.triton import block_sparse_attention_kernel
from li_env.kernels.extended_frames.triton import extended_frames_kernel
from li_env.kernels.frame_conv.triton import default_config as default_conv_config
from li_env.kernels.frame_conv.triton import frame_conv_kernel
from li_env.kernels.gated_norm.triton import gated_norm_kernel
from li_env.kernels.group_norm.triton import group_norm_silu_kernel
from li_env.kernels.residual_norm.triton import residual_norm_kernel
from li_env.kernels.rms_rotary.triton import rms_rotary_kernel
from li_env.kernels.rope_prope.triton import join_branches_kernel, split_branches_kernel
from li_env.kernels.time_attention.triton import time_attention_kernel

CAPABILITIES = (80, 90, 100, 120)
ENDS = (CAPABILITIES[0], CAPABILITIES[-1])
"""The oldest and the newest: what uses no matrix units comes out alike on the chips between them."""
CASES = ((torch.bfloat16, "bf16", 128), (torch.bfloat16, "bf16", 64), (torch.float32, "fp32", 64))


def attention_source(name: str, width: int, kind: str) -> tuple[ASTSource, dict[str, Any]]:
    config = CONFIGS[name]
    options = {
        "WIDTH": width, "PADDED_WIDTH": triton.next_power_of_2(width), "ROWS": config.rows, "COLUMNS": config.columns,
        "ROW_SPLIT": 128 // config.rows, "COLUMN_SPLIT": 128 // config.columns, "DESCRIPTORS": config.descriptors,
        "STAGES": config.stages, "PRECISION": "ieee",
    }  # fmt: skip
    blocks = f"tensordesc<{kind}[{config.columns},{options['PADDED_WIDTH']}]>" if config.descriptors else f"*{kind}"
    types = {"query": f"*{kind}", "key": f"*{kind}", "value": f"*{kind}", "output": f"*{kind}", "logsumexp": "*fp32",
             "key_blocks": blocks, "value_blocks": blocks, "scale": "fp32"}  # fmt: skip
    compile_options = {"num_warps": config.warps, "num_stages": config.stages}
    if config.registers is not None:
        compile_options["maxnreg"] = config.registers
    return source(ASTSource, block_sparse_attention_kernel, types, options), compile_options


def source(kind: Any, kernel: Any, types: dict[str, str], options: dict[str, Any]) -> Any:
    signature, attributes = {}, {}
    for position, name in enumerate(kernel.arg_names):
        if name in options:
            signature[name] = "constexpr"
            continue
        table = name.endswith(("entries", "counts"))
        signature[name] = types.get(name, "*i32" if table else "i32")
        if signature[name].startswith("*") or "stride" in name:
            attributes[(position,)] = [["tt.divisibility", 16]]
    return kind(kernel, signature, options, attributes)


def gluon_source(width: int, kind: str, stages: int) -> Any:
    from triton.experimental.gluon import language as gl
    from triton.experimental.gluon._runtime import GluonASTSource

    from li_env.kernels.block_sparse_attention.gluon import hopper_attention_kernel

    element = gl.bfloat16 if kind == "bf16" else gl.float16
    types = {"key": f"*{kind}", "value": f"*{kind}", "output": f"*{kind}", "logsumexp": "*fp32", "scale": "fp32"}
    for name, rows in (("query_blocks", 64), ("key_blocks", 128), ("value_blocks", 128)):
        layout = gl.NVMMASharedLayout.get_default_for([rows, width], element)
        types[name] = f"tensordesc<{kind}[{rows}, {width}],{layout!r}>"
    return source(GluonASTSource, hopper_attention_kernel, types, {"WIDTH": width, "STAGES": stages})


def token_sources() -> Iterator[tuple[str, Any]]:
    """Kernels that work token by token."""
    tables = {"matrices": "*fp32", "frames": "*i32", "cos": "*fp32", "sin": "*fp32"}
    types = dict.fromkeys(("x", "out", "weight", "attended"), "*bf16") | tables
    heads = {"WIDTH": 128, "ROWS": 16, "HEADS_EACH": 4}
    for flag in (True, False):
        options = {**heads, "ROTATED": flag, "NORMED": flag}
        yield f"split_branches-{flag}", source(ASTSource, split_branches_kernel, types, options)
    yield "join_branches", source(ASTSource, join_branches_kernel, types, heads)
    types = dict.fromkeys(("z", "first", "second", "gate", "shift", "scale", "y"), "*bf16") | {"frames": "*i32"}
    for branches in (0, 2):
        options = {"WIDTH": 2048, "PADDED_WIDTH": 2048, "BRANCHES": branches}
        yield f"gated_norm-{branches}", source(ASTSource, gated_norm_kernel, types, options)
    types = dict.fromkeys(("x", "weight", "bias", "offset", "out"), "*bf16") | {"offset": "*fp32", "eps": "fp32"}
    options = {"GROUPS": 3, "WIDTH": 16, "PADDED_WIDTH": 16, "PIXELS": 256, "MOVED": True}
    yield "group_norm_silu", source(ASTSource, group_norm_silu_kernel, types, options)
    yield from bidirectional_sources()


def bidirectional_sources() -> Iterator[tuple[str, Any]]:
    """Yield sources for the bidirectional transformer with a float32 residual stream."""
    vectors = dict.fromkeys(("gate", "first", "second"), "*fp32")
    types = dict.fromkeys(("delta", "weight", "bias", "z"), "*bf16") | vectors
    types |= {"x": "*fp32", "row_index": "*i32", "eps": "fp32"}
    for norm in (0, 1, 2):
        options = {"WIDTH": 3072, "PADDED_WIDTH": 4096, "DELTA": True, "GATED": norm > 0, "NORM": norm}
        camera = {"first": "*bf16", "second": "*bf16"} if norm == 2 else {}
        yield f"residual_norm-{norm}", source(ASTSource, residual_norm_kernel, types | camera, options)
    tables = {"cos": "*fp32", "sin": "*fp32", "row_index": "*i32", "axes": "*i32", "eps": "fp32"}
    types = dict.fromkeys(("x", "weight", "out"), "*bf16") | tables
    for heads, width, rotated in ((24, 128, 64), (16, 64, 4)):
        options = {
            "WIDTH": width, "HEADS": triton.next_power_of_2(heads), "PADDED_PAIRS": width // 2, "AXES": 3,
            "ROTATED": rotated, "TABLE_HEADS": heads if heads > 16 else 1, "WEIGHTED": heads > 16,
            "PER_HEAD": heads <= 16,
        }  # fmt: skip
        yield f"rms_rotary-{heads}", source(ASTSource, rms_rotary_kernel, types, options)


def time_source() -> Any:
    """Return the source of attention over time, which has matrix products."""
    types = {"qkv": "*bf16", "lines": "*i64", "out": "*bf16", "scale": "fp32", "eps": "fp32"}
    types |= {"cos": "*fp32", "sin": "*fp32", "row_index": "*i32", "axes": "*i32"}
    options = {"WIDTH": 64, "PADDED_PAIRS": 32, "ROTATED": 4, "LATENTS": 32, "PRECISION": "tf32"}
    return source(ASTSource, time_attention_kernel, types, options)


def frame_sources(kind: str) -> Iterator[tuple[str, Any, dict[str, int]]]:
    """Kernels of the causal convolution, for the chips with bulk loads."""
    types = dict.fromkeys(("x", "gamma", "past", "out", "bias", "residual"), f"*{kind}")
    options = {"CHANNELS": 128, "PADDED_CHANNELS": 128, "PIXELS": 32, "NORMED": True, "BEGUN": True}
    for zero in (False, True):
        made = source(ASTSource, extended_frames_kernel, types, {**options, "ZERO": zero})
        yield f"extended_frames-{zero}", made, {"num_warps": 4}
    for outputs in (16, 64, 128, 512):
        config = default_conv_config(outputs)
        for name, rows in (("pixels_blocks", config.pixels), ("weight_blocks", config.channels)):
            types[name] = f"tensordesc<{kind}[{rows},{config.depth}]>"
        options = {
            "IN": 256, "OUT": outputs, "PIXELS": config.pixels, "CHANNELS": config.channels, "DEPTH": config.depth,
            "GROUP": config.group, "RESIDUAL": True,
        }  # fmt: skip
        made = source(ASTSource, frame_conv_kernel, types, options)
        yield f"frame_conv-{outputs}", made, {"num_warps": config.warps, "num_stages": config.stages}


def report(name: str, capability: int, compiled: Any) -> None:
    ptx = compiled.asm["ptx"]
    facts = {
        "kernel": name,
        "capability": capability,
        "shared": compiled.metadata.shared,
        "wgmma": ptx.count("wgmma.mma_async"),
        "bulk_loads": ptx.count("cp.async.bulk.tensor"),
        "registers_moved": ptx.count("setmaxnreg"),
    }
    print(json.dumps(facts), flush=True)


def main() -> None:
    for capability in CAPABILITIES:
        target = GPUTarget("cuda", capability, 32)
        chip = divmod(capability, 10)
        for dtype, kind, width in CASES:
            if dtype == torch.float32 and capability not in ENDS:
                continue
            name = default_config(chip, width, dtype)
            if CONFIGS[name].specialized:
                name = FALLBACK  # the Gluon kernel is compiled below
            made, options = attention_source(name, width, kind)
            report(f"attention-{name}-{width}-{kind}", capability, triton.compile(made, target=target, options=options))
        scores = source(
            ASTSource,
            block_scores_kernel,
            {"query_means": "*fp32", "key_means": "*fp32", "scores": "*fp32", "scale": "fp32"},
            {"WIDTH": 128, "PADDED_WIDTH": 128, "STEP": 16, "ROWS": 32, "COLUMNS": 64},
        )
        report("block_scores", capability, triton.compile(scores, target=target, options={"num_warps": 4}))
        report("time_attention", capability, triton.compile(time_source(), target=target, options={"num_warps": 4}))
    for capability in ENDS:
        target = GPUTarget("cuda", capability, 32)
        means = source(
            ASTSource,
            tile_means_kernel,
            {"x": "*bf16", "means": "*fp32"},
            {"WIDTH": 128, "PADDED_WIDTH": 128, "BLOCK": 128},
        )
        report("tile_means", capability, triton.compile(means, target=target, options={"num_warps": 4}))
        select = source(
            ASTSource, block_select_kernel,
            {"all_scores": "*fp32", "kept": "*i32", "protected": "*u8", "indices": "*i32", "packed": "*i32"},
            {"COLUMNS": 128, "BLOCK": 128, "PROTECTED": True},
        )  # fmt: skip
        report("block_select", capability, triton.compile(select, target=target, options={"num_warps": 1}))
        for name, made in token_sources():
            report(name, capability, triton.compile(made, target=target, options={"num_warps": 4}))
    for capability in (90, 100):
        for name, made, options in frame_sources("fp16"):
            target = GPUTarget("cuda", capability, 32)
            report(name, capability, triton.compile(made, target=target, options=options))
    for width, kind, stages in ((128, "bf16", 3), (64, "fp16", 2)):
        compiled = triton.compile(
            gluon_source(width, kind, stages), target=GPUTarget("cuda", 90, 32), options={"num_warps": 4}
        )
        report(f"hopper-{stages}-{width}-{kind}", 90, compiled)


if __name__ == "__main__":
    main()
