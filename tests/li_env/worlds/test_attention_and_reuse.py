"""What is planned is what is computed, in the three worlds: model calls, tokens and tiles, for every preset.

Policies that leave nothing out equal the plain model, and a stored plan makes the same chunk again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from li_env.accel.config import AccelConfig, preset_names
from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.planning.validate import stored_plans
from li_env.accel.runtime.chunk import ChunkResult, GenerationState
from li_env.accel.runtime.engine import Engine
from li_env.accel.runtime.report import RolloutReport
from li_env.accel.world import BaseWorld
from li_env.kernels.block_select import tile_budget
from li_env.worlds.common import band_attention, tile_attention
from li_env.worlds.hy_worldplay.build import random_world as random_hy
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.matrix_game_3 import layout as mg3_layout
from li_env.worlds.matrix_game_3.build import random_world as random_mg3
from li_env.worlds.matrix_game_3.config import ActionConfig, MatrixGame3Config
from tests.narrow_freedoom import narrow_freedoom

CPU = torch.device("cpu")
HY = HYWorldPlayConfig(4, 64, 2, 3, 2.0, (8, 12, 12), text_width=8, vision_width=8, byt5_widths=(8, 8, 8))
MG3 = MatrixGame3Config(
    in_dim=48, out_dim=48, dim=64, ffn_dim=128, freq_dim=32, num_heads=2, num_layers=2, text_len=12, text_dim=32,
    action_config=ActionConfig((0,), 2, 8, 6, 32, 2, 32, (4, 6, 6)),
)  # fmt: skip
LOADERS = {
    "freedoom": narrow_freedoom,
    "hy_worldplay": lambda: random_hy(HY, CPU, (6, 8)),
    "matrix_game_3": lambda: random_mg3(CPU, MG3, (16, 16)),
}


@dataclass(frozen=True)
class Begun:
    """An episode of a world that has turned away and half back, and the motions of its next chunk."""

    world: BaseWorld
    state: GenerationState
    motions: tuple[CameraMotion, ...]

    def step(self, config: AccelConfig, plan: ChunkPlan | None = None) -> ChunkResult:
        _, (result,) = Engine(self.world, config).step([self.state], [self.motions], None if plan is None else [plan])
        return result


@pytest.fixture(scope="module", params=LOADERS)
def begun(request: pytest.FixtureRequest) -> Iterator[Begun]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    world = LOADERS[request.param]()
    spec, engine = world.spec, Engine(world, AccelConfig.preset("off"))
    images = world.start_views.images
    (state,) = engine.start([images[0]], ["a street"], [3])
    turn = spec.motion.rotation
    chunks = 3 if request.param == "matrix_game_3" else 5
    for chunk in range(chunks):
        motion = CameraMotion(yaw=-turn if chunk < (chunks + 1) // 2 else turn)
        (state,), _ = engine.step([state], [(motion,) * spec.new_latents(chunk)])
    yield Begun(world, state, (CameraMotion(yaw=turn),) * spec.chunk_latents)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def plain(begun: Begun) -> ChunkResult:
    """Make the next chunk with nothing left out; the episode itself does not move."""
    return begun.step(AccelConfig.preset("off"))


def networks(world: Any) -> list[torch.nn.Module]:
    """Return the feed-forward networks of the blocks: all run once per computed step, all but the last per context."""
    if world.spec.name == "matrix_game_3":
        return [block.ffn for block in world.model.blocks]
    model = world.dynamics.transformer if world.spec.name == "freedoom" else world.parts.model
    return [block.img_mlp for block in model.double_blocks]


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, torch.Tensor]]:
    """Record (tiles to choose from, tiles kept) of every call of the kernel."""
    calls: list[tuple[int, torch.Tensor]] = []
    for module in (tile_attention, band_attention, mg3_layout):
        original = module.block_sparse_attention

        def counted(query, key, value, layout, lists, original=original):
            calls.append((layout.keys.counts[0], lists.counts))
            return original(query, key, value, layout, lists)

        monkeypatch.setattr(module, "block_sparse_attention", counted)
    return calls


@pytest.mark.parametrize("name", preset_names())
def test_what_is_planned_is_what_is_computed(begun: Begun, tiles: list[Any], name: str) -> None:
    config = AccelConfig.preset(name).replace(warmup_chunks=1, sparse_min_context=1, dense_blocks=0)
    config = config.replace(worlds={})
    first: list[int] = []
    last: list[int] = []
    blocks = networks(begun.world)
    hooks = [
        blocks[0].register_forward_hook(lambda module, given, out: first.append(given[0].shape[:-1].numel())),
        blocks[-1].register_forward_hook(lambda module, given, out: last.append(given[0].shape[:-1].numel())),
    ]
    try:
        result = begun.step(config)
    finally:
        for hook in hooks:
            hook.remove()
    plan, spec = result.plan, begun.world.spec
    place = spec.token_grid[0] * spec.token_grid[1]
    new = spec.chunk_latents * place
    assert len(last) == plan.computed_steps and set(last) == {new}
    if spec.name == "matrix_game_3":
        sequence = (len(plan.slots) or len(plan.memory)) + len(plan.temporal) + spec.chunk_latents
        assert first == [sequence * place] * plan.computed_steps
        contexts = 0
    else:
        assert first == [plan.context_latents * place] + [new] * plan.computed_steps
        contexts = 1
    depth, attention = len(blocks), plan.attention
    if attention.kind == "dense":
        assert not tiles
        return
    dense = sum(attention.is_dense(block, step) for step in range(plan.steps) for block in range(depth))
    inside = contexts * sum(not attention.is_dense(block) for block in range(depth - 1))
    calls = inside + plan.steps * depth - dense
    if attention.kind == "svg":  # one or two calls: heads of two kinds
        assert calls <= len(tiles) <= 2 * calls
        return
    assert len(tiles) == calls
    for number, (count, kept) in enumerate(tiles):
        ratio = attention.context_ratio if number < inside else attention.decode_ratio
        least = 7 if attention.kind == "block_sparse" and (number < inside or not contexts) else 1
        budget = tile_budget(ratio, count, least)
        assert int(kept.min()) >= budget
        if attention.kind == "bsa":
            assert set(kept.flatten().tolist()) == {budget}
        if number >= inside and contexts and attention.kind == "block_sparse":
            assert set(kept.flatten().tolist()) == {budget}


@pytest.mark.parametrize(
    "changes",
    [
        {"attention": AttentionPlan("block_sparse", 1.0, 1.0, dense_first_block=False)},
        {"attention": AttentionPlan("block_sparse", 1.0, 1.0, dense_first_block=False, tile_scores="cosine")},
        {"attention": AttentionPlan("bsa", 1.0, 1.0, dense_first_block=False)},
        {"attention": AttentionPlan("svg", band_width=1000.0, dense_first_block=False)},
        {"reuse_threshold": 0.0},
    ],
    ids=["block_sparse", "cosine", "bsa", "svg", "teacache"],
)
def test_leaving_nothing_out_is_the_plain_model(begun: Begun, plain: ChunkResult, changes: dict[str, Any]) -> None:
    off = AccelConfig.preset("off")
    made = begun.step(off, replace(plain.plan, **changes))
    torch.testing.assert_close(made.latents, plain.latents, atol=3e-5, rtol=1e-4)
    assert made.plan.computed == ((True,) * plain.plan.steps if "reuse_threshold" in changes else ())


@pytest.mark.parametrize(
    "changes",
    [
        {"attention": AttentionPlan("bsa", 0.3125, 0.3125, dense_first_block=False)},
        {"attention": AttentionPlan("svg", band_width=2.0, dense_first_block=False)},
        {"reuse_threshold": 1e9},
    ],
    ids=["bsa", "svg", "teacache"],
)
def test_leaving_something_out_is_not_and_a_stored_plan_repeats_it(
    begun: Begun, plain: ChunkResult, changes: dict[str, Any]
) -> None:
    off = AccelConfig.preset("off")
    made = begun.step(off, replace(plain.plan, **changes))
    assert not torch.allclose(made.latents, plain.latents, atol=1e-5)
    if "reuse_threshold" in changes:
        assert made.plan.computed == (True, *[False] * (plain.plan.steps - 2), True)
    report = RolloutReport(begun.world.spec, off, 3)
    report.add(made)
    (stored,) = stored_plans(json.loads(json.dumps(report.to_dict())))
    assert stored == made.plan
    assert report.to_dict()["totals"]["steps"] == made.plan.computed_steps
    again = begun.step(off, stored)
    assert torch.equal(again.latents, made.latents) and again.plan == made.plan


def test_stored_decisions_go_before_the_threshold(begun: Begun, plain: ChunkResult) -> None:
    off, plan = AccelConfig.preset("off"), plain.plan
    computed = (True, *[False] * (plan.steps - 2), True)
    reused = begun.step(off, replace(plan, reuse_threshold=1e9))
    followed = begun.step(off, replace(plan, reuse_threshold=0.0, computed=computed))
    assert torch.equal(followed.latents, reused.latents)
    assert followed.plan.computed_steps == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"computed": (True, False)}, r"computed: .* is not allowed; use one flag for each of \d steps"),
        ({"attention": AttentionPlan("svg")}, "use a band_width above 0"),
        ({"attention": AttentionPlan("bsa", tile_scores="angle")}, "use product or cosine"),  # type: ignore[arg-type]
    ],
)
def test_stored_plans_are_checked(begun: Begun, plain: ChunkResult, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        begun.step(AccelConfig.preset("off"), replace(plain.plan, **changes))
