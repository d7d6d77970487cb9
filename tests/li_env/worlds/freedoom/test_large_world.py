"""The large size: constants, weights, and everything that works with a world at its frames (tiny networks, CPU)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.plan import AttentionPlan
from li_env.accel.runtime.engine import Engine
from li_env.cli import main
from li_env.worlds.common.transformer import TransformerConfig
from li_env.worlds.freedoom import world as module
from li_env.worlds.freedoom.autoencoder import AutoencoderConfig
from li_env.worlds.freedoom.build_scan import build_scan
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS, DynamicsModel
from li_env.worlds.freedoom.geometry import FEATURES
from li_env.worlds.freedoom.sizes import LARGE, SIZES
from li_env.worlds.freedoom.weights import packaged_folder
from li_env.worlds.freedoom.world import FreedoomWorld
from li_env.worlds.registry import load_world

TINY_MAP = 20_000_001


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the world networks that take no time."""

    def dynamics(grid: tuple[int, int]) -> DynamicsModel:
        config = TransformerConfig(LATENT_CHANNELS + FEATURES, LATENT_CHANNELS, 64, 1, 2, modulation="shared")
        model = DynamicsModel(config, grid)
        for parameter in model.parameters():  # zero-initialised layers would hide mistakes
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.05)
        return model

    small = AutoencoderConfig(encoder=(16, 16, 16), decoder=(16, 16, 16, 16), decoder_blocks=(1, 1, 1, 1))
    monkeypatch.setattr(module, "DynamicsModel", dynamics)
    monkeypatch.setattr(module, "AutoencoderConfig", lambda: small)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def large() -> FreedoomWorld:
    world = load_world("freedoom_large", device="cpu", random_weights=True)
    assert isinstance(world, FreedoomWorld)
    return world


def test_constants_of_the_large_size(tiny: None) -> None:
    spec = large().spec
    assert (spec.name, spec.frame_size, spec.token_grid, spec.latent_shape) == (
        "freedoom_large", (192, 256), (12, 16), (64, 12, 16),
    )  # fmt: skip
    assert np.shape(large().start_views.images) == (8, 192, 256, 3)
    assert (spec.context_latents + spec.chunk_latents) * 12 * 16 == 4608
    for size in SIZES.values():
        latents, rows, columns = size.tile_shape
        assert latents * rows * columns <= 128
        assert size.token_grid[0] % rows == size.token_grid[1] % columns == 0


def test_without_weights_the_command_that_makes_them_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LI_ENV_FREEDOOM_LARGE", raising=False)
    with pytest.raises(ValueError, match=r"'freedoom_large' comes without weights.*configs/train/freedoom_large.yaml"):
        load_world("freedoom_large", device="cpu")
    monkeypatch.setenv("LI_ENV_FREEDOOM_LARGE", str(tmp_path / "here"))
    with pytest.raises(ValueError, match=r"no weights in .*/here: weights.json is missing"):
        load_world("freedoom_large", device="cpu")
    with pytest.raises(ValueError, match="weights='there' contradicts random_weights"):
        load_world("freedoom_large", device="cpu", weights="there", random_weights=True)


def test_weights_of_the_small_size_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LI_ENV_FREEDOOM_LARGE", str(packaged_folder()))
    world, small = load_world("freedoom_large", device="cpu"), load_world("freedoom", device="cpu")
    assert isinstance(world, FreedoomWorld) and isinstance(small, FreedoomWorld)
    for one, other in zip(world.dynamics.parameters(), small.dynamics.parameters(), strict=True):
        assert torch.equal(one, other)
    frames = world.start_views.images[:1]
    rebuilt = world.decode([world.encode(frames)], [None])[0][0]
    error = np.square(rebuilt.astype(float) - frames).mean() / 255**2
    assert -10 * np.log10(error) > 28  # the autoencoder sees the same pictures, only nearer


def test_fewer_episodes_together_than_in_the_small_size(tiny: None) -> None:
    world = large()
    world.device = torch.device("cuda")
    assert [world.micro_batch(count) for count in (1, 8, 9, 33, 512)] == [2, 2, 8, 16, 16]
    assert world.working_bytes(512) == 16 * 864 * 2**20


