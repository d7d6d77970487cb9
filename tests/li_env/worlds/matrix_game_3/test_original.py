"""Whole rollouts of the original and of the Light Interaction release, clip by clip (tiny random weights, float32)."""

from __future__ import annotations

import pytest
import torch

from benchmarks.reference.padded import PADDED_LATENTS, padded_velocity
from li_env.worlds.matrix_game_3.layout import TokenLayout
from li_env.worlds.matrix_game_3.model import ClipConditions
from tests.li_env.worlds.matrix_game_3.release import release_attention
from tests.li_env.worlds.matrix_game_3.stored import camera_tokens, stored, tiny_model
from tests.reference.matrix_game_3.original import OriginalClip, OriginalRollout, ReleaseGate, Velocity, rows_of

LIGHT = "matrix_game_3_light_tiny"
TOLERANCE = 5e-5
SPARSE_CALLS = sorted({key.split(".")[0] for key in stored(LIGHT)[1] if key.startswith("sparse")})
PRESETS = sorted({key.split(".")[1] for key in stored(LIGHT)[1] if key.startswith("rollout.") and key.count(".") == 3})


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


def episode(seed: int, gate: ReleaseGate | None = None, velocity: Velocity | None = None) -> OriginalRollout:
    tensors = stored()[1]
    image, text = tensors["rollout.image_latent"][:, 0], tensors["rollout.context"]
    return OriginalRollout(tiny_model(), image, text, seed, gate, velocity)


def clips(rollout: OriginalRollout, actions: list[list[str]]) -> list[OriginalClip]:
    return [rollout.step(*rows_of(*tokens, 40 if index else 57)) for index, tokens in enumerate(actions)]


def test_rollout_of_the_original() -> None:
    facts, tensors = stored()
    made = clips(episode(facts["rollout"]["seed"]), facts["rollout"]["actions"])
    for index, clip in enumerate(made):
        expected = {
            key.removeprefix(f"rollout.clip{index}."): value
            for key, value in tensors.items()
            if key.startswith(f"rollout.clip{index}.")
        }
        torch.testing.assert_close(clip.latents, expected["latents"][0].transpose(0, 1), atol=TOLERANCE, rtol=0)
        assert [clip.clip.first_latent, clip.clip.end_latent] == expected["predict_latent_idx"].tolist()
        assert torch.equal(torch.from_numpy(clip.mouse), expected["mouse_cond"][0])
        assert torch.equal(torch.from_numpy(clip.keyboard), expected["keyboard_cond"][0])
        checks = torch.stack((clip.camera.flatten(1).mean(1), clip.camera.flatten(1).std(1)))
        torch.testing.assert_close(checks, expected["plucker_checks"], atol=1e-5, rtol=0)
        if clip.memory is not None:
            assert list(clip.memory.found[:-1]) == expected["raw_selected"].tolist()[:-1]
            assert list(clip.memory_latents) == expected["memory_latent_idx"].tolist()
        if "plucker_corner" in expected:
            corner = camera_tokens(expected["plucker_corner"][..., None, None].expand(-1, -1, -1, 2, 2))[0, :, 0]
            ours = clip.camera[:, 0].unflatten(-1, (-1, 2, 2))[..., 0, 0]
            torch.testing.assert_close(ours, corner.unflatten(-1, (-1, 2, 2))[..., 0, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("preset", PRESETS)
def test_rollout_of_the_release(preset: str) -> None:
    """Its sparse presets count zero tokens as keys; that backend lives in these tests."""
    facts, tensors = stored(LIGHT)
    rollout, text = facts["rollout"], stored()[1]["rollout.context"][None]
    alone = preset == "sparse"  # without its own compaction it also keeps the filling

    def zeros_included(x: torch.Tensor, time: float, conditions: ClipConditions, layout: TokenLayout) -> torch.Tensor:
        frames = PADDED_LATENTS if alone else layout.latents
        grid = (frames, *layout.shape.grid)

        def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            return release_attention(query, key, value, grid, rollout["sparse_topk_ratio"])[0]

        sparse = attention if layout.shape.memory else None
        return padded_velocity(tiny_model(), x, time, conditions, text, layout, frames, sparse)

    gate = ReleaseGate(preset in ("context", "all"), preset in ("cache", "all"), rollout["fov_threshold"])
    velocity = zeros_included if preset in ("sparse", "all") else None
    made = clips(episode(int(tensors["rollout.seed"]), gate, velocity), rollout["actions"])
    for index, clip in enumerate(made):
        prefix = f"rollout.{preset}.clip{index}."
        assert list(clip.memory_latents) == tensors[f"{prefix}memory_latent_idx"].tolist()
        assert len(clip.sigmas) - 1 == int(tensors[f"{prefix}step_computed"].sum())
        expected = tensors[f"{prefix}latents"][0].transpose(0, 1)
        torch.testing.assert_close(clip.latents, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", SPARSE_CALLS)
def test_attention_of_the_release(name: str) -> None:
    tensors = stored(LIGHT)[1]
    call = [tensors[f"{name}.{part}"].float() for part in "qkv"]
    grid = tuple(tensors[f"{name}.thw"].tolist())
    output, chosen = release_attention(*call, grid, float(tensors[f"{name}.topk_ratio"]))
    assert torch.equal(chosen.int(), tensors[f"{name}.indices"])
    torch.testing.assert_close(output, tensors[f"{name}.out"], atol=2e-5, rtol=0)


@pytest.mark.parametrize("wide", [False, True])
def test_filling_up_changes_nothing(wide: bool) -> None:
    """Leave out the original's masked zero tokens, which is exact."""
    actions = stored()[0]["rollout"]["actions"][:2]
    text = stored()[1]["rollout.context"][None]

    def filled(x: torch.Tensor, time: float, conditions: ClipConditions, layout: TokenLayout) -> torch.Tensor:
        return padded_velocity(tiny_model(), x, time, conditions, text, layout, wide=wide)

    for ours, theirs in zip(clips(episode(3), actions), clips(episode(3, velocity=filled), actions), strict=True):
        torch.testing.assert_close(ours.latents, theirs.latents, atol=2e-5, rtol=0)
