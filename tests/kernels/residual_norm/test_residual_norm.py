"""Residual additions and norms: Triton (interpreted on a CPU) and torch against float64."""

from __future__ import annotations

import pytest
import torch

from li_env.kernels.residual_norm import add_camera_norm, add_cast, add_modulated_norm
from tests.kernels.problems import relative_rms

SIZES = [(7, 64, 1, 3), (33, 48, 2, 0), (5, 96, 1, 5)]
"""Tokens, channels, batch, given tokens."""


def problem(tokens: int, width: int, batch: int, dtype: torch.dtype, device: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(tokens + width)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    vectors = random(2, 6, width).unbind(dim=1)  # strided rows, as pieces of one projection
    return {
        "x": random(batch, tokens, width) + 2,
        "delta": random(batch, tokens, width).to(dtype),
        "gate": vectors[0],
        "scale": vectors[1],
        "shift": vectors[2],
        "camera_scale": random(4, width).to(dtype),
        "camera_shift": random(4, width).to(dtype),
        "row_index": torch.randint(0, 4, (batch, tokens), generator=generator, dtype=torch.int32).to(device),
        "weight": random(width).to(dtype),
        "bias": random(width).to(dtype),
    }


def exact(given: dict[str, torch.Tensor], known: int, kind: str, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    values = {name: value.double() for name, value in given.items()}
    side = (torch.arange(given["x"].shape[1], device=given["x"].device) >= known).long()
    x = values["x"]
    if kind in ("gated", "camera"):
        x = x + values["delta"] * values["gate"][side]
    elif kind in ("added", "cast"):
        x = x + values["delta"]
    if kind == "cast":
        return x, x
    if kind == "camera":
        places = given["row_index"].long()
        x = (1 + values["camera_scale"][places]) * x + values["camera_shift"][places]
    centred = x - x.mean(-1, keepdim=True)
    normed = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    if kind == "camera":
        normed = normed * values["weight"] + values["bias"]
        return normed, normed
    return x, normed * (1 + values["scale"][side]) + values["shift"][side]


def torch_way(given: dict[str, torch.Tensor], known: int, kind: str, dtype: torch.dtype, eps: float):
    x, delta, gate = given["x"].clone(), given["delta"], given["gate"]
    if kind == "cast":
        return add_cast(x, delta, dtype)
    if kind == "camera":
        camera = given["camera_scale"], given["camera_shift"]
        affine = given["weight"], given["bias"]
        return add_camera_norm(x, delta, gate, camera, given["row_index"], *affine, known, dtype, eps)
    delta, gate = (None, None) if kind == "norm" else (delta, gate if kind == "gated" else None)
    return add_modulated_norm(x, delta, gate, given["scale"], given["shift"], known, dtype, eps)


def triton_way(given: dict[str, torch.Tensor], known: int, kind: str, dtype: torch.dtype, eps: float):
    from li_env.kernels.residual_norm.triton import triton_residual_norm

    delta = None if kind == "norm" else given["delta"]
    gate = given["gate"] if kind in ("gated", "camera") else None
    vectors = affine = None
    if kind == "camera":
        vectors, affine = (given["camera_scale"], given["camera_shift"]), (given["weight"], given["bias"])
    elif kind != "cast":
        vectors = given["scale"], given["shift"]
    return triton_residual_norm(given["x"].clone(), delta, gate, vectors, affine, known, dtype, eps, given["row_index"])


@pytest.mark.parametrize("kind", ["norm", "added", "gated", "camera", "cast"])
@pytest.mark.parametrize(("tokens", "width", "batch", "known"), SIZES)
def test_triton_against_float64(kind, tokens, width, batch, known, dtype, device):
    pytest.importorskip("triton")
    given = problem(tokens, width, batch, dtype, device)
    eps = 1e-3  # large enough to be seen
    expected = exact(given, known, kind, eps)
    ways = [way(given, known, kind, dtype, eps) for way in (triton_way, torch_way)]
    for place in (0, 1):
        errors = [relative_rms(way[place], expected[place]) for way in ways]
        assert errors[0] <= 2 * errors[1] + 1e-6
        assert errors[1] < (1e-6 if ways[1][place].dtype == torch.float32 else 2e-3)
    assert ways[0][0].dtype == torch.float32 and ways[0][1].dtype == dtype


def test_worlds_may_be_apart(dtype, device):
    """Update the last tokens of each batch entry alone, as views: the others stay as they are."""
    pytest.importorskip("triton")
    given = problem(9, 32, 2, dtype, device)
    tail = {name: value[:, 4:] if name in ("x", "delta", "row_index") else value for name, value in given.items()}
    for kind in ("gated", "camera"):
        expected = exact(tail, 2, kind, 1e-6)
        from li_env.kernels.residual_norm.triton import triton_residual_norm

        whole = given["x"].clone()
        camera = kind == "camera"
        vectors = (tail["camera_scale"], tail["camera_shift"]) if camera else (tail["scale"], tail["shift"])
        affine = (tail["weight"], tail["bias"]) if camera else None
        x, z = triton_residual_norm(
            whole[:, 4:], tail["delta"], tail["gate"], vectors, affine, 2, dtype, 1e-6, tail["row_index"]
        )
        assert relative_rms(x, expected[0]) < 1e-6 and relative_rms(z, expected[1]) < 2e-3
        assert torch.equal(whole[:, :4], given["x"][:, :4])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(1, 6, 16, dtype=torch.float16)}, r"x: torch.float16 \(1, 6, 16\): float32"),
        ({"delta": torch.zeros(1, 6, 8)}, r"delta: shape \(1, 6, 8\): \(1, 6, 16\) is needed"),
        ({"delta": None}, "gate: given without delta"),
        ({"gate": torch.zeros(3, 16)}, r"vectors: torch.float32 \(3, 16\): float32 \(2, 16\) is needed"),
        ({"scale": torch.zeros(2, 16).half()}, r"vectors: torch.float16 \(2, 16\)"),
    ],
)
def test_bad_input(change, message):
    given = problem(6, 16, 1, torch.float32, "cpu")
    names = ("x", "delta", "gate", "scale", "shift")
    with pytest.raises(ValueError, match=message):
        add_modulated_norm(**{name: {**given, **change}[name] for name in names}, known=1, dtype=torch.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"camera_shift": torch.zeros(5, 16)}, r"camera shift: shape \(5, 16\): \(4, 16\) is needed"),
        ({"camera_scale": torch.zeros(4, 8)}, r"camera scale: shape \(4, 8\): \(4, 16\) is needed"),
        (
            {"row_index": torch.zeros(1, 5, dtype=torch.int32)},
            r"row_index: torch.int32 \(1, 5\): int32 \(1, 6\) is needed",
        ),
        ({"row_index": torch.zeros(1, 6)}, r"row_index: torch.float32 \(1, 6\): int32"),
    ],
)
def test_bad_camera(change, message):
    given = {**problem(6, 16, 1, torch.float32, "cpu"), **change}
    camera = given["camera_scale"], given["camera_shift"]
    affine = given["weight"], given["bias"]
    with pytest.raises(ValueError, match=message):
        add_camera_norm(
            given["x"], given["delta"], given["gate"], camera, given["row_index"], *affine, 1, torch.float32
        )
