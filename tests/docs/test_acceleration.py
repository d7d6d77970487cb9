"""What docs/acceleration.md says of the presets is what the planner decides."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from li_env.accel.config import AccelConfig, preset_names
from li_env.accel.geometry.camera import follow
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.accel.world_spec import WorldSpec
from li_env.worlds.calibration import calibration
from li_env.worlds.freedoom.spec import SPEC as FREEDOOM
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.world import world_spec

PAGE = (Path(__file__).parents[2] / "docs" / "acceleration.md").read_text(encoding="utf-8")
HY = world_spec(HYWorldPlayConfig())
ROWS = {cells[1].strip("` "): cells for line in PAGE.splitlines() if len(cells := line.split("|")) == 10}
"""Rows of the table of eight columns, by preset."""


def plans(spec: WorldSpec, preset: str) -> list[ChunkPlan]:
    """Plan 16 chunks that turn left and back, without a world."""
    motions = parse_trajectory("left-31, right-32", spec.motion)
    poses = np.concatenate([np.eye(4)[None], follow(np.eye(4), motions)])
    starts = range(0, len(poses), spec.chunk_latents)
    planner = Planner(spec, AccelConfig.preset(preset))
    return planner.plan([PoseTrack(poses[:start]) for start in starts], [poses[s : s + 4] for s in starts])


def last_of(found: list[ChunkPlan], regime: str) -> ChunkPlan:
    return [plan for plan in found if plan.regime == regime][-1]


def test_every_preset_has_a_row():
    assert set(preset_names()) <= set(ROWS)


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("spec", [FREEDOOM, HY], ids=["freedoom", "hy_worldplay"])
def test_rows_are_what_the_planner_decides(spec, preset):
    _, _, window, memory, steps, attention, *_ = ROWS[preset]
    found = plans(spec, preset)
    explore, revisit = last_of(found, "explore"), last_of(found, "revisit")
    assert len(explore.temporal) == len(revisit.temporal) == int(re.search(r"\d+", window)[0])
    least, most = (4, 8) if preset == "paper" else (8, 8) if "as `off`" in memory or preset == "off" else (0, 8)
    assert str(least) in memory and str(most) in memory
    for plan in (explore, revisit):  # early in an episode there is less to retrieve
        assert min(least, plan.temporal[0]) <= len(plan.memory) <= most
    assert revisit.steps == (2 if "2 in a revisit" in steps or "2 where" in steps else 4)
    assert explore.steps == 4
    sparse = "sparse" in attention
    fires = sparse and (spec is HY or preset in ("paper", "bsa", "svg"))
    kind = preset if preset in ("bsa", "svg") else "block_sparse"
    assert {plan.attention.kind for plan in found[3:]} == {kind if fires else "dense"}
    assert {plan.reuse_threshold for plan in found[3:]} == {0.1 if "reused" in steps else None}


@pytest.mark.parametrize("preset", preset_names())
def test_the_first_chunks_are_the_plain_models(preset):
    for spec in (FREEDOOM, HY):
        first = 0 if preset == "all" and spec is FREEDOOM else 3
        for plan, plain in zip(plans(spec, preset)[:first], plans(spec, "off")[:first], strict=True):
            assert (plan.context, plan.sigmas, plan.attention) == (plain.context, plain.sigmas, plain.attention)


def test_numbers_of_the_facts():
    assert "crossover is 21 context latents and its\n  context holds 20" in PAGE
    assert (FREEDOOM.sparse_min_context, FREEDOOM.context_latents, FREEDOOM.fewest_memory_groups) == (21, 20, 1)
    assert [name for name in preset_names() if AccelConfig.preset(name).window == "adaptive"] == ["adaptive"]
    assert f"`freedoom` ships {calibration('freedoom').window_kappa}" in PAGE
    bsa, svg = AccelConfig.preset("bsa"), AccelConfig.preset("svg")
    assert (bsa.decode_ratio, bsa.context_ratio, bsa.dense_first_block) == (0.3125, 0.3125, False)
    assert (svg.band_width, svg.dense_blocks, svg.dense_steps) == (2.0, 2, 1)
    paper = AccelConfig.preset("paper").in_world("matrix_game_3")
    assert (paper.decode_ratio, paper.tile_scores, paper.dense_first_block) == (0.2, "cosine", False)
    config = AccelConfig.preset("all")
    assert (config.decode_ratio, config.context_ratio, config.dense_first_block) == (0.175, 0.3, True)
    assert (config.warmup_chunks, config.revisit_similarity, config.memory_threshold) == (3, 0.7, 0.2)


def test_what_all_skips_in_a_revisit():
    revisit = last_of(plans(HY, "all"), "revisit")
    assert revisit.sigmas == (HY.sigmas[0], HY.sigmas[-2], 0.0)
    assert len(revisit.context) == 8
    revisit, explore = (last_of(plans(FREEDOOM, "all"), regime) for regime in ("revisit", "explore"))
    assert (revisit.sigmas, explore.sigmas) == ((1.0, 0.5, 0.0), (1.0, 0.75, 0.5, 0.25, 0.0))
    assert (len(revisit.context), len(explore.context)) == (10, 6)
    assert explore.memory == (0, 3)
    assert len(last_of(plans(HY, "all"), "explore").context) == 4


def test_modules_of_the_last_table_exist():
    for path in re.findall(r"`((?:accel|li_env|kernels)/[\w/.]+)`", PAGE):
        assert (Path(__file__).parents[2] / path).exists(), path
