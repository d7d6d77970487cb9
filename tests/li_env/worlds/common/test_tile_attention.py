"""Block-sparse attention inside the shared transformer (small random weights, float32)."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from li_env.accel.plan import AttentionPlan
from li_env.worlds.common import tile_attention as module
from li_env.worlds.common.tile_attention import ChunkShape, SparseAttention
from li_env.worlds.common.transformer import BlockCache, CameraTables, TransformerConfig, VideoTransformer

GRID = (5, 6)
TILE = (4, 2, 3)
CONTEXT, CURRENT, PREFIX, HEADS, WIDTH, DEPTH = 7, 4, 5, 2, 32, 3
EVERYTHING = AttentionPlan("block_sparse", 1.0, 1.0, dense_first_block=False)
Inputs = dict[str, Any]


@pytest.fixture(scope="module", params=["block", "shared"])
def model(request: pytest.FixtureRequest) -> VideoTransformer:
    torch.manual_seed(0)
    config = TransformerConfig(6, 6, HEADS * WIDTH, HEADS, DEPTH, modulation=request.param, action_labels=True)
    model = VideoTransformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3 / max(1, parameter.shape[-1]) ** 0.5)
    for block in model.double_blocks:
        torch.nn.init.constant_(block.img_attn_q_norm.weight, 1.5)  # type: ignore[union-attr,arg-type]
        torch.nn.init.constant_(block.img_attn_k_norm.weight, 1.5)  # type: ignore[union-attr,arg-type]
    return model.requires_grad_(False)


def cameras(batch: int, frames: int, generator: torch.Generator) -> CameraTables:
    tokens = frames * GRID[0] * GRID[1]
    angle = 0.3 * torch.randn(batch, 1, tokens, WIDTH // 2, generator=generator)
    matrix = torch.eye(4) + 0.2 * torch.randn(batch, frames, 4, 4, generator=generator)
    return CameraTables(angle.cos(), angle.sin(), matrix.transpose(-1, -2), torch.linalg.inv(matrix), matrix)


def frames(batch: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Smooth in space and time: neighbouring tokens look alike."""
    waves = torch.randn(batch, 6, 3, generator=generator)
    time, row, column = torch.meshgrid(*(torch.linspace(0, 1, n) for n in (count, *GRID)), indexing="ij")
    place = torch.stack((time, row, column), dim=-1).flatten(1, 2)
    return (2 * torch.einsum("tnd,bcd->btnc", place, waves)).sin()


def inputs(batch: int, prefix: int, seed: int = 1) -> Inputs:
    generator = torch.Generator().manual_seed(seed)

    def text() -> torch.Tensor:
        return torch.randn(2 * batch, HEADS, prefix, WIDTH, generator=generator)

    return {
        "history": frames(batch, CONTEXT, generator),
        "history_tables": cameras(batch, CONTEXT, generator),
        "current": frames(batch, CURRENT, generator),
        "current_tables": cameras(batch, CURRENT, generator),
        "time": torch.rand(batch, CURRENT, generator=generator) * 1000,
        "action": torch.randint(0, 9, (batch, CONTEXT), generator=generator).float(),
        "text": [(text(), text()) for _ in range(DEPTH)] if prefix else None,
    }


def run(model: VideoTransformer, given: Inputs, sparse: SparseAttention | None, steps: int = 1) -> torch.Tensor:
    """Context pass, then ``steps`` calls on the chunk."""
    context: Sequence[BlockCache] = model.context_pass(
        given["history"],
        torch.full(given["history"].shape[:2], 15.0),
        given["history_tables"],
        given["text"],
        given["action"],
        None if sparse is None else sparse.context,
    )
    if given["text"]:
        context = [
            (torch.cat((words[0], seen[0]), dim=2), torch.cat((words[1], seen[1]), dim=2))
            for words, seen in zip(given["text"], context, strict=True)
        ]
    x = given["current"]
    tiles = None if sparse is None else sparse.denoising
    for _ in range(steps):
        x = model(x, given["time"], given["current_tables"], context, given["action"][:, :CURRENT], tiles)
    return x


def shape(batch: int = 1, prefix: int = 0) -> ChunkShape:
    return ChunkShape(GRID, TILE, CONTEXT, CURRENT, batch, prefix)


def relative(x: torch.Tensor, reference: torch.Tensor) -> float:
    return float((x - reference).norm() / reference.norm())


def pick(given: Inputs, world: int) -> Inputs:
    """One world of a batch; keys of text have both branches behind each other."""
    count = len(given["time"])
    one: Inputs = {name: value[[world]] for name, value in given.items() if isinstance(value, torch.Tensor)}
    for name in ("history_tables", "current_tables"):
        one[name] = given[name].map(lambda table: table[[world]])
    rows = [world, count + world]
    one["text"] = given["text"] and [(key[rows], value[rows]) for key, value in given["text"]]
    return one


