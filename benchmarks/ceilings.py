"""Shortest possible times on an H200: operations over measured ceilings."""

from __future__ import annotations

GEMM_CEILING, ATTENTION_CEILING = 690.0, 565.0
"""TFLOP/s of bfloat16 matrix products and of dense attention, measured on an H200."""


def floor_ms(work: dict[str, float]) -> float:
    """Return the milliseconds [ms] of ``linear`` and ``attention`` work [TFLOP] at the measured ceilings."""
    return round(1000 * (work["linear"] / GEMM_CEILING + work["attention"] / ATTENTION_CEILING), 1)
