"""Dense attention of current tokens over [context | current] keys."""

from li_env.kernels.attention.sdpa import attend, attend_joined

__all__ = ["attend", "attend_joined"]
