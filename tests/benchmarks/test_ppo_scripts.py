"""The scripts of PPO agents from episodes to a report, with the test room in the place of both worlds."""

from __future__ import annotations

import json
import tarfile
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.train import train
from li_env.tasks import EpisodeDataset, EpisodeRecord
from tests.analytic_world import AnalyticWorld

SHORT = ["--device", "cpu", "--episodes", "3", "--max-steps", "3"]


class Room(AnalyticWorld):
    """The test room with the game's arguments."""

    def close(self) -> None:
        """Close nothing."""


@pytest.fixture
def goals(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    records = [
        EpisodeRecord(0, (0.0, 0.0, 0.0), (*rng.uniform(-3, 3, 2).tolist(), 0.0), seed=index) for index in range(5)
    ]
    EpisodeDataset(tuple(records), {}).write(tmp_path / "goals.json")
    return tmp_path / "goals.json"


def trained(folder: Path, goals: Path, **changes: object) -> Path:
    settings = {"steps": 64, "worlds": 4, "horizon": 4, "batch_size": 8, "epochs": 1, "max_episode_steps": 5}
    config = PPOConfig(world="analytic", saves=1, snapshots=2, **{**settings, **changes})
    return train(config, folder, goals, AnalyticWorld(), "cpu")


def test_cells_are_trained_once_and_reported(goals, tmp_path, monkeypatch, capsys):
    training, report = import_module("ppo_training"), import_module("ppo_report")
    monkeypatch.setattr(training, "load_world", lambda *_, **__: Room())
    sets = {name: str(goals) for name in ("train_open", "open", "detour")}
    names = ["--keep", str(tmp_path), "--tasks", "open", "--seeds", "2", "--device", "cpu", "--list"]
    small = ["--steps", "64", "--worlds", "4", "--max-episode-steps", "5", "--snapshots", "2"]
    training.main([*names, *small, "--arms", "all", "--variants", "full", "cloned"])
    listed = capsys.readouterr().out
    assert "open-all-full-1: 0 of 64 steps\n" in listed and "open-all-cloned-0" in listed
    done = []
    for seed in range(2):
        config = PPOConfig(world="freedoom", preset="all", steps=64, worlds=4, horizon=4, batch_size=8, epochs=1,
                           max_episode_steps=5, saves=1, snapshots=2, seed=seed)  # fmt: skip
        folder = tmp_path / f"cell-{seed}"
        fields = ("open", "all", "full", config, str(folder), sets, 3, 2, "cpu", 0, 1)
        assert training.run_cell(training.Cell(*fields, deadline=0.0)) == "not begun"
        done += [training.run_cell(training.Cell(*fields, deadline=1e12)) for _ in range(2)]
        result = json.loads((folder / "result.json").read_text())
        assert set(result["final"]) == {"open", "detour"}
        assert set(result["final"]["open"]) == {"game", "inside"}
        assert [point["steps"] for point in result["curve"]["points"]] == [32, 64]
        assert result["provenance"]["command"]
        assert json.loads((folder / "provenance.json").read_text()) == result["provenance"]
    assert done == ["done", "was there"] * 2
    report.main(["--keep", str(tmp_path), "--out", str(tmp_path / "report")])
    written = json.loads((tmp_path / "report.json").read_text())
    (row,) = [row for row in written["table"] if (row["set"], row["place"]) == ("open", "game")]
    assert len(row["measures"]["spl"]["seeds"]) == 2 and row["steps"] == 64 and row["frames"] == 256
    (curve,) = written["curves"]
    assert {(each["agents"], each["place"]) for each in written["agreement"]} == {(2, "inside")}
    assert [seed["log"][-1]["steps"] for seed in written["open all full"]] == [64, 64]
    assert written["provenance"]["open all full"]["command"] == written["open all full"][0]["provenance"]["command"]
    assert curve["measures"]["success"]["steps"] == [32, 64]
    assert (tmp_path / "report.png").stat().st_size > 0


def test_agents_are_evaluated_in_scans_of_held_out_maps_too(tmp_path, monkeypatch):
    training = import_module("ppo_training")
    opened: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        training, "open_episodes",
        lambda world, preset, *rest, dataset, scans, **more: opened.append((world, preset, dataset, scans)),
    )  # fmt: skip
    monkeypatch.setattr(training, "play", lambda cell, runner, weights, count: {"episodes": count})
    (tmp_path / "log.jsonl").write_text('{"steps": 1}\n')
    sets = {name: f"{name}.json" for name in ("open", "detour")}
    fields = ("detour", "game", "full", PPOConfig(world="freedoom_game"), str(tmp_path), sets, 3, 2, "cpu", 0, 1, 0.0)
    without = training.evaluated(training.Cell(*fields), "game", "learned")["final"]
    assert all(set(without[name]) == {"game", "inside"} for name in sets)
    opened.clear()
    found = training.evaluated(training.Cell(*fields, held_out_scans=str(tmp_path)), "game", "learned")["final"]
    assert all(set(found[name]) == {"game", "inside", "in scans"} for name in sets)
    assert ("learned", "all", "detour.json", tmp_path / "detour") in opened
    assert ("learned", "all", "detour.json", None) in opened and ("game", "off", "detour.json", None) in opened


