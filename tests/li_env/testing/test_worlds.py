"""The contract suite passes the worlds that keep the contract and names the fault of those that do not."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from li_env.accel.geometry.camera import CameraMotion
from li_env.testing import check_world
from li_env.worlds import load_world
from li_env.worlds.hy_worldplay.build import random_world as hy_world
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.matrix_game_3.build import random_world as matrix_world
from li_env.worlds.matrix_game_3.config import ActionConfig, MatrixGame3Config
from li_env.worlds.matrix_game_3.time_axis import ClipSizes
from tests.analytic_world import SPEC, AnalyticWorld

CPU = torch.device("cpu")
HY = HYWorldPlayConfig(4, 64, 2, 3, 2.0, (8, 12, 12), text_width=8, vision_width=8, byt5_widths=(8, 8, 8))
MATRIX = MatrixGame3Config(
    in_dim=48, out_dim=48, dim=64, ffn_dim=128, freq_dim=32, num_heads=2, num_layers=2, text_len=12, text_dim=32,
    action_config=ActionConfig((0,), 2, 8, 6, 32, 2, 32, (4, 6, 6)),
)  # fmt: skip


def test_the_analytic_world_keeps_the_contract():
    check_world(AnalyticWorld(), least_psnr=math.inf)


def test_hy_worldplay_keeps_the_contract():
    check_world(hy_world(HY, CPU, (6, 8)), least_psnr=math.inf)


def test_matrix_game_keeps_the_contract():
    check_world(matrix_world(CPU, MATRIX, (4, 8), ClipSizes(25, 16)), least_psnr=math.inf)


def test_freedoom_keeps_the_contract():
    check_world(load_world("freedoom", device="cpu"), chunks=2, least_psnr=math.inf)


def test_the_game_keeps_the_contract():
    pytest.importorskip("vizdoom")
    check_world(load_world("freedoom_game"), least_psnr=math.inf)


class Spoilt(AnalyticWorld):
    """Makes one mistake: ``change`` replaces the answer of the method ``method`` for one episode."""

    def __init__(self, method: str, change) -> None:
        super().__init__()
        self._change = change
        setattr(self, method, partial(self._spoilt, getattr(self, method), method))

    def _spoilt(self, method, name, *arguments):
        answer = method(*arguments)
        if name == "decode":
            return [self._change(each) for each in answer[0]], answer[1]
        return [self._change(each) for each in answer]


def writing(requests):
    requests[0].noise.mul_(2)
    return AnalyticWorld().generate(requests)


def first_of_all(requests):
    """Every episode gets the motions of the first."""
    motions = AnalyticWorld().feasible_motions(requests)
    return [motions[0][:1] * len(each) for each in motions]


class Neighbourly(AnalyticWorld):
    def generate(self, requests):
        latents = super().generate(requests)
        mean = torch.stack([each.mean() for each in latents]).mean()
        return [each + 0.5 * (mean - each.mean()) for each in latents]


class Remembering(AnalyticWorld):
    calls = 0

    def generate(self, requests):
        self.calls += 1
        return [each + 0.001 * self.calls for each in super().generate(requests)]


class RememberingLate(AnalyticWorld):
    """Keeps something of the episode: the first chunk is another one after the third."""

    third = False

    def generate(self, requests):
        self.third |= any(request.plan.chunk == 3 for request in requests)
        late = self.third and any(request.plan.chunk == 0 for request in requests)
        return [each + 0.1 * late for each in super().generate(requests)]


class Failing(AnalyticWorld):
    def generate(self, requests):
        if {request.plan.chunk for request in requests} == {0, 1}:
            raise RuntimeError("cannot mix chunks")
        return super().generate(requests)


class Drifting(AnalyticWorld):
    """Its streaming variants make something else than the plain ones."""

    def generate_stream(self, requests):
        return [each + 0.1 for each in self.generate(list(requests))]


class OtherOnDevice(AnalyticWorld):
    def decode_on_device(self, latents, streams):
        frames, following = self.decode(latents, streams)
        return [torch.from_numpy(255 - each) for each in frames], following


class ArraysOnDevice(AnalyticWorld):
    def decode_on_device(self, latents, streams):
        return self.decode(latents, streams)


def with_attributes(**attributes) -> AnalyticWorld:
    world = AnalyticWorld()
    for name, value in attributes.items():
        setattr(world, name, value)
    return world


def with_views(**views) -> AnalyticWorld:
    world = AnalyticWorld()
    world.start_views = replace(world.start_views, **views)
    return world


FAULTS = {
    "device as a text": (lambda: with_attributes(device="cpu"), "device='cpu'; allowed: a torch.device"),
    "no spec": (lambda: with_attributes(spec=None), "spec=None; allowed: a WorldSpec"),
    "not a world": (object, "world=object is not usable; .* inherits from li_env.BaseWorld"),
    "no latents": (lambda: with_attributes(spec=replace(SPEC, chunk_latents=0)), "spec.chunk_latents=0"),
    "odd size": (lambda: with_attributes(spec=replace(SPEC, frame_size=(96.0, 128))), r"spec.frame_size=\(96.0, 128\)"),
    "no fps": (lambda: with_attributes(spec=replace(SPEC, fps=0.0)), "spec.fps=0.0"),
    "rising schedule": (lambda: with_attributes(spec=replace(SPEC, sigmas=(0.5, 1.0, 0.0))), "spec.sigmas="),
    "schedule without end": (lambda: with_attributes(spec=replace(SPEC, sigmas=(1.0, 0.5))), "spec.sigmas="),
    "grey start frames": (lambda: with_views(images=np.zeros((2, 96, 128), np.uint8)), r"start_views.images\[0\]"),
    "a pose too few": (lambda: with_views(poses=[np.eye(4)]), "start_views.poses: 1 for 2 start frames"),
    "a pose that is none": (lambda: with_views(poses=[np.eye(4), np.eye(3)]), r"start_views.poses\[1\] of shape"),
    "a prompt that is none": (lambda: with_views(prompts=["a", 2]), r"start_views.prompts\[1\]=2"),
    "scenes missing": (lambda: with_attributes(start=lambda images, prompts: []), "start returned 0 for 1 episodes"),
    "float frames": (lambda: Spoilt("decode", lambda part: part / 255), "ndarray float64 .* allowed: a uint8 array"),
    "small frames": (lambda: Spoilt("decode", lambda part: part[:, ::2, ::2]), r"\[4, 48, 64, 3\]; allowed: a uint8"),
    "a frame too few": (lambda: Spoilt("decode", lambda part: part[:-1]), r"\[3, 96, 128, 3\]; allowed"),
    "channels first": (lambda: Spoilt("decode", lambda part: part.transpose(0, 3, 1, 2)), r"\[4, 3, 96, 128\]"),
    "frames as tensors": (lambda: Spoilt("decode", torch.from_numpy), "Tensor uint8 .* allowed: a uint8 array"),
    "no streams": (
        lambda: with_attributes(decode=lambda latents, streams: [np.zeros((4, 96, 128, 3), np.uint8)] * len(latents)),
        "allowed: \\(frames, streams\\)",
    ),
    "latents missing": (lambda: Spoilt("generate", lambda part: part[1:]), r"generate: .*\[3, 4, 6, 8\]"),
    "latents as integers": (lambda: Spoilt("generate", torch.Tensor.int), "generate: Tensor int32"),
    "latents elsewhere": (lambda: Spoilt("generate", lambda part: part.to("meta")), "on meta; allowed: .* on cpu"),
    "NaN": (lambda: Spoilt("generate", lambda part: part * math.nan), "generate: latents with NaN"),
    "latents as a stack": (
        lambda: with_attributes(generate=lambda requests: torch.stack(AnalyticWorld().generate(requests))),
        "generate returned Tensor",
    ),
    "a motion too few": (lambda: Spoilt("feasible_motions", lambda part: part[1:]), "2 motions for 3"),
    "motions as numbers": (lambda: Spoilt("feasible_motions", lambda part: (0.0,) * len(part)), "tuple of Camera"),
    "motion without end": (
        lambda: Spoilt("feasible_motions", lambda part: (CameraMotion(forward=math.inf),) * len(part)),
        "allowed: finite numbers",
    ),
    "writes to noise": (lambda: with_attributes(generate=writing), "generate wrote to its arguments"),
    "neighbours decide motions": (lambda: with_attributes(feasible_motions=first_of_all), "no influence of its"),
    "neighbours decide frames": (Neighbourly, "frames of chunk . are others alone, .* dB; allowed: 40 dB or more"),
    "keeps count": (Remembering, "generate gave other latents when called again; allowed: the same bits"),
    "keeps an episode": (RememberingLate, "other latents when called again after other chunks"),
    "fails on mixed batches": (Failing, "generate failed on 2 episodes: RuntimeError: cannot mix chunks"),
    "another stream": (Drifting, "generate_stream gave other latents than generate"),
    "other frames on the device": (OtherOnDevice, "decode_on_device gave other frames than decode"),
    "arrays on the device": (ArraysOnDevice, "decode_on_device: .* allowed: a uint8 tensor on cpu"),
    "poses missing": (
        lambda: with_attributes(follow_many=lambda poses, motions: np.eye(4)), "follow_many: ndarray float64"
    ),
    "less for more": (lambda: with_attributes(working_bytes=lambda count: -count), "working_bytes"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault):
    make, message = FAULTS[fault]
    world = make()
    with pytest.raises(ValueError, match=message) as error:
        check_world(world)
    text = str(error.value)
    assert text.startswith(("world 'analytic': ", f"world '{type(world).__name__}': ", "world=object "))
    assert len(text) <= 500
    assert "\n" not in text
