"""Weight files at half the size of bfloat16: large matrices as int8 with one scale per row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from li_env.tensor_files import FLOATS, check_tensors, open_tensors
from li_env.validation import shown, shown_path

SCALE = ".row_scale"
"""What is appended to a matrix's name for the scales of its rows."""

LEAST = 4096
"""Numbers that a tensor must have to be packed."""


def pack(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return what `read_packed` reads: int8 rows with float32 scales [rows]; vectors and small tensors as bfloat16."""
    out: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        if value.ndim < 2 or value.numel() < LEAST:
            out[name] = value.to(torch.bfloat16).contiguous()
            continue
        rows = value.float().flatten(1)
        scale = rows.abs().amax(1).clamp(min=1e-12) / 127
        out[name] = (rows / scale[:, None]).round().to(torch.int8).view(value.shape)
        out[name + SCALE] = scale
    return out


def read_packed(path: Path, shapes: Mapping[str, tuple[int, ...]], what: str) -> dict[str, torch.Tensor]:
    """Read weights of ``shapes``, packed or in any float type.

    Raises:
        ValueError: damaged, or other names, shapes or kinds of numbers; nothing is read then.
    """
    scales = {name for name in open_tensors(path).keys() if name.endswith(SCALE)}  # noqa: SIM118 - no dictionary
    rows = {name: (shapes[base][0],) for name in scales if (base := name.removesuffix(SCALE)) in shapes}
    file = check_tensors(path, {**shapes, **rows}, what, kinds=(*FLOATS, "I8"))
    out: dict[str, torch.Tensor] = {}
    for name, shape in shapes.items():
        value = file.get_tensor(name)
        if (value.dtype == torch.int8) != (name + SCALE in scales):
            raise ValueError(
                f"{shown_path(path)} is damaged: int8 rows and scales of {shown(name)} do not belong together"
            )
        if value.dtype == torch.int8:
            value = (value.flatten(1).float() * file.get_tensor(name + SCALE).float()[:, None]).view(shape)
        out[name] = value
    return out
