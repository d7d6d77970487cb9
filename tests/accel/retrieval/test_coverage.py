from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.accel.geometry.visibility import VisibilitySampler
from li_env.accel.pose_track import PoseTrack
from li_env.accel.retrieval.base import RetrievalChoice, RetrievalRequest
from li_env.accel.retrieval.coverage import MAX_RECENT, POINTS, SAME_SIDE, Coverage, _spread
from tests.accel.walks import wander
from tests.analytic_world import SPEC

CONFIG = AccelConfig(memory="coverage", memory_groups=2, memory_threshold=0.2, revisit="coverage", window_chunks=1)


def ask(poses: np.ndarray, length: int, window: int = 4) -> RetrievalRequest:
    return RetrievalRequest(PoseTrack(poses[:length]), poses[length : length + 4], before=max(0, length - window))


def choose(poses: np.ndarray, length: int, window: int = 4, **changes: Any) -> RetrievalChoice:
    return Coverage(SPEC, CONFIG.replace(**changes)).choose([ask(poses, length, window)])[0]


def walk(text: str) -> np.ndarray:
    return np.concatenate([np.eye(4)[None], follow(np.eye(4), parse_trajectory(text, SPEC.motion))])


def by_hand(poses: np.ndarray, length: int, memory: tuple[int, ...], window: int = 4) -> tuple[float, float, float]:
    """Return the share of the window, the share that ``memory`` adds, and the known share of new points.

    New points are new to the last chunk. The first and the last latent of each retrieved group count.
    """
    generator = np.random.default_rng(length)
    slopes = np.tan(np.radians(np.array(SPEC.fov) / 2))
    depth = generator.uniform(0, SPEC.view_distance, (4, 3000))
    sides = generator.uniform(-1, 1, (2, 4, 3000)) * slopes[:, None, None] * depth
    local = np.stack([*sides, depth], axis=-1)
    rays = np.einsum("qij,qpj->qpi", poses[length : length + 4, :3, :3], local)
    points = rays + poses[length : length + 4, None, :3, 3]

    def shown(indices: Sequence[int]) -> np.ndarray:
        seen = np.zeros((4, 3000), dtype=bool)
        for index in indices:
            away = points - poses[index, :3, 3]
            x, y, z = np.moveaxis(away @ poses[index, :3, :3], -1, 0)
            inside = (z > 0) & (z < SPEC.view_distance) & (np.abs(x) < slopes[0] * z) & (np.abs(y) < slopes[1] * z)
            cosine = (away * rays).sum(-1) / np.linalg.norm(away, axis=-1) / np.linalg.norm(rays, axis=-1)
            seen |= inside & (np.degrees(np.arccos(cosine.clip(-1, 1))) < SAME_SIDE)
        return seen

    newest, recent, old = (
        shown(range(length - 4, length)),
        shown(range(length - window, length)),
        shown((*memory[::4], *memory[3::4])),
    )
    rest = (recent | old) & ~newest
    return recent.mean(), (old & ~recent).mean(), rest.sum() / (~newest).sum()


@pytest.mark.parametrize("window", [4, 12])
def test_shares_are_those_of_a_fine_sample(window: int) -> None:
    compared = 0
    for seed in range(6):
        poses = wander(404, seed)
        for length in (40, 200, 400):
            choice = choose(poses, length, window)
            recent, added, known = by_hand(poses, length, choice.memory, window)
            percent = [int(word.rstrip("%;")) / 100 for word in choice.reason.split() if "%" in word]
            assert percent[0] == pytest.approx(recent, abs=0.08)
            if choice.memory:
                assert percent[1] == pytest.approx(added, abs=0.08)
            if choice.similarity > 0:
                assert choice.similarity == pytest.approx(known, abs=0.2)
                compared += 1
    assert compared > 6


def test_memory_is_what_adds_most() -> None:
    """Walk back through the poses at which these latents were made."""
    choice = choose(walk("w-31, s-32"), 40)
    assert choice.memory == (16, 17, 18, 19)
    assert choice.similarity > 0.9
    assert choice.revisit


def test_walking_ahead_needs_no_memory() -> None:
    choice = choose(walk("w-63"), 48)
    assert (choice.memory, choice.similarity, choice.revisit) == ((), 0.0, False)
    assert "old ones add too little" in choice.reason


def test_no_group_twice_for_the_same_thing() -> None:
    """Stand at two poses in turn for long: every group of the other pose shows the same, so one is enough."""
    turn = [CameraMotion(yaw=90)] + [CameraMotion()] * 7 + [CameraMotion(yaw=-90)] + [CameraMotion()] * 7
    poses = follow(np.eye(4), turn * 6)
    choice = choose(poses, 80)
    assert choice.memory == (0, 1, 2, 3)  # ties go to the oldest group
    assert choice.revisit