def test_trainings_go_on_where_their_archives_are_unpacked(goals, tmp_path, monkeypatch):
    training, travel = import_module("ppo_training"), import_module("ppo_travel")
    monkeypatch.setattr(training, "load_world", lambda *_, **__: Room())
    sets = {name: str(goals) for name in ("train_open", "open", "detour")}
    config = PPOConfig(world="freedoom", preset="all", steps=64, worlds=4, horizon=4, batch_size=8, epochs=1,
                       max_episode_steps=5, saves=1, snapshots=2)  # fmt: skip

    def run(keep: str) -> str:
        folder = str(tmp_path / keep / "open-all-full-0")
        fields = ("open", "all", "full", config, folder, sets, 3, 2, "cpu", 0, 1)
        return training.run_cell(training.Cell(*fields, deadline=1e12))

    clock = iter([0.0] * 3)  # begins, goes on, goes on after 16 steps
    with monkeypatch.context() as patch:
        patch.setattr("li_env.agents.ppo.train.time", SimpleNamespace(monotonic=lambda: next(clock, 1e13)))
        assert run("here") == "stopped at step 32"
    (archive,) = travel.pack(tmp_path / "here", tmp_path / "packed")
    with tarfile.open(archive) as opened:
        names = {Path(name).name for name in opened.getnames()}
    agent = {"agent.json", "policy.safetensors", "optimizer.safetensors", "log.jsonl"}
    assert names == {*agent, "curve.json", "provenance.json"}
    travel.unpack(tmp_path / "packed", tmp_path / "there")
    assert run("there") == run("whole") == "done"
    results = [json.loads((tmp_path / keep / "open-all-full-0/result.json").read_text()) for keep in ("there", "whole")]
    for result in results:
        assert [point["steps"] for point in result["curve"]["points"]] == [32, 64]
    assert results[0]["curve"] == results[1]["curve"] and results[0]["final"] == results[1]["final"]
    travel.unpack(tmp_path / "packed", tmp_path / "there")
    assert run("there") == "was there", "what is further stays"
    with pytest.raises(ValueError, match=r"holds no part_<n>.tar; allowed: a folder that --pack wrote"):
        travel.unpack(tmp_path / "nothing", tmp_path / "there")


def test_arms_inside_are_grounded_in_the_scans_of_their_training_maps(tmp_path, monkeypatch, capsys):
    training = import_module("ppo_training")
    asked = []
    monkeypatch.setattr(training, "build_scans", lambda maps, *rest: asked.append((maps, rest[3])))
    records = [EpisodeRecord(0, (0.0, 0.0, 0.0), (1.0, 1.0, 0.0), map_seed=seed) for seed in (5, 3, 9, 7, 3)]
    EpisodeDataset(tuple(records), {}).write(tmp_path / "goals.json")
    training.scan_maps(tmp_path / "goals.json", tmp_path / "scans", 2, 64)
    training.scan_maps(tmp_path / "goals.json", tmp_path / "scans", 8, 64)
    assert asked == [([3, 7], tmp_path / "scans"), ([3, 5, 7, 9], tmp_path / "scans")]
    words = ["--keep", str(tmp_path), "--seeds", "1", "--device", "cpu", "--list", "--scans", "scans"]
    training.main([*words, "--tasks", "detour", "--arms", "all", "game"])
    listed = capsys.readouterr().out
    assert "detour-all_grounded-full-0: 0 of" in listed and "detour-game-full-0: 0 of" in listed


