from __future__ import annotations

from dataclasses import replace

import pytest

from li_env.accel.world import WorldModel
from tests.analytic_world import SPEC, AnalyticWorld


def test_derived_sizes() -> None:
    spec = replace(SPEC, first_chunk_latents=1, chunk_latents=4, latent_frames=4)
    assert spec.chunk_frames == 16
    assert [spec.latents_in_chunk(chunk) for chunk in range(3)] == [1, 4, 4]


def test_field_of_view() -> None:
    horizontal, vertical = SPEC.fov
    assert horizontal == pytest.approx(90.0)
    assert vertical == pytest.approx(64.0108, abs=1e-3)


def test_analytic_world_follows_the_protocol() -> None:
    assert isinstance(AnalyticWorld(), WorldModel)
