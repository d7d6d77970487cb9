"""The Light Interaction release, reproduced by giving our kernels the zero tokens that it adds.

It pads tiles and text with zeros to blocks of 128 and lets the zeros take part in means and softmax. With these zeros
as if they were tokens, means, choice and output equal its own; without them the output differs: the difference is this
bug and nothing else.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.kernels.block_select import block_select, selection_plan, tile_lists, tile_means
from li_env.kernels.block_sparse_attention import naive_block_sparse_attention
from li_env.kernels.block_sparse_attention.gathered import gathered_block_sparse_attention
from li_env.kernels.tile_order import TileLayout, TileOrder, tile_layout, tile_order, tile_table
from tests.kernels.problems import relative_rms
from tests.oracle import load_oracle


def padded(x: torch.Tensor, order: TileOrder, block: int) -> torch.Tensor:
    """Visual tokens [B, H, S, D] in tile order, every tile filled up with zeros."""
    tiles = order.to_tiles(x, 2).split(order.lengths.tolist(), dim=2)
    return torch.cat([torch.nn.functional.pad(tile, (0, 0, 0, block - tile.shape[2])) for tile in tiles], dim=2)


class Release:
    """One stored call of the release, and the tables for it with and without the zeros."""

    def __init__(self, name: str):
        description, arrays = load_oracle("hy_worldplay_light_tiny")
        tensors = {key: torch.from_numpy(value) for key, value in arrays.items()}
        kind = "prefill" if name == "prefill" else "decode"
        facts = description["sparse"][kind]
        self.block = description["sparse"]["block"]
        rows, columns = facts["latent_hw"]
        keys_in_time = facts["T"] if kind == "prefill" else facts["Tk"]
        queries_in_time = facts["T"] if kind == "prefill" else facts["Tq"]
        shape = tuple(facts["tile"])
        self.keys = tile_order((keys_in_time, rows, columns), shape)
        self.queries = tile_order((queries_in_time, rows, columns), shape)
        self.own = self.queries.lengths.size if kind == "decode" else 0
        self.query = self.queries.to_tiles(tensors[f"{kind}/q"], 2)
        self.text = [tensors["decode/k_txt"], tensors["decode/v_txt"]]
        self.visual = [tensors[f"{kind}/k_vis"], tensors[f"{kind}/v_vis"]]
        self.indices, self.output = tensors[f"{name}/indices"].long(), tensors[f"{name}/out"]
        self.tensors = tensors
        self.text_blocks = -(-facts["text_len"] // self.block)

    def with_zeros(self) -> tuple[list[torch.Tensor], TileLayout]:
        """Keys and values in full blocks, text first, and their layout."""
        fill = self.text_blocks * self.block - self.text[0].shape[2]
        both = [
            torch.cat([torch.nn.functional.pad(text, (0, 0, 0, fill)), padded(visual, self.keys, self.block)], dim=2)
            for text, visual in zip(self.text, self.visual, strict=True)
        ]
        batch, blocks = self.query.shape[0], both[0].shape[2] // self.block
        return both, tile_layout(
            tile_table([self.queries.starts] * batch, [self.queries.lengths] * batch),
            tile_table([np.arange(blocks) * self.block] * batch, [[self.block] * blocks] * batch),
        )


@pytest.mark.parametrize("name", ["decode", "decode50", "prefill"])
def test_output_of_the_release_with_its_zeros_and_not_without(name):
    release = Release(name)
    (key, value), layout = release.with_zeros()
    counts = torch.full(release.indices.shape[:3], release.indices.shape[3])
    for attend in (naive_block_sparse_attention, gathered_block_sparse_attention):
        output, _ = attend(release.query, key, value, layout, tile_lists(release.indices, counts, layout))
        torch.testing.assert_close(release.queries.to_grid(output, 2), release.output, atol=2e-5, rtol=0)

    text = release.text[0].shape[2]
    batch = release.query.shape[0]
    exact = tile_layout(
        layout.queries,
        tile_table([release.keys.starts + text] * batch, [release.keys.lengths] * batch),
        [[(0, text)]] * batch,
    )
    keys, values = (
        torch.cat([x, release.keys.to_tiles(y, 2)], dim=2) for x, y in zip(release.text, release.visual, strict=True)
    )
    visual = release.indices[..., release.text_blocks :] - release.text_blocks
    lists = tile_lists(visual, torch.full(visual.shape[:3], visual.shape[3]), exact)
    ours, _ = gathered_block_sparse_attention(release.query, keys, values, exact, lists)
    assert relative_rms(release.queries.to_grid(ours, 2), release.output) > 0.01


def test_choice_of_the_release_with_its_padded_means():
    release = Release("decode")
    batch = release.query.shape[0]
    grids = []
    for order in (release.queries, release.keys):
        tiles = order.lengths.size
        grids.append(tile_table([np.arange(tiles) * release.block] * batch, [[release.block] * tiles] * batch))
    layout = tile_layout(*grids)
    query = padded(release.queries.to_grid(release.query, 2), release.queries, release.block)
    means = (
        tile_means(query, layout.queries),
        tile_means(padded(release.visual[0], release.keys, release.block), layout.keys),
    )
    torch.testing.assert_close(means[0], release.tensors["decode/q_pool"], atol=1e-6, rtol=0)
    torch.testing.assert_close(means[1], release.tensors["decode/k_pool"], atol=1e-6, rtol=0)
    for name, ratio in (("decode", 0.175), ("decode50", 0.5)):
        history = layout.keys.counts[0] - release.own
        total = release.own + max(1, int(ratio * history))
        protected = np.zeros((release.own, layout.keys.counts[0]), dtype=bool)
        protected[:, -release.own :] = True
        plan = selection_plan(layout, total / layout.keys.counts[0], protected=[protected] * batch)
        chosen = block_select(*means, plan).indices
        expected = release.tensors[f"{name}/indices"][..., release.text_blocks :] - release.text_blocks
        assert torch.equal(chosen, expected.to(chosen.dtype))