def test_a_training_that_was_not_evaluated_has_its_curve(goals, tmp_path):
    report, folder = import_module("ppo_report"), tmp_path / "detour-all_grounded-full-0"
    trained(folder, goals)
    points = [{"steps": steps, "success": 0.5, "spl": steps / 100} for steps in (32, 64)]
    (folder / "curve.json").write_text(json.dumps(points))
    (folder / "provenance.json").write_text(json.dumps({"command": "train"}))
    words = ["--keep", str(tmp_path), "--out", str(tmp_path / "report")]
    with pytest.raises(ValueError, match="holds no results"):
        report.main(words)
    report.main([*words, "--unfinished"])
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["table"] == written["agreement"] == []
    (curve,) = written["curves"]
    assert (curve["task"], curve["arm"], curve["measures"]["spl"]["iqm"]) == ("detour", "all_grounded", [0.32, 0.64])
    assert written["provenance"]["detour all_grounded full"] == {"command": "train"}
    assert (tmp_path / "report.png").stat().st_size > 0


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no results; run benchmarks/ppo_training.py first"):
        import_module("ppo_report").main(["--keep", str(tmp_path)])


@pytest.mark.parametrize("recurrent", [False, True])
def test_trust_compares_presets_and_places(goals, tmp_path, monkeypatch, recurrent):
    script = import_module("ppo_trust")
    monkeypatch.setattr(script, "load_world", lambda *_, **__: Room())
    agent = trained(tmp_path / "agent", goals, recurrent=recurrent)
    out = tmp_path / "trust.json"
    script.main(["--agents", str(agent), "--dataset", str(goals), *SHORT, "--out", str(out)])
    found = json.loads(out.read_text())
    assert {row["policy"] for row in found["rows"]} == {
        "random", "wanderer", "seeker", "agent:000000032", "agent:000000064",
    }  # fmt: skip
    # The room is the same place whoever draws its pictures: what is played again ends as it did.
    assert all(row["inside"] == pytest.approx(row["same_actions"]) for row in found["rows"])
    assert found["correlations"]["all"]["over_policies_same_actions"] == pytest.approx(1.0)
    agreement = found["agreement"]["agent"]
    assert agreement["states"] >= 3 and agreement["same_choice"] > 0 and agreement["total_variation"] < 0.5


def test_inside_can_take_place_in_scans(goals, tmp_path, monkeypatch):
    script, opened = import_module("ppo_trust"), []
    monkeypatch.setattr(script, "load_world", lambda name, **_: name)

    def open_episodes(world, preset, *_, scans, **__):
        opened.append((world, preset, scans))
        if len(opened) == 3:
            raise InterruptedError

    monkeypatch.setattr(script, "open_episodes", open_episodes)
    with pytest.raises(InterruptedError):
        script.main(["--agents", "a", "--dataset", str(goals), "--scans", str(tmp_path), *SHORT])
    assert opened == [("freedoom_game", "off", None), ("freedoom", "off", tmp_path), ("freedoom", "all", tmp_path)]


def test_an_agent_that_follows_itself_would_do_the_same(goals, tmp_path, monkeypatch):
    """Watch an agent with itself: both answers are equal in every state."""
    script = import_module("ppo_trust")
    agent_folder = trained(tmp_path / "agent", goals, recurrent=True)
    runner = script.open_episodes(AnalyticWorld(), "off", "continuous", "frame", task="pointgoal", dataset=goals)
    (agent,) = list(script.trained(agent_folder, runner, "cpu").values())[-1:]
    settings = script.Settings(episodes=4, max_steps=4, batch=4)
    first = script.Recorder(agent, agent)
    played = script.play(runner, first, settings)
    second = script.Recorder(script.Replay(played), agent)
    script.play(runner, second, settings)
    for key, row in first.seen.items():
        np.testing.assert_allclose(second.seen[key], row, atol=1e-6)


def test_a_video_shows_both_worlds(goals, tmp_path, monkeypatch):
    import av

    script, registry = import_module("ppo_video"), import_module("li_env.worlds.registry")
    registry.world_names()
    entry = registry.WorldEntry("room", lambda device, weights: AnalyticWorld(device), "stub")
    for name in ("freedoom", "freedoom_game"):
        monkeypatch.setitem(registry._registered, name, entry)
    monkeypatch.setattr(registry, "_loaded", {})
    out = tmp_path / "episode.mp4"
    words = ["--agent", "seeker", "--dataset", str(goals), "--max-steps", "3", "--device", "cpu"]
    script.main([*words, "--out", str(out), "--sheet", str(tmp_path / "sheet.png")])
    with av.open(str(out)) as video:
        frames = list(video.decode(video=0))
    assert frames[0].width == 2 * 4 * 128 and len(frames) >= 5
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width % 256 == 0 and sheet.height == 2 * (4 * 96 + script.BAR) // 2
