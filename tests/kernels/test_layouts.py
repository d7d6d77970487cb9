"""Kernels without stride arguments refuse strided tensors: read as raw memory they would give wrong numbers."""

import pytest
import torch

from li_env.kernels.gated_norm import gated_norm
from li_env.kernels.group_norm import group_norm_silu
from li_env.kernels.residual_norm import add_camera_norm, add_modulated_norm
from li_env.kernels.rms_rotary import rms_rotary
from li_env.kernels.rope_prope import join_branches, split_branches

B, S, C, F, H, D = 2, 6, 16, 3, 2, 8


def spread(values: torch.Tensor) -> torch.Tensor:
    """Return the same values, every second one in memory along the last dimension."""
    wide = torch.zeros(*values.shape[:-1], 2 * values.shape[-1], dtype=values.dtype)
    wide[..., ::2] = values
    return wide[..., ::2]


def gated(**changed):
    given = {
        "z": torch.randn(B, S, C),
        "branches": (torch.randn(B, S, C),),
        "gate": torch.randn(B, F, C),
        "shift": torch.randn(B, F, C),
        "scale": torch.randn(B, F, C),
        "frames": torch.arange(S, dtype=torch.int32) // 2,
    }
    return gated_norm(**{**given, **{name: change(given[name]) for name, change in changed.items()}})


def split(**changed):
    given = {
        "x": torch.randn(B, S, H * D),
        "out": torch.empty(2 * B, H, S, D),
        "matrices": torch.randn(B, F, 4, 4),
        "frames": torch.arange(S, dtype=torch.int32) // 2,
        "weight": torch.randn(D),
    }
    given = {**given, **{name: change(given[name]) for name, change in changed.items() if name in given}}
    table = changed.get("rotation", lambda values: values)(torch.randn(S, D // 2))
    return split_branches(**given, rotation=(table, table))


def join(attended=lambda values: values):
    frames = torch.arange(S, dtype=torch.int32) // 2
    return join_branches(attended(torch.randn(2 * B, H, S, D)), torch.randn(B, F, 4, 4), frames)


def modulated(**changed):
    given = {name: torch.randn(2, C) for name in ("gate", "scale", "shift")}
    given = {**given, **{name: change(given[name]) for name, change in changed.items()}}
    return add_modulated_norm(torch.randn(1, S, C), torch.randn(1, S, C), **given, known=1, dtype=torch.float32)


def camera(**changed):
    given = {
        "row_index": torch.zeros(1, S, dtype=torch.int32),
        "weight": torch.randn(C),
        "bias": torch.randn(C),
    }
    given = {**given, **{name: change(given[name]) for name, change in changed.items()}}
    x, delta = torch.randn(1, S, C), torch.randn(1, S, C)
    return add_camera_norm(
        x, delta, torch.randn(2, C), (torch.randn(4, C), torch.randn(4, C)), **given, known=1, dtype=torch.float32
    )


def normed(**changed):
    given = {"weight": torch.randn(C), "bias": torch.randn(C), "offset": torch.randn(C)}
    given = {**given, **{name: change(given[name]) for name, change in changed.items()}}
    return group_norm_silu(torch.randn(1, C, 2, 3), 4, **given, eps=1e-6)


def rotary(weight=lambda values: values):
    return rms_rotary(torch.randn(B, S, H * D), H, weight(torch.randn(H * D)), None, 1e-6, False)


CASES = [
    *[(gated, name) for name in ("z", "gate", "shift", "scale", "frames")],
    *[(split, name) for name in ("out", "frames", "weight", "rotation")],
    (join, "attended"),
    *[(modulated, name) for name in ("gate", "scale", "shift")],
    *[(camera, name) for name in ("row_index", "weight", "bias")],
    *[(normed, name) for name in ("weight", "bias", "offset")],
    (rotary, "weight"),
]


@pytest.mark.parametrize(("kernel", "name"), CASES, ids=[f"{kernel.__name__}-{name}" for kernel, name in CASES])
def test_other_strides_are_refused(kernel, name):
    kernel()
    with pytest.raises(ValueError, match=r"strides \(.*needed"):
        kernel(**{name: spread})