def test_two_groups_where_two_are_needed() -> None:
    """Turn over two views that were seen at different times."""
    poses = np.concatenate(
        [
            follow(np.eye(4), [CameraMotion(yaw=-45)] + [CameraMotion()] * 3),
            follow(np.eye(4), [CameraMotion(yaw=180)] + [CameraMotion()] * 3),
            follow(np.eye(4), [CameraMotion(yaw=45)] + [CameraMotion()] * 3),
            follow(np.eye(4), [CameraMotion(yaw=180)] + [CameraMotion()] * 3),
            follow(np.eye(4), [CameraMotion(yaw=-45)] + [CameraMotion(yaw=30)] * 3),
        ]
    )
    choice = choose(poses, 16)
    assert choice.memory == (0, 1, 2, 3, 8, 9, 10, 11)
    assert choice.similarity > 0.9
    one = choose(poses, 16, memory_groups=1)
    assert len(one.memory) == 4
    assert 0.3 < one.similarity < 0.8
    assert choose(poses, 16, memory_groups=0).memory == ()
    assert choose(poses, 16, memory_threshold=1.0).memory == ()


def test_near_groups_go_before_far_ones_that_show_the_same() -> None:
    """Compare with groups further back, which show the same, but smaller."""
    poses = walk("w-31, s-16")  # the coming chunk passes latents 18, 17, 16, 15
    choice = Coverage(replace(SPEC, view_distance=80.0), CONFIG).choose([ask(poses, 44)])[0]
    assert choice.memory == (12, 13, 14, 15)


def test_regime_does_not_depend_on_the_window() -> None:
    """Turn back: a longer window still holds the views, a shorter window needs retrieved latents."""
    poses = walk("w-31, s-32")
    for length in range(12, 60, 4):
        assert choose(poses, length, 4).revisit == choose(poses, length, 12).revisit
    assert choose(poses, 36, 12).memory == () or choose(poses, 36, 12).similarity > 0.9


def test_a_corner_seen_from_afar_is_not_known() -> None:
    """Turn aside after a long walk: old frames show the corridor, but from another side."""
    poses = walk("w-19, right-6, w-9")
    assert [choose(poses, length).memory for length in (20, 24, 28)] == [(), (), ()]


def test_standing_still_is_no_revisit() -> None:
    poses = np.tile(np.eye(4), (40, 1, 1))
    assert choose(poses, 32) == replace(choose(poses, 32), memory=(), similarity=0.0, revisit=False)


def test_no_history() -> None:
    choice = choose(walk("w-10"), 0)
    assert (choice.memory, choice.similarity, choice.complete) == ((), 0.0, True)
    assert choose(walk("w-10"), 2).memory == ()


def test_episodes_of_a_batch_do_not_mix() -> None:
    lengths = (0, 2, 4, 8, 16, 40, 44, 200, 1000, 60, 1200, 28, 32, 96, 100, 104, 108, 700, 12)
    requests = [ask(wander(1204, seed), length, (4, 12, 8)[seed % 3]) for seed, length in enumerate(lengths)]
    policy = Coverage(SPEC, CONFIG)
    together = policy.choose(requests)
    assert together == [policy.choose([asked])[0] for asked in requests]
    assert together == Coverage(SPEC, CONFIG).choose(requests)
    assert sum(bool(choice.memory) for choice in together) > 5


def test_position_in_the_world_does_not_matter() -> None:
    poses = wander(404, 1)
    moved = poses.copy()
    moved[:, :3, 3] += (1000.0, 50.0, -3000.0)
    first, second = choose(poses, 400), choose(moved, 400)
    assert first.memory == second.memory
    assert first.similarity == pytest.approx(second.similarity, abs=0.01)


def test_work_per_chunk_stops_growing(monkeypatch: pytest.MonkeyPatch) -> None:
    work: list[int] = []
    plain = VisibilitySampler.sees

    def counted(
        self: VisibilitySampler, poses: np.ndarray, points: np.ndarray, rays: np.ndarray, angle: float
    ) -> np.ndarray:
        work.append(poses.shape[-3] * points.shape[-2])
        return plain(self, poses, points, rays, angle)

    monkeypatch.setattr(VisibilitySampler, "sees", counted)
    poses = wander(4104, 9)
    for length, window in ((3, 4), (12, 8), (60, 4), (400, 12), (4100, 4)):
        choose(poses, length, window)
    # All histories take the same work: products of another size round differently.
    assert work == [(4 + 8 + 2 * 12) * POINTS] * 5


def test_other_chunks_and_groups() -> None:
    spec = replace(
        SPEC, chunk_latents=10, first_chunk_latents=15, temporal_latents=4, context_latents=9, memory_group=1
    )
    poses = walk("left-47, right-60")
    choices = []
    for length in range(15, 95, 10):
        request = RetrievalRequest(PoseTrack(poses[:length]), poses[length : length + 10], before=length - 4)
        choices.append(Coverage(spec, AccelConfig(memory="coverage", memory_threshold=0.1)).choose([request])[0])
    assert all(len(choice.memory) <= 5 for choice in choices)
    assert [choice.revisit for choice in choices] == [False, True, True, True, True, True, True, True]


