"""Every stage learns something on a tiny problem, saves, and continues from where it was cut."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from li_env.worlds.common.transformer import TransformerConfig
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS, DynamicsModel
from li_env.worlds.freedoom.geometry import FEATURES
from li_env.worlds.freedoom.motion_head import MotionHead
from li_env.worlds.freedoom.training import checkpoint
from li_env.worlds.freedoom.training.autoencoder import AutoencoderStage, train_autoencoder
from li_env.worlds.freedoom.training.dynamics import DynamicsStage, train_dynamics
from li_env.worlds.freedoom.training.motion import Motions, MotionSampler, MotionStage, Starts, train_motion
from li_env.worlds.freedoom.training.optim import combine_gradients
from li_env.worlds.freedoom.training.refine import RefineStage, train_refine
from li_env.worlds.freedoom.training.run import TrainConfig, from_mapping
from li_env.worlds.freedoom.training.store import LatentStore

Entry = dict[str, float]

GRID = (2, 3)
"""Tokens of a latent, an eighth of the real ones: what a stage does with them does not depend on their number."""

TOKENS = GRID[0] * GRID[1]


def small_model() -> DynamicsModel:
    torch.manual_seed(0)
    config = TransformerConfig(LATENT_CHANNELS + FEATURES, LATENT_CHANNELS, 64, 1, 2, modulation="shared")
    return DynamicsModel(config, GRID)


def store() -> LatentStore:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 1, TOKENS, LATENT_CHANNELS, generator=generator).expand(2, 32, TOKENS, LATENT_CHANNELS)
    return LatentStore(latents.half(), torch.randn(2, 32, 3, generator=generator).mul(0.3).cumsum(1))


def test_dynamics_learn_to_copy_a_constant_place(tmp_path: Path) -> None:
    entries: list[Entry] = []
    stage = DynamicsStage(steps=50, batch=2, draws=1, muon_rate=1e-2, adam_rate=1e-2)
    train_dynamics(small_model(), store(), stage, entries.append, lambda _: {}, tmp_path / "state.safetensors")
    errors = [entry["error"] for entry in entries if "error" in entry]
    assert errors[-1] < 0.8  # an untrained model leaves 1.0


def test_dynamics_resume_after_a_kill(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    stage = DynamicsStage(steps=4, batch=2, draws=1, save_seconds=0.0, max_seconds=1e9)

    class KilledError(Exception):
        pass

    steps: list[int] = []

    def kill(model: DynamicsModel) -> Entry:
        raise KilledError

    with pytest.raises(KilledError):
        train_dynamics(small_model(), store(), replace(stage, steps=2), lambda _: None, kill, state)
    saved = checkpoint.load(state)
    assert saved["done"] == 2
    entries: list[Entry] = []
    model = train_dynamics(small_model(), store(), stage, entries.append, lambda _: {}, state)
    steps.extend(int(entry["step"]) for entry in entries)
    assert steps[-1] == 4
    assert any((a - b).abs().max() > 0 for a, b in zip(model.parameters(), saved["ema"], strict=True))


def test_refinement_runs_and_changes_the_model(tmp_path: Path) -> None:
    model = small_model()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    entries: list[Entry] = []
    stage = RefineStage(steps=3, batch=2, chunks=3, warmup=1)
    flow = DynamicsStage(draws=1)
    train_refine(model, store(), stage, flow, entries.append, lambda _: {}, tmp_path / "state.safetensors")
    assert entries[-1]["step"] == 3
    assert any(not torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_refinement_blends_with_the_model_that_came_in(tmp_path: Path) -> None:
    def refined(blend: float) -> list[torch.Tensor]:
        torch.manual_seed(1)
        model = small_model()
        stage = RefineStage(steps=2, batch=2, chunks=2, warmup=1, blend=blend, blends=(0.0, 0.25), **quick)
        state = tmp_path / f"{blend}.safetensors"
        train_refine(model, store(), stage, DynamicsStage(draws=1), entries.append, lambda _: {}, state)
        return [parameter.detach() for parameter in model.parameters()]

    entries: list[Entry] = []
    quick = {"muon_rate": 0.1, "adam_rate": 0.1, "ema": 0.0}  # far enough to tell halves from wholes
    torch.manual_seed(1)
    before = [parameter.detach().clone() for parameter in small_model().parameters()]
    half, whole = refined(0.5), refined(1.0)
    assert max(float((a - b).abs().max()) for a, b in zip(before, whole, strict=True)) > 1e-3
    for came_in, middle, end in zip(before, half, whole, strict=True):
        torch.testing.assert_close(middle, (came_in + end) / 2)
    assert [(entry["blend"], "final" in entry) for entry in entries[-3:]] == [(0.0, False), (0.25, False), (1.0, True)]


def test_motion_head_learns_a_wall() -> None:
    """Everything is blocked in front: the head must learn to say so."""
    commanded = torch.zeros(2, 31, 3)
    commanded[..., 2] = 0.75
    feasible = commanded * torch.tensor([1.0, 1.0, 0.0])
    entries: list[Entry] = []
    motions, nothing = Motions(commanded, feasible), Motions(*torch.zeros(2, 2, 32, 0, 4, 3))
    stage = MotionStage(steps=40, batch=8, rate=3e-3, held_out_samples=64)
    train_motion(MotionHead(GRID), store(), motions, nothing, (store(), motions), stage, entries.append)
    assert entries[-1]["error_metres"] < 0.2 < entries[-1]["error_if_ignored_metres"]


def test_motion_head_learns_a_wall_that_no_walk_met() -> None:
    """Let walks be free and tried commands blocked: without the tries the head would let everything pass."""
    torch.manual_seed(0)
    commanded = torch.zeros(2, 31, 3)
    commanded[..., 2] = 0.75
    blocked = commanded * torch.tensor([1.0, 1.0, 0.0])
    tried = torch.zeros(2, 32, 3, 4, 3)
    tried[..., 2] = 0.75
    entries: list[Entry] = []
    stage = MotionStage(steps=40, batch=8, rate=3e-3, held_out_samples=64, tried_share=1.0, blocked_share=0.0)
    tries = Motions(tried, tried * torch.tensor([1.0, 1.0, 0.0]))
    held_out = store(), Motions(commanded, blocked)
    train_motion(MotionHead(GRID), store(), Motions(commanded, commanded), tries, held_out, stage, entries.append)
    assert entries[-1]["recall"] == 1.0 and entries[-1]["error_metres"] < 0.2


def test_tried_commands_are_those_of_their_pose() -> None:
    """Number every tried command by its walk and pose: its frames must be those just before it."""
    length = 32
    number = torch.arange(2 * length).reshape(2, length, 1, 1, 1).float()
    walked = Motions(*torch.full((2, 2, length - 1, 3), -1.0))
    tried = Motions(number.expand(2, length, 2, 4, 3), number.expand(2, length, 2, 4, 3))
    own = store()
    generator = torch.Generator().manual_seed(0)
    sampler = MotionSampler(own, walked, tried)
    batch = sampler.look(Starts.join([sampler.walked(3, generator), sampler.tried(5, generator)]), generator)
    assert (batch.commanded[:3] == -1).all() and (batch.commanded[3:] >= 0).all()
    for row in range(3, 8):
        walk, pose = divmod(int(batch.commanded[row, 0, 0]), length)
        torch.testing.assert_close(batch.latents[row, -1], own.latents[walk, pose])


def test_blocked_samples_are_tried_ones_where_there_are_some() -> None:
    length = 32
    free = torch.zeros(2, length - 1, 3)
    tried = torch.zeros(2, length, 3, 4, 3)
    tried[1, 9, 2, 3, 2] = 0.75  # the only command with a wall
    sampler = MotionSampler(store(), Motions(free, free), Motions(tried, torch.zeros_like(tried)))
    drawn = sampler.blocked(6, torch.Generator().manual_seed(0))
    assert drawn.walk.tolist() == [1] * 6 and drawn.pose.tolist() == [9] * 6
    torch.testing.assert_close(drawn.commanded, tried[1, 9, 2].expand(6, 4, 3))


def test_blocked_samples_of_walks_begin_up_to_four_motions_before_the_wall() -> None:
    commanded = torch.zeros(2, 31, 3)
    commanded[0, 20, 2] = 0.75
    sampler = MotionSampler(store(), Motions(commanded, torch.zeros_like(commanded)))
    drawn = sampler.blocked(200, torch.Generator().manual_seed(0))
    assert set(drawn.walk.tolist()) == {0} and set(drawn.pose.tolist()) == {17, 18, 19, 20}
    assert (drawn.commanded[..., 2].sum(1) == 0.75).all()


def test_autoencoder_learns_a_colour() -> None:
    from li_env.worlds.freedoom.autoencoder import Autoencoder, AutoencoderConfig

    torch.manual_seed(0)
    frames = torch.full((4, 96, 128, 3), 90, dtype=torch.uint8)
    small = AutoencoderConfig(encoder=(16, 16, 16), decoder=(16, 16, 16, 16), decoder_blocks=(1, 1, 1, 1))
    entries: list[Entry] = []
    stage = AutoencoderStage(steps=60, batch=2, rate=5e-3)
    train_autoencoder(Autoencoder(small), lambda count: frames[:count], frames, stage, entries.append)
    assert entries[-1]["psnr"] > 20


def test_adversarial_gradient_is_scaled_to_its_share() -> None:
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = torch.tensor([0.0, 40.0, 0.0])
    combine_gradients([parameter], [torch.tensor([2.0, 0.0, 0.0])], 0.5)
    torch.testing.assert_close(parameter.grad, torch.tensor([2.0, 1.0, 0.0]))


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    state = {"a": [torch.ones(2), 3, {"b": torch.zeros(1)}], "c": {"0": 1.5}, "d": "text"}
    checkpoint.save(tmp_path / "x.safetensors", state)
    loaded = checkpoint.load(tmp_path / "x.safetensors")
    assert torch.equal(loaded["a"][0], state["a"][0]) and loaded["a"][1] == 3
    assert torch.equal(loaded["a"][2]["b"], torch.zeros(1))
    assert loaded["c"] == state["c"] and loaded["d"] == "text"


def test_config_names_unknown_keys() -> None:
    with pytest.raises(ValueError, match=r"dynamics\. key='stepz' is unknown .*; allowed: .*steps"):
        from_mapping(TrainConfig, {"dynamics": {"stepz": 1}}, "")
    with pytest.raises(ValueError, match=r"data\.maps='many' .* of type int"):
        from_mapping(TrainConfig, {"data": {"maps": "many"}}, "")
    with pytest.raises(ValueError, match=r"dynamics\.max_seconds=True .* of type float"):
        from_mapping(TrainConfig, {"dynamics": {"max_seconds": True}}, "")
    assert from_mapping(TrainConfig, {"dynamics": {"max_seconds": 60}}, "").dynamics.max_seconds == 60
    config = from_mapping(TrainConfig, {"refine": {"schedules": [[1.0, 0.0]]}, "stages": ["motion"]}, "")
    assert config.refine.schedules == ((1.0, 0.0),) and config.stages == ("motion",)