@pytest.mark.parametrize("prefix", [0, PREFIX])
@pytest.mark.parametrize("dense_first_block", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_everything_kept_equals_dense(
    model: VideoTransformer, prefix: int, dense_first_block: bool, batch: int
) -> None:
    given = inputs(batch, prefix)
    plan = AttentionPlan("block_sparse", 1.0, 1.0, dense_first_block)
    assert relative(run(model, given, SparseAttention(plan, shape(batch, prefix))), run(model, given, None)) < 1e-5


@pytest.mark.parametrize("plan", [AttentionPlan("block_sparse", 0.3, 1.0), AttentionPlan("block_sparse", 1.0, 0.3)])
def test_each_ratio_changes_the_result_a_little(model: VideoTransformer, plan: AttentionPlan) -> None:
    given = inputs(1, PREFIX)
    assert 1e-5 < relative(run(model, given, SparseAttention(plan, shape(1, PREFIX))), run(model, given, None)) < 0.1


def test_dense_first_block_is_dense_in_both_passes(model: VideoTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count(monkeypatch, "block_sparse_attention")
    run(model, inputs(1, 0), SparseAttention(AttentionPlan("block_sparse", 0.3, 0.3), shape()))
    # The last block of the context pass has no attention.
    assert calls["block_sparse_attention"] == (DEPTH - 2) + (DEPTH - 1)
    run(model, inputs(1, 0), SparseAttention(EVERYTHING, shape()))
    assert calls["block_sparse_attention"] == (DEPTH - 2) + (DEPTH - 1) + (DEPTH - 1) + DEPTH


def test_batch_equals_single(model: VideoTransformer) -> None:
    given = inputs(2, PREFIX)
    plan = AttentionPlan("block_sparse", 0.3, 0.4)
    both = run(model, given, SparseAttention(plan, shape(2, PREFIX)))
    assert relative(both[:1], both[1:]) > 0.01
    for world in range(2):
        alone = run(model, pick(given, world), SparseAttention(plan, shape(1, PREFIX)))
        torch.testing.assert_close(both[[world]], alone, atol=1e-5, rtol=1e-5)


def test_tile_order_and_back() -> None:
    tiles = SparseAttention(EVERYTHING, shape()).context
    x = torch.arange(CONTEXT * 30.0).view(1, CONTEXT, 30, 1).repeat(2, 1, 1, 3)
    tiled = tiles.tokens(x)
    assert tiled.shape == (2, CONTEXT * 10, 3, 3)  # rows of 3 tokens: the tiles at the lower edge have one row only
    assert not torch.equal(tiled.flatten(1, 2), x.flatten(1, 2))
    assert torch.equal(tiles.back(tiled), x)
    assert torch.equal(tiles.rows(x.flatten(1, 2), 1), tiled.flatten(1, 2))
    # A span lies within one frame, the one that `spans` returns.
    frame = torch.arange(CONTEXT)[None, :, None].expand(1, CONTEXT, 30)
    spans = tiles.spans(torch.arange(CONTEXT)[None])
    assert torch.equal(tiles.tokens(frame[..., None])[..., 0], spans[..., None].expand(1, CONTEXT * 10, 3))


def count(monkeypatch: pytest.MonkeyPatch, *names: str) -> dict[str, int]:
    """Count the calls of functions that the module under test uses."""
    calls = dict.fromkeys(names, 0)

    def counted(name: str) -> None:
        original = getattr(module, name)

        def wrapper(*arguments: Any) -> Any:
            calls[name] += 1
            return original(*arguments)

        monkeypatch.setattr(module, name, wrapper)

    for name in names:
        counted(name)
    return calls


def test_history_means_are_made_once_per_chunk_and_block(
    model: VideoTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count(monkeypatch, "tile_means", "block_select")
    run(model, inputs(1, PREFIX), SparseAttention(EVERYTHING, shape(1, PREFIX)), steps=4)
    # Context pass: queries and keys of all blocks but the last; chunk: queries in every step, history once.
    assert calls["tile_means"] == 2 * (DEPTH - 1) + 4 * DEPTH + DEPTH
    assert calls["block_select"] == (DEPTH - 1) + 4 * DEPTH


def test_another_history_is_never_taken_for_the_old_one(model: VideoTransformer) -> None:
    sparse = SparseAttention(AttentionPlan("block_sparse", 0.3, 0.3), shape())
    run(model, inputs(1, 0, seed=5), sparse)
    given = inputs(1, 0)
    fresh = run(model, given, SparseAttention(AttentionPlan("block_sparse", 0.3, 0.3), shape()))
    assert torch.equal(run(model, given, sparse), fresh)


def test_near_tiles_are_kept_in_the_context_pass_and_few_tiles_while_denoising() -> None:
    large = ChunkShape((12, 16), (4, 3, 4), 20, 4, 1, 6)
    sparse = SparseAttention(AttentionPlan("block_sparse", 0.175, 0.3), large)
    context, denoising = sparse.context._layout.selection, sparse.denoising._layout.selection
    tiles = 5 * 4 * 4
    assert context.kept.unique().tolist() == [24] and denoising.kept.unique().tolist() == [14]
    assert context.protected is not None and denoising.protected is None
    near = context.protected[0].sum(dim=-1)
    assert near.shape == (tiles,) and (int(near.min()), int(near.max())) == (4, 7)
    assert context.layout.always.ranges[0] == ((0, 6),)
    assert denoising.layout.always.ranges[0] == ((0, 6), (6 + 20 * 192, 6 + 24 * 192))
    few = SparseAttention(AttentionPlan("block_sparse", 0.1, 0.1), large._replace(context=4)).context
    assert few._layout.selection.kept.unique().tolist() == [7]


@pytest.mark.parametrize(
    ("plan", "changed", "message"),
    [
        (AttentionPlan(), {}, "kind='dense'"),
        (EVERYTHING, {"context": 0}, "context=0"),
        (EVERYTHING, {"tile": (4, 8, 8), "grid": (8, 8)}, "tile of 256 tokens"),
        (AttentionPlan("block_sparse", 0.0, 0.5), {}, "ratio=0.0"),
        (AttentionPlan("block_sparse", 0.5, 1.5), {}, "ratio=1.5"),
    ],
)
def test_bad_input(plan: AttentionPlan, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SparseAttention(plan, shape()._replace(**changed))


def test_frames_must_fit(model: VideoTransformer) -> None:
    sparse = SparseAttention(EVERYTHING, shape()._replace(context=CONTEXT + 1))
    with pytest.raises(ValueError, match="frames and tokens"):
        run(model, inputs(1, 0), sparse)
