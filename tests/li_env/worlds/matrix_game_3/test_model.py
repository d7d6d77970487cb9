"""The transformer against the original code (tiny random weights, float32) and the published list of parameters."""

from __future__ import annotations

import json
import re

import pytest
import torch

from benchmarks.reference.padded import padded_velocity
from li_env.accel.plan import AttentionPlan
from li_env.kernels.block_sparse_attention import HEAD_WIDTHS
from li_env.kernels.rms_rotary import rotary_tables
from li_env.worlds.matrix_game_3.config import ActionConfig, MatrixGame3Config
from li_env.worlds.matrix_game_3.layout import ClipShape, TokenLayout, token_layout
from li_env.worlds.matrix_game_3.model import ClipCache, ClipConditions, MatrixGame3Model
from li_env.worlds.matrix_game_3.rotation import axis_pairs, head_bases, sequence_rotation
from tests.li_env.worlds.matrix_game_3.stored import camera_tokens, stored, tiny_model, token_grid, weights
from tests.oracle import oracle_folder

CALLS = ["dit_nomem", "dit_mem"]
TILE = (4, 4, 8)


def layout_of(name: str, attention: AttentionPlan | None = None, dropped: int | None = None) -> TokenLayout:
    tensors = stored()[1]
    frames = tensors[f"{name}.in.x"].shape[2]
    time = tensors[f"{name}.in.t"].unflatten(1, (frames, -1))[0, :, 0]
    given = int((time == 0).sum())
    memory = tensors[f"{name}.in.x_memory"].shape[2] if f"{name}.in.x_memory" in tensors else 0
    shape = ClipShape(token_grid(), memory, given, frames - given)
    return token_layout(
        shape, memory if dropped is None else dropped, attention or AttentionPlan(), TILE, 1, torch.device("cpu")
    )


def inputs(name: str, model: MatrixGame3Model, layout: TokenLayout) -> tuple[torch.Tensor, float, ClipCache]:
    """Latents [B, T, C, h, w], timestep and cache of a stored call."""
    tensors = {key.removeprefix(f"{name}.in."): value for key, value in stored()[1].items()}
    start, end = tensors["predict_latent_idx"].tolist()
    x, latents = tensors["x"], torch.arange(start, end)[None]
    if "x_memory" in tensors and layout.shape.memory:
        x = torch.cat((tensors["x_memory"], x), dim=2)
        latents = torch.cat((tensors["memory_latent_idx"][None], latents), dim=1)
    camera = camera_tokens(tensors["plucker_emb"])
    text = model.embed_text(tensors["context"][None])
    views = torch.arange(camera.shape[1])[None]
    conditions = ClipConditions(latents, camera[0], views, tensors["mouse_cond"], tensors["keyboard_cond"], text)
    return x.transpose(1, 2), float(tensors["t"].max()), model.prepare(conditions, layout)


