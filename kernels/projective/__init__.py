"""Per-frame 4x4 camera transforms of head vectors (the ProPE branch)."""

from li_env.kernels.projective.naive import apply_projective

__all__ = ["apply_projective"]
