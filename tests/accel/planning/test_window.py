from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from li_env.accel.budget import most_recent_latents
from li_env.accel.config import CHOICES, AccelConfig
from li_env.accel.planning.window import WINDOW_POLICIES, AdaptiveWindow, FixedWindow
from tests.analytic_world import SPEC

LONG = replace(SPEC, temporal_latents=20, context_latents=28)


def test_registry_has_the_words_of_the_settings() -> None:
    assert tuple(WINDOW_POLICIES) == CHOICES["window"]


@pytest.mark.parametrize(("chunks", "latents"), [(None, 12), (1, 4), (2, 8), (3, 12), (9, 12)])
def test_fixed_window(chunks: int | None, latents: int) -> None:
    config = AccelConfig(window_chunks=chunks)
    assert FixedWindow(SPEC, config).latents(None) == FixedWindow(SPEC, config).latents(5.0) == latents
    assert most_recent_latents(SPEC, config) == latents
    assert FixedWindow(SPEC, config).reason(5.0) == ""


def test_fixed_window_need_not_be_whole_chunks() -> None:
    spec = replace(SPEC, chunk_latents=10, temporal_latents=4)
    assert FixedWindow(spec, AccelConfig()).latents(None) == 4
    assert FixedWindow(spec, AccelConfig(window_chunks=1)).latents(None) == 4
    assert AdaptiveWindow(spec, AccelConfig()).latents(3.0) == 4


def test_adaptive_window_shrinks_step_by_step() -> None:
    """Compute by hand: round(5 * 0.5 / (D + 0.5))."""
    window = AdaptiveWindow(LONG, AccelConfig(window_kappa=0.5))
    changes = (None, 0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 1e9)
    assert [window.chunks(change) for change in changes] == [5, 5, 4, 4, 2, 2, 1, 1]
    assert [window.latents(change) for change in changes] == [20, 20, 16, 16, 8, 8, 4, 4]
    assert window.reason(2.0) == "latents change by 2, so the window is 1 of 5 chunks"
    assert "no change of latents is known" in window.reason(None)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1e-3, 1e3), st.integers(1, 9))
def test_adaptive_window_is_monotonous_and_bounded(first: float, second: float, kappa: float, chunks: int) -> None:
    window = AdaptiveWindow(LONG, AccelConfig(window_kappa=kappa, window_chunks=chunks))
    lengths = [window.chunks(change) for change in sorted((first, second))]
    assert min(chunks, 5) >= lengths[0] >= lengths[1] >= 1
