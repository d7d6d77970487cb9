"""Rotary position embedding on adjacent channel pairs."""

from li_env.kernels.rotary.naive import apply_rotary

__all__ = ["apply_rotary"]
