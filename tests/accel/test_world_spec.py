from __future__ import annotations

from dataclasses import replace

import pytest

from tests.analytic_world import SPEC


def test_derived_sizes() -> None:
    spec = replace(SPEC, first_chunk_latents=1, chunk_latents=4, latent_frames=4)
    assert spec.chunk_frames == 16
    assert [spec.latents_in_chunk(chunk) for chunk in range(3)] == [1, 4, 4]
    assert [spec.new_latents(chunk) for chunk in range(3)] == [0, 4, 4]


def test_frames_of_chunks() -> None:
    """Cover the three worlds: freedoom, HY-WorldPlay, and Matrix-Game, whose first chunk is longer."""
    for first, later, frames, new in ((4, 4, 1, (3, 4)), (4, 4, 4, (12, 16)), (15, 10, 4, (56, 40))):
        spec = replace(SPEC, first_chunk_latents=first, chunk_latents=later, latent_frames=frames)
        assert [spec.new_frames(chunk) for chunk in range(3)] == [new[0], new[1], new[1]]
        assert spec.chunk_frames == max(new)
        assert spec.step_frames == new[1]
        assert [spec.frames_before(chunk) for chunk in range(4)] == [0, new[0], new[0] + new[1], new[0] + 2 * new[1]]


def test_field_of_view() -> None:
    horizontal, vertical = SPEC.fov
    assert horizontal == pytest.approx(90.0)
    assert vertical == pytest.approx(64.0108, abs=1e-3)
