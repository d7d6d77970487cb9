"""Preset ``paper`` against the stored decisions of the release (docs/spec/matrix_game_3.md, section 12.1)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.kernels.block_select import block_select, selection_plan
from li_env.kernels.tile_order import tile_layout, tile_order, tile_table
from li_env.worlds.common.tile_attention import score_means
from li_env.worlds.matrix_game_3.config import PUBLISHED
from li_env.worlds.matrix_game_3.kinematics import camera_to_world
from li_env.worlds.matrix_game_3.layout import FEWEST_TILES, TILE_SHAPE
from li_env.worlds.matrix_game_3.time_axis import ClipSizes, latent_of, pose_frame
from li_env.worlds.matrix_game_3.world import world_spec
from tests.li_env.worlds.matrix_game_3.stored import stored
from tests.reference.matrix_game_3.retrieval import original_scores

LIGHT = "matrix_game_3_light_tiny"
SPEC = world_spec(PUBLISHED)
NAMES = sorted({key.split(".")[1] for key in stored(LIGHT)[1] if key.startswith("gate.")})
CALLS = sorted({key.split(".")[0] for key in stored(LIGHT)[1] if key.startswith("sparse")})


@cache
def plans(name: str) -> list[ChunkPlan]:
    """Plan every clip after the first along the stored poses of the frames."""
    views = camera_to_world(stored()[1][f"mem.{name}.poses"].numpy())
    count = len(stored(LIGHT)[1][f"gate.{name}.selected"])
    ends = [ClipSizes().clip(1 + index).end_latent for index in range(count)]
    poses = views[[pose_frame(latent) for latent in range(ends[-1])]]
    tracks = [PoseTrack(poses[: end - 10]) for end in ends]
    return Planner(SPEC, AccelConfig.preset("paper")).plan(tracks, [poses[end - 10 : end] for end in ends])


@pytest.mark.parametrize("name", NAMES)
def test_slots_and_steps(name: str) -> None:
    """Compare clip by clip: which slots stay, for which coming view, and whether the middle step is left out.

    Latents may be others where the original's own score, which is noise at the border of the view, is nearly the same.
    """
    tensors = stored(LIGHT)[1]
    views = camera_to_world(stored()[1][f"mem.{name}.poses"].numpy())
    for index, plan in enumerate(plans(name)):
        frames, bases = (tensors[f"gate.{name}.{key}"][index].numpy() for key in ("selected", "bases"))
        frames, bases = frames[frames >= 0], bases[bases >= 0]
        assert len(plan.slots) == len(frames)
        assert (plan.steps == 2) == bool(tensors[f"gate.{name}.cache_allowed"][index])
        end = ClipSizes().clip(1 + index).end_frame
        for (latent, view), frame, base in zip(plan.slots, frames, bases, strict=True):
            assert latent_of(int(base)) == latent_of(end - 1) - 9 + view
            other = latent_of(int(frame))
            if latent != other:
                found, expected = original_scores(views[base], views[[pose_frame(latent), int(frame)]]).tolist()
                assert abs(found - expected) <= 0.15
        assert plan.slots[-1][0] == latent_of(int(frames[-1])) == 1


@pytest.mark.parametrize("name", NAMES)
def test_attention_of_every_clip_with_memory(name: str) -> None:
    """Keep a fifth of the tiles, by cosine, in all 30 blocks and all steps that run."""
    for plan in plans(name):
        attention = plan.attention
        assert (attention.kind, attention.decode_ratio, attention.tile_scores) == ("block_sparse", 0.2, "cosine")
        assert not any(attention.is_dense(block, step) for block in range(30) for step in range(3))
    first = Planner(SPEC, AccelConfig.preset("paper")).plan(
        [PoseTrack(np.zeros((0, 4, 4)))], [np.tile(np.eye(4), (15, 1, 1))]
    )
    assert (first[0].attention.kind, first[0].steps) == ("dense", 3)


@pytest.mark.parametrize("call", CALLS)
def test_tiles_of_the_release(call: str) -> None:
    """Choose by our kernels the tiles that the release chose: budget, protected neighbours and cosine scores."""
    tensors = stored(LIGHT)[1]
    query, key = (tensors[f"{call}.{part}"].float() for part in "qk")
    order = tile_order(tuple(tensors[f"{call}.thw"].tolist()), TILE_SHAPE)
    table = tile_table([order.starts], [order.lengths])
    ratio = float(np.float32(tensors[f"{call}.topk_ratio"]).round(6))
    plan = selection_plan(tile_layout(table, table), ratio, FEWEST_TILES, [order.neighbours()])
    means = [score_means(order.to_tiles(x, 2).contiguous(), table, "cosine") for x in (query, key)]
    assert torch.equal(block_select(*means, plan).indices, tensors[f"{call}.indices"])
