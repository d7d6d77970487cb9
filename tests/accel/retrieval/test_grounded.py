"""Views of a scan and the own past in one context, within one budget."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from li_env.accel.budget import memory_latents
from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, move
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.accel.retrieval.base import RetrievalChoice
from li_env.accel.retrieval.motion_context import scanned_motion_contexts
from li_env.accel.view_bank import ViewBank
from tests.accel.level import level, spots
from tests.accel.planning.test_planner import track_of
from tests.analytic_world import SPEC

OFF, ALL = AccelConfig.preset("off"), AccelConfig.preset("all")


def bank_of(poses: np.ndarray) -> ViewBank:
    return ViewBank(torch.zeros(len(poses), *SPEC.latent_shape), poses, SPEC.view_distance, "test")


def around(x: float, z: float, headings: int = 8) -> np.ndarray:
    return level(np.full(headings, x), np.full(headings, z), np.arange(headings) * 2 * np.pi / headings)


ROOM = np.concatenate([around(x, z) for x in (-2.0, 0.0, 2.0) for z in (-2.0, 0.0, 2.0)])
"""Nine spots of eight headings around the origin."""


def plan(poses: np.ndarray, length: int, bank: ViewBank | None, config: AccelConfig = OFF):
    count = SPEC.first_chunk_latents if length == 0 else SPEC.chunk_latents
    return Planner(SPEC, config).plan([PoseTrack(poses[:length])], [poses[length : length + count]], [bank])[0]


def test_every_chunk_has_as_many_views_as_the_budget_holds() -> None:
    poses, bank = track_of("w-2, right-10, w-3, left-30"), bank_of(ROOM)
    for config in (OFF, ALL):
        for length in range(0, 40, 4):
            made = plan(poses, length, bank, config)
            assert len(made.views) + len(made.memory) == memory_latents(SPEC, config) == 8
            assert len(set(made.views)) == len(made.views)
            assert made.context_latents == min(length, len(made.temporal)) + 8 <= SPEC.context_latents
            assert set(made.memory).isdisjoint(made.temporal)


def test_a_chunk_in_the_scan_is_a_revisit_and_one_outside_is_not() -> None:
    poses = track_of("w-1, right-20")
    seen, elsewhere = plan(poses, 16, bank_of(ROOM), ALL), plan(poses, 16, bank_of(ROOM + 50 * shift()), ALL)
    assert (seen.regime, seen.steps) == ("revisit", 2) and seen.similarity > 0.8
    assert elsewhere.similarity < 0.7 and elsewhere.regime == "explore" and elsewhere.steps == 4
    assert plan(poses, 8, bank_of(ROOM), ALL).regime == "warmup"


def shift() -> np.ndarray:
    move_x = np.zeros((4, 4))
    move_x[0, 3] = 1.0
    return move_x


def test_the_own_past_fills_in_where_the_scan_shows_nothing() -> None:
    poses = track_of("left-30, left-30")
    far = bank_of(level(np.array([90.0]), np.array([0.0]), np.array([0.0])))
    made = plan(poses, 28, far)
    assert made.memory and len(made.memory) + len(made.views) == 8
    assert max(made.memory) < min(made.temporal)
    assert not plan(poses, 28, bank_of(ROOM)).memory, "real views go before generated ones"


def test_an_episode_does_not_depend_on_its_batch() -> None:
    tracks = [track_of(text) for text in ("w-9, right-20", "left-29", "d-4, left-25", "right-14, w-2, left-13")]
    banks = [bank_of(ROOM), None, bank_of(level(*np.moveaxis(spots(300, 9.0), -1, 0))), bank_of(ROOM[:5])]
    lengths = [16, 24, 8, 0]
    planner = Planner(SPEC, ALL)
    asked = [
        (PoseTrack(each[:length]), each[length : length + 4]) for each, length in zip(tracks, lengths, strict=True)
    ]
    histories, coming = zip(*asked, strict=True)
    together = planner.plan(histories, coming, banks)
    for row in range(4):
        assert planner.plan([histories[row]], [coming[row]], [banks[row]]) == [together[row]]
    assert together[1] == planner.plan([histories[1]], [coming[1]])[0], "no scan, no difference"


def test_a_policy_that_chooses_too_many_is_refused() -> None:
    planner, poses = Planner(SPEC, OFF), track_of("w-30")

    class Greedy:
        def choose(self, requests):
            return [RetrievalChoice(tuple(range(12)), 0.0, False, "All of it") for _ in requests]

    planner._retrieval = Greedy()
    with pytest.raises(ValueError, match=r"memory: policy 'nearest_view' chose 24 context latents in all; .* = 20"):
        planner.plan([PoseTrack(poses[:24])], [poses[24:28]])


def test_slots_keep_out_the_start_image() -> None:
    spec = replace(SPEC, memory_rule="slots", memory_group=1)
    poses = track_of("left-30, left-30")
    far = bank_of(level(np.array([90.0]), np.array([0.0]), np.array([0.0])))
    made = Planner(spec, OFF).plan([PoseTrack(poses[:28])], [poses[28:32]], [far])[0]
    assert made.memory and 0 not in made.memory


def test_the_motion_context_has_four_that_look_ahead_then_the_newest() -> None:
    now = np.eye(4)
    for motion, direction in (
        (CameraMotion(forward=1.0), (0, 1)),
        (CameraMotion(forward=-1.0), (0, -1)),
        (CameraMotion(right=1.0), (1, 0)),
        (CameraMotion(yaw=20.0), (0, 1)),
    ):
        poses = track_of("left-6")
        ((views, latents),) = scanned_motion_contexts(
            [PoseTrack(poses)], [bank_of(ROOM)], now[None], move(now, motion)[None], SPEC
        )
        assert latents[-4:] == (3, 4, 5, 6) and len(views) + len(latents) == 8
        looks = ROOM[list(views), :3, 2].mean(axis=0)
        assert looks[[0, 2]] @ direction > 0.7
    ((views, latents),) = scanned_motion_contexts(
        [PoseTrack()], [bank_of(ROOM)], now[None], move(now, CameraMotion(forward=1.0))[None], SPEC
    )
    assert len(views) == 4 and latents == ()
