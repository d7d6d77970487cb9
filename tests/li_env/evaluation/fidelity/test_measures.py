"""Next chunks, own rollouts, revisits and motions of a world whose answers are known."""

import numpy as np
import pytest
import torch

from li_env.accel.geometry.camera import CameraMotion
from li_env.evaluation.fidelity import rollouts
from li_env.evaluation.fidelity.motion_accuracy import motion_accuracy
from li_env.evaluation.fidelity.next_chunk import VARIANTS, next_chunk_rows
from li_env.evaluation.fidelity.real_past import Player, encode
from li_env.evaluation.fidelity.reference_videos import HELD_OUT
from li_env.evaluation.fidelity.revisits import revisit_rows
from li_env.evaluation.fidelity.rollouts import roll_out
from li_env.evaluation.fidelity.settings import FidelitySettings
from tests.li_env.evaluation.fidelity.photographic_world import PhotographicWorld, videos

SETTINGS = FidelitySettings(trajectories=2, chunks=3, positions=2)
STEP, TURN = CameraMotion(forward=0.75), CameraMotion(yaw=15.0)
CPU = torch.device("cpu")


def nothing() -> None:
    pass


def test_next_chunks_on_the_way_back_are_known_only_to_memory():
    made = videos([STEP] * 31 + [CameraMotion()] + [CameraMotion(forward=-0.75)] * 31)
    world, calls = PhotographicWorld(), []
    latents = encode(world, made.frames)
    rows = next_chunk_rows(world, SETTINGS, made, latents, True, lambda: calls.append(1))
    assert len(calls) == len(rows) == VARIANTS
    psnr = {(row["method"], row["steps"], row["memory"]): row["psnr"] for row in rows}
    assert psnr[("world", 4, True)]["mean"] == pytest.approx(40.1, abs=0.3)
    assert psnr[("world", 16, True)]["mean"] > 50
    assert psnr[("world", 4, False)]["mean"] < 20 and psnr[("copy last frame", None, None)]["mean"] < 20
    assert psnr[("autoencoder", None, None)] == {"mean": 99.0, "std": 0.0, "n": 2}


def test_there_is_no_way_back_on_a_way_out():
    made = videos([STEP] * 31)
    world = PhotographicWorld()
    assert next_chunk_rows(world, SETTINGS, made, encode(world, made.frames), True, nothing) == []


def test_own_rollouts_leave_out_the_start_frame_and_score_pixels_apart():
    made = videos([STEP] * 11)
    left = torch.zeros((2, 12, 96, 128), dtype=torch.bool)
    left[..., :64] = True
    left[:, 4:] = False
    player = Player(PhotographicWorld(noise=0.0), "off", 4, memory=True)
    row, frames = roll_out(player, SETTINGS, made, CPU, {"left": left}, 1, nothing)
    assert frames.shape == (1, 12, 96, 128, 3)
    np.testing.assert_array_equal(frames[0], np.repeat(made.frames[:1, 0], 12, axis=0))
    assert max(row["psnr"]["mean"]) < 20 and row["psnr"]["n"] == [2, 2, 2], "the start frame alone would be perfect"
    assert row["share/left"]["mean"] == [0.5, 0.0, 0.0]
    assert row["psnr/left"]["mean"][1:] == [None, None] and row["psnr/left"]["mean"][0] < 20
    assert row["sharpness"]["mean"] == [pytest.approx(1.0, abs=0.1)] * 3
    assert row["collapsed"]["mean"] == [0.0] * 3


def test_collapsed_frames_are_found():
    real = np.random.default_rng(0).integers(0, 256, (4, 2, 24, 32, 3)).astype(np.uint8)
    generated = real.copy()
    generated[0] = 255
    generated[1, 0] = 77
    health = rollouts._health(generated, real, np.array([False, False, True, False]))
    assert {name: health[name]["mean"] for name in ("saturated", "constant", "not_finite", "collapsed")} == {
        "saturated": 0.25, "constant": 0.375, "not_finite": 0.25, "collapsed": 0.625,
    }  # fmt: skip
    assert health["brightness"]["mean"] == pytest.approx((generated.mean() - real.mean()), abs=1e-6)
    dark = np.zeros_like(real)
    assert rollouts._health(dark, dark, np.zeros(4, bool))["collapsed"]["mean"] == 0.0, "the game itself is dark there"


def test_revisits_with_and_without_memory():
    mirrored = np.concatenate([np.full(16, -1), np.arange(16)[::-1]])
    lap = np.concatenate([np.full(16, -1), np.arange(16)])
    back = videos([TURN] * 15 + [CameraMotion()] + [TURN.scaled(-1.0)] * 15, 1, mirrored)
    spin = videos([TURN.scaled(1.5)] * 31, 1, lap)
    made = {(HELD_OUT, f"look/{kind}"): back for kind in ("out_and_back", "square", "offset")}
    made[(HELD_OUT, "look/spin")] = spin
    rows = revisit_rows(PhotographicWorld(noise=0.0), SETTINGS, made, nothing)
    found = {(row["kind"], row["first_look"], row["memory"]): row for row in rows}
    assert len(rows) == len(found) == 16
    assert found[("spin", "real", True)]["psnr"]["mean"] == 99.0
    assert found[("spin", "real", False)]["psnr"]["mean"] < 20
    # on the return the first frames are still in the recent window
    blind = found[("out_and_back", "real", False)]
    assert blind["psnr_by_chunk"][0] == 99.0 and blind["psnr_by_chunk"][-1] < 20
    assert blind["psnr/memory"]["mean"] < 20 < blind["psnr"]["mean"]
    own = found[("out_and_back", "generated", True)]
    assert own["psnr_first_look"]["mean"] == 99.0, "a world that repeats its start frame is consistent"
    assert own["psnr"]["mean"] < 30, "and wrong"
    assert "psnr_first_look" not in found[("offset", "generated", True)]
    assert "psnr_first_look" not in blind


def test_motion_accuracy_of_a_world_that_halves_every_step():
    made = videos([STEP, STEP, TURN] + [STEP, TURN, STEP, TURN] * 2)
    made.feasible[:, 3, 2] = 0.0  # the first motion of chunk 1 meets a wall
    world = PhotographicWorld()
    found = motion_accuracy(world, SETTINGS, made, encode(world, made.frames), nothing)
    assert found == {
        "motions": 16,
        "blocked_share": 1 / 8,
        "error_metres": pytest.approx(4 * 0.375 / 8),
        "error_blocked_metres": pytest.approx(0.375),
        "error_ignored_metres": pytest.approx(0.75 / 8),
        "precision": 1 / 4,
        "recall": 1.0,
    }
