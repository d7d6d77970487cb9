"""Episode files: written and read back, and mistakes named with their line."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from li_env.doom.splits import split_of
from li_env.tasks import EpisodeDataset, EpisodeRecord
from li_env.worlds.freedoom.ground_truth import EPISODES_FILE
from li_env.worlds.freedoom.start_frames import StartFrames
from li_env.worlds.freedoom.weights import packaged_folder

GOOD = """\
# two episodes
episodes:
- start: 0
  pose: [1.5, -2, 90.0]
  goal: [4, -2.0, 0]
- start: 3
  pose: [0, 0, 0]
  goal: [1, 1, 0]
  map_seed: 20000000
  seed: 7
"""


def read(tmp_path, text: str, name: str = "episodes.yaml") -> EpisodeDataset:
    (tmp_path / name).write_text(text)
    return EpisodeDataset.read(tmp_path / name)


def test_reads_yaml(tmp_path):
    data = read(tmp_path, GOOD)
    assert data.episodes == (
        EpisodeRecord(0, (1.5, -2.0, 90.0), (4.0, -2.0, 0.0)),
        EpisodeRecord(3, (0.0, 0.0, 0.0), (1.0, 1.0, 0.0), map_seed=20_000_000, seed=7),
    )
    assert data.frames == {}


def test_what_is_written_is_read_back(tmp_path):
    rng = np.random.default_rng(0)
    frames = {name: rng.integers(0, 256, (2, 6, 8, 3), np.uint8) for name in ("start", "goal")}
    records = (EpisodeRecord(1, (0.5, 1, 2), (3, 4, 5), goal_frame=0), EpisodeRecord(0, (0, 0, 0), (1, 1, 1), seed=2))
    EpisodeDataset(records, frames).write(tmp_path / "written.json")
    assert {path.name for path in tmp_path.iterdir()} == {"written.json", "written.safetensors"}
    data = EpisodeDataset.read(tmp_path / "written.json")
    assert data.episodes == records
    for name, array in frames.items():
        np.testing.assert_array_equal(data.frames[name], array)


def test_joined_datasets_keep_their_pictures():
    rng = np.random.default_rng(0)
    parts = [
        EpisodeDataset(
            (EpisodeRecord(0, (0, 0, 0), (1, 1, 0), goal_frame=0), EpisodeRecord(1, (k, 0, 0), (1, 1, 0))),
            {
                "start": rng.integers(0, 256, (2, 6, 8, 3), np.uint8),
                "goal": rng.integers(0, 256, (1, 6, 8, 3), np.uint8),
            },
        )
        for k in (0.0, 1.0)
    ]
    joined = EpisodeDataset.join(parts)
    originals = [(part, episode) for part in parts for episode in part.episodes]
    for episode, (part, original) in zip(joined.episodes, originals, strict=True):
        np.testing.assert_array_equal(joined.frames["start"][episode.start], part.frames["start"][original.start])
        assert (episode.goal_frame is None) == (original.goal_frame is None)
        if episode.goal_frame is not None:
            np.testing.assert_array_equal(joined.frames["goal"][episode.goal_frame], part.frames["goal"][0])
    with pytest.raises(ValueError, match="different kinds of frames"):
        EpisodeDataset.join([parts[0], EpisodeDataset(parts[0].episodes, {})])


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("  seed: 7", "  sead: 7"), 10, r"episodes\[1\]: field='sead' is unknown \(did you mean 'seed'\?\); allowed"),
        (("# two episodes", "world: x"), 1, "field='world' is unknown; allowed: frames, episodes"),
        (("  goal: [1, 1, 0]", "  goal: [1, 1]"), 8, r"episodes\[1\]: goal=\[1, 1\] is not usable; allowed: three"),
        (("  pose: [0, 0, 0]", "  pose: [0, .nan, 0]"), 7, r"pose=\[0, nan, 0\] is not usable"),
        (("  pose: [0, 0, 0]", "  pose: [0, yes, 0]"), 7, r"pose=\[0, True, 0\] is not usable"),
        (("- start: 3", "- start: -3"), 6, "start=-3 is not usable; allowed: a whole number from 0 up"),
        (("  seed: 7", "  seed: 7.5"), 10, "seed=7.5 is not usable; allowed: a whole number from 0 up"),
        (("  seed: 7", "  goal_frame: 0"), 10, "goal_frame=0 is not usable; allowed: nothing"),
        (("  goal: [1, 1, 0]\n", ""), 6, r"episodes\[1\]: field 'goal' is missing"),
        (("- start: 3\n  pose", "- 12\n- pose"), 6, r"episodes\[1\]=12 is not an episode"),
        (("# two episodes", "frames: none.safetensors"), 1, "frames='none.safetensors' is not a file beside"),
        (("  pose: [0, 0, 0]", "  pose: [0, 0"), 8, "not YAML"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, change, line, message):
    assert change[0] in GOOD
    with pytest.raises(ValueError, match=rf"episodes\.yaml:{line}: .*{message}") as caught:
        read(tmp_path, GOOD.replace(*change))
    assert "\n" not in str(caught.value)


def test_mistakes_in_json_have_lines_too(tmp_path):
    text = '{\n"episodes": [\n\t{"start": 0, "pose": [0, 0, 0],\n\t "gaol": [1, 1, 0]}\n]}'
    with pytest.raises(ValueError, match=r"episodes\.json:4: episodes\[0\]: field='gaol' is unknown"):
        read(tmp_path, text, "episodes.json")
    with pytest.raises(ValueError, match=r"episodes\.json:3: not JSON"):
        read(tmp_path, '{\n"episodes": [\n}', "episodes.json")


@pytest.mark.parametrize("text", ["", "3", "episodes: []", "episodes: 5", "[]"])
def test_a_file_without_episodes_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match="'episodes' is missing or empty"):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="is not a file; allowed: a YAML or JSON file of episodes"):
        EpisodeDataset.read(tmp_path / "nothing.json")


def test_frames_are_checked(tmp_path):
    text = GOOD.replace("# two episodes", "frames: f.safetensors")
    for content, message in (
        ({"start": np.zeros((2, 6, 8, 3), np.uint8)}, r"yaml:6: episodes\[1\]: start=3 .* from 0 to 1"),
        ({"start": np.zeros((9, 6, 8, 3), np.float32)}, r"yaml:1: .*'start' F32 \[9, 6, 8, 3\]; allowed"),
        ({"first": np.zeros((9, 6, 8, 3), np.uint8)}, "holds 'first'"),
    ):
        save_file(content, tmp_path / "f.safetensors")
        with pytest.raises(ValueError, match=message):
            read(tmp_path, text)
    (tmp_path / "f.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"yaml:1: frames='f.safetensors' cannot be read"):
        read(tmp_path, text)


def test_the_shipped_episodes_begin_at_the_shipped_start_frames():
    data = EpisodeDataset.read(EPISODES_FILE)
    states = StartFrames.load(packaged_folder())
    assert [episode.start for episode in data.episodes] == list(range(len(states.frames)))
    for episode in data.episodes:
        assert episode.map_seed == states.map_seeds[episode.start]
        assert split_of(episode.map_seed) == "test"
        np.testing.assert_allclose(episode.pose, states.map_poses[episode.start], atol=1e-5)
        assert data.frames["goal"][episode.goal_frame].shape == (96, 128, 3)