def test_an_episode_shows_large_frames(tiny: None) -> None:
    env = gymnasium.make("LightInteraction/Explore-v0", world=large(), preset="all", observation="frame")
    observation, _ = env.reset(seed=0)
    assert observation.shape == (192, 256, 3)
    for _ in range(3):
        observation, *_ = env.step(1)
        assert observation.shape == (192, 256, 3)
    assert observation.std() > 0


def test_all_tiles_kept_equals_dense_attention_and_fewer_do_not(tiny: None) -> None:
    world = large()
    engine = Engine(world, AccelConfig.preset("off"))
    states = engine.start([world.start_views.images[0]], [""], [0])
    turn = [(module.CameraMotion(yaw=15.0),) * 3]
    states, _ = engine.step(states, turn)
    turn = [(module.CameraMotion(yaw=15.0),) * 4]
    _, (dense,) = engine.step(states, turn)
    made = {}
    for ratio in (0.3, 1.0):
        plan = replace(dense.plan, attention=AttentionPlan("block_sparse", ratio, ratio))
        made[ratio] = engine.step(states, turn, [plan])[1][0].latents
    assert (made[1.0] - dense.latents).norm() / dense.latents.norm() < 1e-5
    assert (made[0.3] - dense.latents).norm() / dense.latents.norm() > 1e-5


def test_the_game_has_the_same_size_on_request() -> None:
    pytest.importorskip("vizdoom")
    game = load_world("freedoom_game", size="large")
    try:
        assert game.spec.frame_size == (192, 256)
        shown = game.render_start(game.start_views.prompts[0], game.start_views.poses[0])
        assert np.array_equal(shown, game.start_views.images[0])
        env = gymnasium.make("LightInteraction/PointGoal-v0", world=game, observation="frame")
        assert env.reset(seed=0, options={"episode": 7})[0]["rgb"].shape == (192, 256, 3)
        assert env.step(1)[0]["rgb"].shape == (192, 256, 3)
    finally:
        game.close()
    with pytest.raises(ValueError, match="size='huge' is unknown.*allowed: small, large"):
        load_world("freedoom_game", size="huge")


def test_a_scan_of_this_size_grounds_an_episode(tiny: None) -> None:
    pytest.importorskip("vizdoom")
    scan = build_scan(TINY_MAP, 5.0, 2, frame_size=LARGE.frame_size)
    assert scan.images.shape[1:] == (192, 256, 3)
    env = gymnasium.make("LightInteraction/Explore-v0", world=large(), observation="frame")
    observation, _ = env.reset(seed=0, options={"scan": scan, "view": 3})
    assert np.array_equal(observation, scan.images[3])
    env.step(1)
    assert len(env.unwrapped.plan["views"]) > 0


def test_presets_are_compared_with_the_game_at_this_size(tiny: None, tmp_path: Path) -> None:
    pytest.importorskip("vizdoom")
    words = ["bench", "--world", "freedoom_large", "--random-weights", "--device", "cpu", "--presets", "off", "sparse"]
    words += ["--trajectories", "square", "--seeds", "0", "--repeats", "1", "--chunks", "4", "--batch", "1"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "bench.json").read_text())
    assert "freedoom_large" in json.dumps(report) and "game" in json.dumps(report)


def test_the_world_is_measured_against_the_game_at_this_size(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("vizdoom")
    monkeypatch.setattr("li_env.evaluation.world.run.load_world", lambda name, *_: large())
    words = ["evaluate", "world", "--world", "freedoom_large", "--device", "cpu", "--out", str(tmp_path), "--quick"]
    words += ["--trajectories", "1", "--chunks", "1", "--spacings", "8", "--headings", "2", "--preset", "off"]
    assert main([*words, "--parts", "autoencoder", "walks", "--workers", "1"]) == 0
    report = json.loads((tmp_path / "freedoom_world.json").read_text())
    assert report["identity"]["world"] == "freedoom_large"
    assert {row["labels"]["scan"] for row in report["parts"]["walks"]["rows"]} == {None, 8.0}