def test_spread() -> None:
    np.testing.assert_array_equal(_spread(np.array([4, 2, 0]), 4), [[0, 1, 2, 3], [0, 0, 1, 1], [0, 0, 0, 0]])
    long = _spread(np.array([100]), MAX_RECENT)
    assert long.shape == (1, MAX_RECENT)
    assert (long[0, 0], long[0, -1]) == (0, 99)
    for size in range(MAX_RECENT + 1):  # few are all taken
        assert set(_spread(np.array([size]), MAX_RECENT)[0].tolist()) == set(range(max(1, size)))


def test_a_world_may_ask_for_some_memory_always() -> None:
    poses = walk("w-40")
    asked = ask(poses, 32)
    config = CONFIG.replace(memory_threshold=1.0)
    none, one, two = (
        Coverage(replace(SPEC, fewest_memory_groups=fewest), config).choose([asked])[0] for fewest in (0, 1, 2)
    )
    assert none.memory == ()
    assert one.memory == (24, 25, 26, 27)  # walking straight ahead, the nearest views are those just before the window
    assert len(set(two.memory)) == 8 and set(one.memory) < set(two.memory)
    assert not one.revisit


def test_what_adds_enough_goes_before_what_is_near() -> None:
    poses = walk("right-24, w-4, s-4, right-12")
    few = Coverage(replace(SPEC, fewest_memory_groups=1), CONFIG)
    for length in range(8, 40, 4):
        asked = ask(poses, length)
        wanted, found = Coverage(SPEC, CONFIG).choose([asked])[0], few.choose([asked])[0]
        assert found.memory == wanted.memory or not wanted.memory


def test_the_sink_is_always_retrieved() -> None:
    poses = walk("w-40")
    for length, sink in ((4, ()), (6, (0,)), (8, (0, 3)), (32, (0, 3))):
        assert choose(poses, length, memory_sink=2).memory == sink
    assert choose(poses, 32, memory_sink=1).memory == (0,)
    assert choose(poses, 32, memory_sink=99).memory == (0, 1, 2, 3)  # a keyframe group at most
    assert choose(poses, 32, memory_sink=4, memory_groups=0).memory == ()
    assert "Recent frames and the sink show" in choose(poses, 32, memory_sink=1).reason
    assert "the sink" not in choose(poses, 32).reason


def test_a_sink_takes_the_place_of_a_group() -> None:
    poses = walk("right-24, w-4, s-4, right-12")
    for length in range(8, 44, 4):
        found, wanted = choose(poses, length, memory_sink=4), choose(poses, length)
        assert found.memory[:4] == (0, 1, 2, 3) and len(found.memory) <= 8
        assert choose(poses, length, memory_sink=4, memory_groups=1).memory == (0, 1, 2, 3)
        # What the sink shows needs no other group.
        assert len(found.memory) <= len(wanted.memory) + 4


def test_a_sink_shows_what_was_seen_first() -> None:
    """Turn away and back to the start: the sink alone makes it a revisit."""
    poses = walk("left-23, right-24")
    alone = choose(poses, 44, memory_sink=4, memory_groups=1)
    assert alone.memory == (0, 1, 2, 3) and alone.revisit
    assert not choose(poses, 44, memory_groups=0).revisit


def test_a_world_may_name_its_sink() -> None:
    poses = walk("w-40")
    own = replace(SPEC, sink_latents=3, fewest_memory_groups=1)
    for sink, expected in ((None, (0, 2, 3)), (1, (0,)), (0, (24, 25, 26, 27))):
        config = CONFIG.replace(memory_sink=sink, memory_threshold=1.0)
        assert Coverage(own, config).choose([ask(poses, 32)])[0].memory == expected


def test_part_of_a_group_stands_for_it_while_exploring() -> None:
    poses = walk("left-31, right-32")
    whole = choose(poses, 48, memory_groups=1)
    assert whole.memory and whole.memory == tuple(range(whole.memory[0], whole.memory[0] + 4))
    for count, places in ((1, (0,)), (2, (0, 3)), (3, (0, 2, 3)), (4, (0, 1, 2, 3)), (99, (0, 1, 2, 3))):
        found = choose(poses, 48, memory_groups=1, memory_group_latents=count, revisit_similarity=1.0)
        assert not found.revisit
        assert found.memory == tuple(whole.memory[0] + place for place in places)
        revisit = choose(poses, 48, memory_groups=1, memory_group_latents=count)
        assert revisit.revisit and revisit.memory == whole.memory, "a revisit needs the details of all frames"
    ends, full = (choose(poses, 48, memory_group_latents=count, revisit_similarity=1.0) for count in (2, None))
    assert (ends.similarity, ends.reason) == (full.similarity, full.reason)  # both ends are what is looked at
