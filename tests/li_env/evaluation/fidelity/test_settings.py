import pytest

from li_env.evaluation.fidelity.settings import FidelitySettings


@pytest.mark.parametrize(
    "key, value", [("trajectories", 0), ("chunks", 1000), ("positions", True), ("workers", 0), ("seed", -1)]
)
def test_bad_values_are_named(key, value):
    with pytest.raises(ValueError, match=f"{key}={value!r} is not allowed; use a whole number"):
        FidelitySettings(**{key: value})


def test_walks_are_long_enough_for_next_chunks_with_memory():
    assert FidelitySettings(chunks=2).walk_latents == 96
    assert FidelitySettings(chunks=32).walk_latents == 128
