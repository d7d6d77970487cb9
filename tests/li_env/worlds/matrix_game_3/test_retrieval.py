"""Memory frames of the original and gates of the release on their stored trajectories."""

from __future__ import annotations

import numpy as np
import pytest

from li_env.worlds.matrix_game_3.kinematics import camera_to_world
from li_env.worlds.matrix_game_3.time_axis import ClipSizes
from tests.li_env.worlds.matrix_game_3.stored import stored
from tests.reference.matrix_game_3.original import ReleaseGate
from tests.reference.matrix_game_3.retrieval import OriginalMemory, original_memory, original_scores

TRAJECTORIES = sorted({key.split(".")[1] for key in stored()[1] if key.startswith("mem.")})

GATED = [name for name in TRAJECTORIES if f"gate.{name}.selected" in stored("matrix_game_3_light_tiny")[1]]


def cameras(name: str) -> np.ndarray:
    return camera_to_world(stored()[1][f"mem.{name}.poses"].numpy())


def memories(name: str) -> list[OriginalMemory]:
    clips = len(stored()[1][f"mem.{name}.bases"])
    return [original_memory(cameras(name), ClipSizes().clip(1 + index)) for index in range(clips)]


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_stored_choices(name: str) -> None:
    """Exact where rounding is that of the machine of the stored run; elsewhere frames of nearly the same score."""
    tensors = {key: stored()[1][f"mem.{name}.{key}"].numpy() for key in ("bases", "raw_selected", "confidence")}
    views = cameras(name)
    for index, memory in enumerate(memories(name)):
        assert list(memory.references) == tensors["bases"][index].tolist()
        np.testing.assert_allclose(memory.scores, tensors["confidence"][index], atol=0.1)
        for found, expected, reference in zip(
            memory.found, tensors["raw_selected"][index], memory.references, strict=True
        ):
            scores = original_scores(views[reference], views[[found, expected]])
            assert found == expected or abs(float(scores[0] - scores[1])) <= 0.1
        assert memory.frames[-1] == 4 and memory.latents[-1] == 1


@pytest.mark.parametrize("name", GATED)
def test_stored_gates_of_the_release(name: str) -> None:
    facts, tensors = stored("matrix_game_3_light_tiny")
    gate = ReleaseGate(prune=True, shorten=True, threshold=facts["rollout"]["fov_threshold"])
    for index, memory in enumerate(memories(name)):
        kept = gate.kept(memory)
        expected = tensors[f"gate.{name}.selected"][index]
        assert [memory.frames[slot] for slot in kept] == expected[expected >= 0].tolist()
        bases = tensors[f"gate.{name}.bases"][index]
        assert [memory.references[slot] for slot in kept] == bases[bases >= 0].tolist()
        assert (len(gate.sigmas(memory)) == 3) == bool(tensors[f"gate.{name}.cache_allowed"][index])
