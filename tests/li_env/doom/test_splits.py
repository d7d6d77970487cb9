import pytest

from li_env.doom.splits import TEST, TRAINING, VALIDATION, split_of


def test_splits_are_disjoint_and_start_where_the_docs_say():
    assert (TRAINING.start, VALIDATION.start, TEST.start) == (0, 10_000_000, 20_000_000)
    assert TRAINING.stop <= VALIDATION.start and VALIDATION.stop <= TEST.start
    assert [split_of(seed) for seed in (9_999_999, 10_000_000, 20_000_000)] == ["training", "validation", "test"]


@pytest.mark.parametrize("seed", [-1, 30_000_000])
def test_seed_of_no_split(seed):
    with pytest.raises(ValueError, match=f"map_seed {seed} .*allowed"):
        split_of(seed)
