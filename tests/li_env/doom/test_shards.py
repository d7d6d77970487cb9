import numpy as np
import pytest

from li_env.doom.maps import generate_map, write_wad
from li_env.doom.renderer import DoomRenderer, renderable_poses
from li_env.doom.shards import MapScan, load_shard, render_dataset

pytest.importorskip("vizdoom")

SEEDS = [20_000_000, 20_000_001, 20_000_002]
OPTIONS = {
    "trajectories_per_map": 2,
    "length": 6,
    "seed": 7,
    "maps_per_shard": 2,
    "scan": MapScan(views=16),
    "tries": 3,
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    heard = []
    paths = sorted(render_dataset(SEEDS, folder, workers=2, on_shard=heard.append, **OPTIONS))
    assert sorted(heard) == paths
    return paths


def test_arrays(shards):
    assert [path.name for path in shards] == ["shard_00000", "shard_00001"]
    first, last = (load_shard(path) for path in shards)
    assert {name: (array.shape, array.dtype.str) for name, array in first.items()} == {
        "frames": ((4, 6, 96, 128, 3), "|u1"),
        "poses": ((4, 6, 3), "<f4"),
        "commanded": ((4, 5, 3), "<f4"),
        "feasible": ((4, 5, 3), "<f4"),
        "map_seed": ((4,), "<i8"),
        "kind": ((4,), "<i2"),
        "views": ((2, 16, 96, 128, 3), "|u1"),
        "view_poses": ((2, 16, 3), "<f4"),
        "tried": ((4, 6, 3, 4, 3), "<f4"),
        "tried_feasible": ((4, 6, 3, 4, 3), "<f4"),
    }
    assert first["map_seed"].tolist() == [20_000_000, 20_000_000, 20_000_001, 20_000_001]
    assert last["map_seed"].tolist() == [20_000_002, 20_000_002]
    assert isinstance(first["frames"], np.memmap)
    assert sorted(path.name for path in shards[0].iterdir()) == sorted(f"{name}.npy" for name in first)


@pytest.mark.parametrize(("shown", "posed", "row"), [("frames", "poses", 3), ("views", "view_poses", 1)])
def test_frames_belong_to_their_poses(shards, tmp_path, shown, posed, row):
    shard = load_shard(shards[0], memory_map=False)
    write_wad([generate_map(SEEDS[1])], tmp_path / "map.wad")
    x, z, yaw = np.moveaxis(shard[posed][row].astype(float), -1, 0)
    with DoomRenderer(tmp_path / "map.wad") as engine:
        frames = engine.render(0, renderable_poses(np.stack([z * 32, -x * 32, -yaw], -1)))
    np.testing.assert_array_equal(frames, shard[shown][row])


def test_the_number_of_workers_changes_nothing_and_complete_shards_are_kept(shards, tmp_path):
    calls = render_dataset(SEEDS, tmp_path, workers=1, **OPTIONS)
    next(calls)
    calls.close()
    stamps = {path.name: (path / "frames.npy").stat().st_mtime_ns for path in tmp_path.glob("shard_?????")}
    paths = sorted(render_dataset(SEEDS, tmp_path, workers=1, **OPTIONS))
    assert stamps and all((tmp_path / name / "frames.npy").stat().st_mtime_ns == t for name, t in stamps.items())
    for path, other in zip(paths, shards, strict=True):
        for name, array in load_shard(path).items():
            np.testing.assert_array_equal(array, load_shard(other)[name])


def test_a_folder_of_other_arguments_is_refused(shards):
    with pytest.raises(ValueError, match="other arguments"):
        next(render_dataset(SEEDS, shards[0].parent, **{**OPTIONS, "seed": 8}))


@pytest.mark.parametrize(
    ("name", "value"), [("length", 1), ("workers", 0), ("trajectories_per_map", 0), ("maps_per_shard", 0)]
)
def test_bad_numbers(tmp_path, name, value):
    with pytest.raises(ValueError, match=rf"{name} {value} .*allowed"):
        render_dataset(SEEDS, tmp_path, **{name: value})


def test_bad_kind(tmp_path):
    with pytest.raises(ValueError, match="kinds_weights.'fly'"):
        render_dataset(SEEDS, tmp_path, kinds_weights={"fly": 1.0})