@pytest.mark.parametrize("name", CALLS)
def test_velocity(name: str) -> None:
    model, layout = tiny_model(), layout_of(name)
    out = model(*inputs(name, model, layout))
    expected = stored()[1][f"{name}.out"].transpose(1, 2)
    torch.testing.assert_close(out, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", CALLS)
def test_velocity_of_new_latents_alone(name: str) -> None:
    """Given latents are left out of the last block's queries: no other value changes."""
    full = layout_of(name)
    given = full.shape.memory + full.shape.given
    model, layout = tiny_model(), layout_of(name, dropped=given)
    out = model(*inputs(name, model, layout))
    expected = stored()[1][f"{name}.out"].transpose(1, 2)[:, full.shape.given :]
    torch.testing.assert_close(out, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("dropped_given", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_block_sparse_attention_over_all_tiles_is_dense_attention(name: str, dropped_given: bool) -> None:
    shape = layout_of(name).shape
    if tiny_model().config.head_dim < HEAD_WIDTHS[0]:
        pytest.skip("block-sparse attention takes wider heads than the stored model's")
    attention = AttentionPlan("block_sparse", decode_ratio=1.0, dense_first_block=False)
    dropped = shape.memory + (shape.given if dropped_given else 0)
    model, layout = tiny_model(), layout_of(name, attention, dropped)
    out = model(*inputs(name, model, layout))
    expected = stored()[1][f"{name}.out"].transpose(1, 2)[:, dropped - shape.memory :]
    torch.testing.assert_close(out, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize(
    ("layers", "actions", "memory"), [(1, (0,), 2), (2, (), 2), (2, (0, 1), 0), (2, (1,), 2), (3, (0, 2), 1)]
)
def test_action_modules_in_any_block(layers: int, actions: tuple[int, ...], memory: int, tiled: bool) -> None:
    """Whatever is left out, the new latents' velocity is that of the original's call, which leaves out nothing."""
    config = MatrixGame3Config(
        in_dim=8, out_dim=8, dim=32, ffn_dim=48, freq_dim=16, num_heads=1, num_layers=layers, text_len=6, text_dim=12,
        action_config=ActionConfig(actions, 2, 4, 6, 16, 2, 16, (2, 4, 2)),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(layers)
    model = MatrixGame3Model(config).requires_grad_(False)
    for value in model.state_dict().values():
        value.copy_(torch.randn(value.shape, generator=generator) / max(value.shape[-1], 4) ** 0.5)
    grid, given, new, worlds = (4, 6), 4, 5, 2
    shape = ClipShape(grid, memory, given, new)
    tiles = AttentionPlan("block_sparse", decode_ratio=1.0, dense_first_block=False)
    dense = token_layout(shape, 0, AttentionPlan(), TILE, worlds, torch.device("cpu"))
    dropping = token_layout(
        shape, memory + given, tiles if tiled else AttentionPlan(), TILE, worlds, torch.device("cpu")
    )

    def drawn(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator)

    text, latents = drawn(worlds, 5, 12), shape.latents
    conditions = ClipConditions(
        latents=torch.tensor([[*range(20, 20 + memory), *range(40, 40 + given + new)]] * worlds),
        camera=drawn(worlds * latents, grid[0] * grid[1], 6144),
        views=torch.arange(worlds * latents).view(worlds, latents),
        mouse=drawn(worlds, 4 * (given + new), 2),
        keyboard=drawn(worlds, 4 * (given + new), 6),
        text=model.embed_text(text),
    )
    x = drawn(worlds, latents, 8, 2 * grid[0], 2 * grid[1])
    expected = padded_velocity(model, x, 908.0, conditions, text, dense)[:, given:]
    out = model(x, 908.0, model.prepare(conditions, dropping))
    torch.testing.assert_close(out, expected, atol=2e-5, rtol=1e-4)


def test_steps_inside() -> None:
    """Stored intermediate values of the call with memory, by name."""
    name, (_, tensors) = "dit_mem", stored()
    model, layout = tiny_model(), layout_of("dit_mem")
    seen: dict[str, torch.Tensor] = {}
    hooks = [model.c2ws_hidden_states_layer2.register_forward_hook(_keep(seen, "c2ws_layer2"))]
    hooks.append(model.text_embedding.register_forward_hook(_keep(seen, "text_embedding")))
    for index, block in enumerate(model.blocks):
        hooks.append(block.self_attn.o.register_forward_hook(_keep(seen, f"self_attn_{index}")))
        hooks.append(block.cross_attn.o.register_forward_hook(_keep(seen, f"cross_attn_{index}")))
    model(*inputs(name, model, layout))
    for hook in hooks:
        hook.remove()
    names = [key for key in seen if f"{name}.inter.{key}" in tensors]
    assert len(names) >= 4
    last = f"self_attn_{len(model.blocks) - 1}", f"cross_attn_{len(model.blocks) - 1}"
    for key in names:
        expected = tensors[f"{name}.inter.{key}"]
        if key in last and model.blocks[-1].action_model is None:
            expected = expected[:, layout.dropped :]
        torch.testing.assert_close(seen[key].view_as(expected), expected, atol=2e-5, rtol=0)
    e, _ = model.embed_time(torch.tensor([0.0, float(tensors[f"{name}.in.t"].max())]))
    per_token = tensors[f"{name}.inter.time_embedding"][0]
    torch.testing.assert_close(e[0], per_token[0], atol=2e-5, rtol=0)
    torch.testing.assert_close(e[1], per_token[-1], atol=2e-5, rtol=0)


def _keep(seen: dict[str, torch.Tensor], key: str):  # type: ignore[no-untyped-def]
    return lambda module, args, output: seen.update({key: output})


def test_rotation_tables() -> None:
    tensors, config = stored()[1], tiny_model().config
    expected = {"cos": tensors["rope.freqs_cos"], "sin": tensors["rope.freqs_sin"]}
    described = stored()[0]["tensors"]["rope.freqs_cos"]["desc"]
    found = re.search(r"at positions ([\d,]+)", described)
    assert found is not None, described
    positions = torch.tensor([int(number) for number in found[1].split(",")])
    pairs = axis_pairs(config)
    bases = head_bases(config)
    places = torch.arange(len(positions))[:, None].expand(-1, 3)
    tables = rotary_tables([positions] * 3, pairs, bases, places)
    for name, stored_table in expected.items():
        ours = getattr(tables, name)[0]
        rows = tables.row_index.long()[:, tables.axes.long()]
        picked = ours.permute(1, 0, 2).gather(1, rows.expand(len(bases), -1, -1))
        torch.testing.assert_close(picked, stored_table, atol=1e-6, rtol=0)


def test_positions_never_end() -> None:
    """Make angles for latents far behind the end of the original's table, 2048."""
    config = tiny_model().config
    shape = ClipShape(token_grid(), 0, 1, 1)
    layout = token_layout(shape, 0, AttentionPlan(), TILE, 1, torch.device("cpu"))
    far = 1_000_003
    tables = sequence_rotation(config, torch.tensor([[0, far]]), layout)
    count = axis_pairs(config)[0]
    exponents = -torch.arange(count, dtype=torch.float64) / count
    angles = far * head_bases(config)[:, None] ** exponents
    torch.testing.assert_close(tables.cos[0, 1, :, :count], angles.cos().float())
    torch.testing.assert_close(tables.sin[0, 1, :, :count], angles.sin().float())


def test_every_published_parameter_and_no_other() -> None:
    path = oracle_folder() / "matrix_game_3_state_dict.json"
    if not path.exists():
        pytest.skip("matrix_game_3_state_dict.json is not in the oracle folder")
    published = json.loads(path.read_text(encoding="utf-8"))
    with torch.device("meta"):
        model = MatrixGame3Model(MatrixGame3Config.from_dict(published["config"]))
    assert {name: list(value.shape) for name, value in model.state_dict().items()} == published["state_dict"]
    assert sum(value.numel() for value in model.state_dict().values()) == published["num_params"]


def test_bfloat16_is_as_near_as_the_original_in_bfloat16() -> None:
    """Stay as near to float32 as the original's emulated bfloat16 flow, which differs by about 1 %."""
    facts, tensors = stored()
    model = MatrixGame3Model(MatrixGame3Config.from_dict(facts["config"]))
    model.load_state_dict(weights())
    model = model.to(torch.bfloat16).requires_grad_(False)
    for name in CALLS:
        layout = layout_of(name)
        out = model(*inputs(name, model, layout))
        exact, theirs = (tensors[f"{key}.out"].transpose(1, 2) for key in (name, f"{name}_bf16"))
        scale = exact.square().mean().sqrt()
        error, allowed = ((each - exact).square().mean().sqrt() / scale for each in (out, theirs))
        assert error <= 1.5 * allowed, (name, float(error), float(allowed))


def test_a_config_of_another_model_is_refused() -> None:
    config = stored()[0]["config"]
    with pytest.raises(ValueError, match="model_type='t2v' is another model than Matrix-Game-3.0; allowed: 'ti2v'"):
        MatrixGame3Config.from_dict({**config, "model_type": "t2v"})
    with pytest.raises(ValueError, match="ffn_dim is missing from the model's config"):
        MatrixGame3Config.from_dict({key: value for key, value in config.items() if key != "ffn_dim"})
    with pytest.raises(ValueError, match="action_config=None is not usable"):
        MatrixGame3Config.from_dict({key: value for key, value in config.items() if key != "action_config"})
    assert MatrixGame3Config.from_dict({**config, "is_action_model": True}) == MatrixGame3Config.from_dict(config)


def test_too_much_text_is_refused() -> None:
    model = tiny_model()
    states = torch.zeros(1, model.config.text_len + 1, model.config.text_dim)
    with pytest.raises(ValueError, match=f"text: {model.config.text_len + 1} states; allowed are up to"):
        model.embed_text(states)
