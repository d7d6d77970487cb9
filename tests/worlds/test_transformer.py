"""The shared transformer against the original HY-WorldPlay code (tiny random weights, float32)."""

from typing import Any

import pytest
import torch

from li_env.worlds.transformer import BlockCache, CameraTables, TransformerConfig, VideoTransformer, sinusoid
from tests.oracle import load_oracle

Oracle = tuple[dict[str, Any], dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    facts, tensors = load_oracle("hy_worldplay_tiny")
    return facts, {name: torch.from_numpy(value) for name, value in tensors.items()}


@pytest.fixture(scope="module")
def model(oracle: Oracle) -> VideoTransformer:
    facts, tensors = oracle
    sizes = facts["spec"]["model_config"]
    model = VideoTransformer(
        TransformerConfig(
            in_channels=2 * sizes["in_channels"] + 1,
            out_channels=sizes["out_channels"],
            hidden_size=sizes["hidden_size"],
            heads=sizes["heads_num"],
            depth=sizes["mm_double_blocks_depth"],
            mlp_ratio=sizes["mlp_width_ratio"],
            action_labels=True,
        )
    )
    weights = {name.removeprefix("weights/"): value for name, value in tensors.items() if name.startswith("weights/")}
    weights["img_in.proj.weight"] = weights["img_in.proj.weight"].flatten(1)
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return model.requires_grad_(False)


def tables(oracle: Oracle, frames: list[int], first: int) -> CameraTables:
    """RoPE over (time, row, column) and ProPE matrices, as the original computes them."""
    facts, tensors = oracle
    rows, columns = facts["spec"]["latent_hw"]
    grid = torch.meshgrid(
        torch.arange(first, first + len(frames)), torch.arange(rows), torch.arange(columns), indexing="ij"
    )
    angles = []
    for axis, size in zip(grid, facts["spec"]["model_config"]["rope_dim_list"], strict=True):
        frequencies = facts["spec"]["model_config"]["rope_theta"] ** (-torch.arange(0, size, 2) / size)
        angles.append(axis.flatten()[:, None] * frequencies)
    angle = torch.cat(angles, dim=-1)[None, None]
    world_to_camera, lens = tensors["cam/viewmats"][:, frames], tensors["cam/Ks"][:, frames]
    one = torch.ones_like(lens[..., 0, 0])
    focal = torch.stack((lens[..., 0, 0], lens[..., 1, 1], one, one), -1)
    projection = focal[..., None] * world_to_camera
    return CameraTables(
        cos=angle.cos(),
        sin=angle.sin(),
        query_matrices=projection.transpose(-1, -2),
        key_matrices=torch.linalg.inv(world_to_camera) / focal[..., None, :],
        output_matrices=projection,
    )


def inputs(oracle: Oracle, frames: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    _, tensors = oracle
    x = torch.cat((tensors["in/latents"][:, :, frames], tensors["in/cond_latents"][:, :, frames]), dim=1)
    return x.flatten(3).permute(0, 2, 3, 1), tensors["cam/action"][:, frames].float()


def text_cache(oracle: Oracle) -> list[BlockCache]:
    _, tensors = oracle
    return [
        (key.repeat(2, 1, 1, 1), value.repeat(2, 1, 1, 1))
        for key, value in zip(tensors["txt/k"], tensors["txt/v"], strict=True)
    ]


def test_embedders(oracle: Oracle, model: VideoTransformer) -> None:
    _, tensors = oracle
    time = model.time_in(tensors["emb/time_values"])
    torch.testing.assert_close(time, tensors["emb/time_out"], atol=2e-5, rtol=0)
    action = model.action_in(tensors["emb/action_values"])
    torch.testing.assert_close(action, tensors["emb/action_out"], atol=2e-5, rtol=0)
    assert sinusoid(torch.zeros(1)).tolist() == [[1.0] * 128 + [0.0] * 128]


def test_rotation_tables(oracle: Oracle) -> None:
    _, tensors = oracle
    ours = tables(oracle, [0, 1, 2, 3, 4, 5], 0)
    for name in ("cos", "sin"):
        expected = tensors[f"rope/{name}_t6"][:, ::2]  # the original repeats every angle for both channels of a pair
        torch.testing.assert_close(getattr(ours, name)[0, 0], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("case", range(5))
def test_context_and_denoising_calls(case: int, oracle: Oracle, model: VideoTransformer) -> None:
    facts, tensors = oracle
    described = facts["cases"][case]
    current = list(range(*described["current_frames"]))
    history: list[int] = described["context_frames"]
    text = text_cache(oracle)
    context = text
    if history:
        x, action = inputs(oracle, history)
        time = torch.full((1, len(history)), float(described["context_timestep"]))
        own = model.context_pass(x, time, tables(oracle, history, 0), text, action)
        last = {"k": own[-1][0], "v": own[-1][1]}
        for kind, ours in last.items():
            full = tensors.get(f"case{case}/{kind}_vision")
            expected = full[-1] if full is not None else tensors[f"case{case}/{kind}_vision_last"]
            torch.testing.assert_close(ours, expected, atol=5e-5, rtol=0)
        context = [
            (torch.cat((words[0], seen[0]), dim=2), torch.cat((words[1], seen[1]), dim=2))
            for words, seen in zip(text, own, strict=True)
        ]
    x, action = inputs(oracle, current)
    time = torch.full((1, len(current)), float(described["timestep"]))
    out = model(x, time, tables(oracle, current, len(history)), context, action)
    expected = tensors[f"case{case}/noise_pred"].flatten(3).permute(0, 2, 3, 1)
    torch.testing.assert_close(out, expected, atol=2e-5, rtol=0)
