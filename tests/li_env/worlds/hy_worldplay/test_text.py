"""Condition encoders and text cache against the original code (tiny random weights, float32)."""

import torch

from li_env.worlds.hy_worldplay.text import TextBlock
from tests.li_env.worlds.hy_worldplay.tiny import close, conditioning, tensors, tiny_model


def test_refined_text() -> None:
    given = tensors()
    valid = given["in/text_mask"].bool()
    ours = tiny_model().txt_in(given["in/text_states"][valid][None])
    torch.testing.assert_close(ours[0], given["txt/refiner_out"][valid], atol=2e-5, rtol=0)


def test_condition_tokens() -> None:
    close(tiny_model().condition_tokens(conditioning()), "txt/merged", 2e-5)


def test_text_vector() -> None:
    close(tiny_model().time_in(torch.zeros(1)), "txt/vec_txt", 2e-5)


def test_text_cache() -> None:
    cache = tiny_model().text_cache(conditioning())
    assert len(cache) == tensors()["txt/merged"].shape[1]
    close(cache.keys[:, None], "txt/k", 2e-5)
    close(cache.values[:, None], "txt/v", 2e-5)


def test_text_cache_of_a_prompt_without_quotes() -> None:
    cache = tiny_model().text_cache(conditioning(glyphs=False))
    close(cache.keys[-1:], "txt_nobyt5/k_last", 2e-5)
    close(cache.values[-1:], "txt_nobyt5/v_last", 2e-5)


def test_the_last_block_computes_no_tokens() -> None:
    block: TextBlock = tiny_model().double_blocks[0].text  # type: ignore[assignment,union-attr]
    x, vector = torch.randn(1, 3, block.txt_attn_q.in_features), torch.randn(1, block.txt_attn_q.in_features)
    after, key, value = block(x, vector, True)
    assert after is x
    before = block(x, vector, False)
    assert not torch.equal(before[0], x)
    torch.testing.assert_close((key, value), before[1:])
