"""Trajectories and specs for properties that hold along any trajectory and for any budget."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.world_spec import WorldSpec

MOTIONS = st.builds(
    CameraMotion, yaw=st.sampled_from([-15.0, 0.0, 15.0, 90.0]), forward=st.sampled_from([-0.75, 0.0, 0.75])
)


def trajectories(longest: int) -> st.SearchStrategy[np.ndarray]:
    """Draw the poses [n, 4, 4] after each of 1 to ``longest`` motions."""
    return st.lists(MOTIONS, min_size=1, max_size=longest).map(lambda motions: follow(np.eye(4), motions))


@st.composite
def specs(draw: st.DrawFn, base: WorldSpec) -> WorldSpec:
    """Draw a spec with chunks, context and keyframe groups of other sizes, with and without sparse attention."""
    recent = draw(st.integers(1, 12))
    return replace(
        base,
        first_chunk_latents=draw(st.sampled_from([1, 4])),
        chunk_latents=draw(st.sampled_from([1, 3, 4, 7])),
        temporal_latents=recent,
        context_latents=recent + draw(st.integers(0, 16)),
        memory_group=draw(st.sampled_from([1, 2, 3, 4])),
        supports_block_sparse=draw(st.booleans()),
    )
