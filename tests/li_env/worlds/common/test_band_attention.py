from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from li_env.worlds.common.band_attention import BandShape, band_attention, classify, seen_keys

PLACES, CONTEXT, CURRENT, WIDTH = 96, 5, 3, 32
SHAPES = {
    "denoising": BandShape(PLACES, (CONTEXT, CONTEXT + CURRENT), (0, CONTEXT + CURRENT), 7, 2.0),
    "context": BandShape(PLACES, (0, CONTEXT), (0, CONTEXT), 0, 2.0),
    "sink": BandShape(PLACES, (CONTEXT, CONTEXT + CURRENT), (1, CONTEXT + CURRENT), PLACES, 2.0),
}


def inputs(shape: BandShape, heads: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    keys = shape.prefix + PLACES * (shape.keys[1] - shape.keys[0])
    queries = PLACES * (shape.queries[1] - shape.queries[0])
    return [torch.randn(2, heads, count, WIDTH, generator=generator) for count in (queries, keys, keys)]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_band_of_all_frames_is_dense_attention(shape: BandShape) -> None:
    query, key, value = inputs(shape)
    made, _ = band_attention(query, key, value, shape._replace(width=float(CONTEXT + CURRENT)))
    torch.testing.assert_close(made, scaled_dot_product_attention(query, key, value), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_each_head_attends_through_its_own_mask(shape: BandShape) -> None:
    query, key, value = inputs(shape)
    key[:, 1] = 3 * key[:, 1]  # sharper heads differ more through the two masks
    made, temporal = band_attention(query, key, value, shape)
    masks = [seen_keys(shape, kind, torch.arange(query.shape[2])) for kind in (False, True)]
    assert all(0 < float(mask.float().mean()) < 1 for mask in masks)
    for batch, head in np.ndindex(*temporal.shape):
        mask = masks[int(temporal[batch, head])]
        expected = scaled_dot_product_attention(query[batch, head], key[batch, head], value[batch, head], mask)
        torch.testing.assert_close(made[batch, head], expected, atol=1e-5, rtol=1e-5)


def test_masks_are_bands_of_blocks() -> None:
    """Count by hand: 192 tokens of band are one block of 128; frame 7 sees the end of the keys, not their beginning."""
    shape = SHAPES["denoising"]
    rows = torch.arange(CURRENT * PLACES)
    spatial, temporal = (seen_keys(shape, kind, rows) for kind in (False, True))
    assert shape.tokens == 128
    assert bool(spatial[:, :7].all()) and bool(temporal[:, :7].all())
    frames = spatial[-1, 7:].view(-1, PLACES)
    assert bool(frames[-1].all()) and not bool(frames[:4].any())
    places = temporal[0, 7:].view(-1, PLACES)  # place 0
    assert bool(places[:, 0].all()) and not bool(places[:, -1].any())


def test_heads_of_known_kind_are_recognised() -> None:
    """Make a head whose queries find the keys of their own frame, and one whose queries find their own place."""
    shape = SHAPES["context"]
    generator = torch.Generator().manual_seed(1)
    frame, place = (torch.from_numpy(axis.ravel()) for axis in np.mgrid[0:CONTEXT, 0:PLACES])
    value = torch.randn(1, 2, CONTEXT * PLACES, WIDTH, generator=generator)
    key = torch.zeros(1, 2, CONTEXT * PLACES, 128)
    key[0, 0, torch.arange(len(frame)), frame] = 40.0
    key[0, 1, torch.arange(len(place)), place] = 40.0
    value = torch.cat([value] * 4, dim=-1)
    assert classify(key, key, value, shape).tolist() == [[False, True]]
