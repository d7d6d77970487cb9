"""Dense attention of current tokens over [context | current] keys."""

from li_env.kernels.attention.fused import attend_joined
from li_env.kernels.attention.naive import attend

__all__ = ["attend", "attend_joined"]
