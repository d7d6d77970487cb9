"""Constants of the freedoom worlds for planners."""

from __future__ import annotations

from li_env.accel.geometry.camera import MotionLimits
from li_env.accel.world_spec import WorldSpec
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS
from li_env.worlds.freedoom.geometry import FOCAL
from li_env.worlds.freedoom.sizes import SMALL, Size


def world_spec(size: Size) -> WorldSpec:
    """Return the constants of the world of a size."""
    return WorldSpec(
        name=size.world,
        chunk_latents=4,
        first_chunk_latents=4,
        latent_frames=1,
        frame_size=size.frame_size,
        latent_shape=(LATENT_CHANNELS, *size.token_grid),
        token_grid=size.token_grid,
        fps=8.0,
        focal=FOCAL,
        view_distance=12.0,
        sigmas=(1.0, 0.75, 0.5, 0.25, 0.0),
        context_latents=20,
        temporal_latents=12,
        memory_group=4,
        tile_shape=size.tile_shape,
        motion=MotionLimits(translation=0.75, rotation=15.0, pitch=False),
        length_unit="metre",
        supports_block_sparse=True,
        supports_rival_attention=True,
        supports_step_reuse=True,
        sparse_min_context=size.sparse_min_context,
        supports_shared_work=True,
        fewest_memory_groups=1,
        sink_latents=2,
        revisit_sigmas=(1.0, 0.5, 0.0),
    )


SPEC = world_spec(SMALL)
"""Constants of the small world, ``freedoom``."""
