"""A world computes the same under all settings of torch, and leaves the settings as they were."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext

import gymnasium
import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import li_env  # noqa: F401
from li_env.accel.runtime.ambient import own_torch_state
from li_env.env import LightInteractionEnv
from li_env.worlds import load_world
from tests.narrow_freedoom import narrow_freedoom


@contextmanager
def written(write, value, before):
    write(value)
    try:
        yield
    finally:
        write(before)


@contextmanager
def precision(owner, value, before):
    owner.fp32_precision = value
    try:
        yield
    finally:
        owner.fp32_precision = before


AMBIENT = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast of half": lambda: torch.autocast("cpu", torch.float16),
    "default dtype": lambda: written(torch.set_default_dtype, torch.float64, torch.float32),
    "default dtype of half": lambda: written(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "default device": lambda: torch.device("meta"),
    "default device for ever": lambda: written(torch.set_default_device, "meta", None),
    "matmul precision": lambda: written(torch.set_float32_matmul_precision, "medium", "highest"),
    "matmul precision of a backend": lambda: precision(torch.backends.mkldnn.matmul, "bf16", "none"),
    "gradients": torch.enable_grad,
    "inference": torch.inference_mode,
    "deterministic": lambda: written(torch.use_deterministic_algorithms, True, False),
    "no oneDNN": lambda: torch.backends.mkldnn.flags(enabled=False),
    "one attention kernel": lambda: sdpa_kernel(SDPBackend.MATH),
}
TOGETHER = (
    ("autocast", "default dtype", "default device", "matmul precision", "gradients"),
    (
        "autocast of half",
        "default dtype of half",
        "default device for ever",
        "matmul precision of a backend",
        "inference",
    ),
    ("deterministic", "no oneDNN", "one attention kernel"),
)
"""Settings that do not hide each other: where one of them came through, frames would change or fail."""


@contextmanager
def ambient(names):
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(AMBIENT[name]())
        yield


def settings():
    backends = torch.backends
    return (
        torch.get_default_dtype(), torch.get_default_device(),
        torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"), torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(), torch.are_deterministic_algorithms_enabled(),
        backends.mkldnn.matmul.fp32_precision, backends.mkldnn.conv.fp32_precision,
        backends.cuda.matmul.fp32_precision, backends.cudnn.conv.fp32_precision, backends.cuda.flash_sdp_enabled(),
        backends.cudnn.benchmark,
    )  # fmt: skip


def two_chunks(env: LightInteractionEnv) -> np.ndarray:
    env.reset(seed=0)
    return np.concatenate([env.step(action)[0] for action in (1, 5)])


@pytest.fixture(scope="module")
def env():
    return LightInteractionEnv(load_world("freedoom", device="cpu"), preset="all")


@pytest.fixture(scope="module")
def expected(env):
    return two_chunks(env)


def test_no_setting_is_forgotten():
    assert sorted(name for names in TOGETHER for name in names) == sorted(AMBIENT)


@pytest.mark.parametrize("names", TOGETHER, ids=" + ".join)
def test_frames_are_the_same_and_settings_stay(env, expected, names):
    with ambient(names):
        inside = settings()
        frames = two_chunks(env)
        assert settings() == inside
    assert np.array_equal(frames, expected)


def test_a_world_can_be_loaded_inside(expected):
    from li_env.worlds.freedoom.world import FreedoomWorld

    with ambient(("default dtype", "default device", "autocast", "inference")):
        # Another folder string: not the world that is loaded already.
        from li_env.worlds.freedoom.weights import packaged_folder

        world = load_world("freedoom", device="cpu", weights=f"{packaged_folder()}/.")
    assert isinstance(world, FreedoomWorld)
    assert np.array_equal(two_chunks(LightInteractionEnv(world, preset="all")), expected)


@pytest.mark.parametrize("around", [nullcontext, torch.inference_mode])
def test_observations_on_the_device_are_ordinary_tensors(around):
    env = gymnasium.make_vec(
        "LightInteraction/Explore-v0", num_envs=2, vectorization_mode="vector_entry_point",
        world=narrow_freedoom(), device_obs=True, preset="all",
    )  # fmt: skip
    with around():
        env.reset(seed=0)
        seen, *_ = env.step(np.array([1, 3]))
    assert not seen.is_inference() and not seen.requires_grad
    seen[:] = 0  # in place, too
    weight = torch.ones(3, requires_grad=True)
    (seen.float() * weight).sum().backward()
    assert np.isfinite(env.step(np.array([1, 3]))[1]).all(), "goes on outside of inference mode"
    env.close()


def test_settings_are_put_back_after_an_error():
    before = settings()
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(RuntimeError, match="inside"), own_torch_state():
            assert torch.get_default_dtype() == torch.float32
            raise RuntimeError("inside")
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert settings() == before


def test_nothing_is_changed_where_nothing_is_set():
    before = settings()
    with own_torch_state(), nullcontext():
        assert not torch.is_grad_enabled()
    assert settings() == before
