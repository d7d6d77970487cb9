"""The scripts about recorded datasets, small, in an empty room."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs the extra data")
from li_env.tasks import EpisodeDataset
from li_env.worlds import registry
from li_env.worlds.registry import WorldEntry
from tests.analytic_world import SPEC
from tests.li_env.datasets.rooms import MappedRoom, episode_file, mapped_file, scan_of, scans

ROOM = ("--task", "pointgoal", "--agent", "seeker", "--max-steps", "4")


def test_a_collection_with_and_without_writing(tmp_path: Path) -> None:
    script, out = import_module("dataset_collection"), tmp_path / "out.json"
    room = ("--world", "room", "--dataset", str(episode_file(tmp_path)), *ROOM)
    script.main([*room, "--cells", "3:5", "2:4", "--repeats", "2", "--out", str(out)])
    report = json.loads(out.read_text())
    assert [(cell["worlds"], cell["episodes"], len(cell["runs"])) for cell in report["cells"]] == [(3, 5, 2), (2, 4, 2)]
    for cell in report["cells"]:
        assert cell["one_content"] and cell["computed_per_stored_step"] == 1
        for run in cell["runs"]:
            assert run["played"]["steps"] == run["written"]["steps"] > 0
            assert run["played"]["frames"] == run["written"]["frames"]
            assert run["share"] == pytest.approx(
                run["written"]["frames_per_second"] / run["played"]["frames_per_second"]
            )


def test_a_collection_in_scans_goes_on_where_the_time_was_over(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    script, out = import_module("dataset_collection"), tmp_path / "out.json"
    files = ("--dataset", str(mapped_file(tmp_path)), "--scans", str(scans(tmp_path)))
    words = ["--world", "mapped room", *files, *ROOM, "--cells", "2:3", "2:2", "--repeats", "2", "--out", str(out)]
    script.main([*words, "--max-seconds", "-1"])
    assert "0 of 4 repeats are done" in capsys.readouterr().out and not out.exists()
    script.main(words)
    whole = json.loads(out.read_text())
    whole["cells"][1]["runs"].pop()
    out.write_text(json.dumps(whole))
    script.main(words)
    again = json.loads(out.read_text())
    assert [len(cell["runs"]) for cell in again["cells"]] == [2, 2]
    assert again["cells"][0] == whole["cells"][0], "what was done is kept"
    contents = {run["written"]["content"] for run in again["cells"][1]["runs"]}
    assert len(contents) == 1 and again["cells"][1]["one_content"]
    script.main([*words, "--agent", "random"])
    assert json.loads(out.read_text())["cells"][0] != whole["cells"][0], "another command begins anew"


def test_decibels_of_videos(tmp_path: Path) -> None:
    script, out = import_module("dataset_video"), tmp_path / "out.json"
    script.main(["--worlds", "room", "--episodes", "3", "--max-steps", "3", "--codecs", "h264", "lossless",
                 "--out", str(out)])  # fmt: skip
    lossy, exact = json.loads(out.read_text())["worlds"]["room"]
    assert exact["worst_db"] > 100 > lossy["mean_db"] > lossy["worst_db"]
    assert lossy["pooled_db"] <= lossy["mean_db"]
    assert min(lossy["even_db"], lossy["odd_db"]) < lossy["mean_db"] < max(lossy["even_db"], lossy["odd_db"])


def test_memory_is_sampled_in_both_passes(tmp_path: Path) -> None:
    script, out = import_module("dataset_memory"), tmp_path / "out.json"
    script.main(["--world", "room", "--episodes", "12", "--out", str(out)])
    report = json.loads(out.read_text())
    assert report["samples"][-1]["episodes"] == 12
    assert report["most_in_the_final_pass_mib"] >= report["before_the_final_pass_mib"] > 100


def run(arm: str, seed: int, spl: float) -> dict:
    measures = {name: {"mean": spl} for name in import_module("cloning_comparison").MEASURES}
    sets = dict.fromkeys(("detour", "open", "trained maps"), measures)
    return {"arm": arm, "seed": seed, "final": {"drawing": sets, "greedy": sets}}


def test_the_table_of_cloned_agents(tmp_path: Path) -> None:
    script, tools = import_module("cloning_comparison"), import_module("figure_tools")
    import_module("figures_datasets")
    spl = {"freedoom": (0.4, 0.6), "freedoom_game": (0.5, 0.7), script.LABELLED: (0.6, 0.8)}
    report = script.tables([run(arm, seed, value) for arm, both in spl.items() for seed, value in enumerate(both)])
    answers = report["answers"]["greedy"]["detour"]
    assert answers["freedoom_share_of_game"] == pytest.approx(0.5 / 0.6)
    assert answers["gain_by_labels"] == pytest.approx(0.2)
    (tmp_path / "cloning_comparison.json").write_text(json.dumps({**report, "grounded": True}))
    text = tools.FIGURES["cloning.table"](tools.Recorded(tmp_path))
    assert text.count("expert in `freedoom`, in scans of the maps") == text.count("in scans") == 1
    for both in spl.values():
        assert f"{np.mean(both):.3f} +- 0.100" in text


@pytest.fixture
def comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the script find a mapped room under the names of both worlds, three training maps, and maps held out."""
    script = import_module("cloning_comparison")

    class Room(MappedRoom):
        def close(self) -> None:
            """Do as the game does."""

    spec = replace(SPEC, fps=8.0)
    for name in ("freedoom", "freedoom_game"):
        entry = WorldEntry(name, lambda device, weights, workers=0: Room(device, spec), "a room", "none")
        monkeypatch.setitem(registry._entries(), name, entry)
    monkeypatch.setattr(registry, "_loaded", {})

    def datasets(folder: Path, maps: int, episodes: int) -> dict[str, Path]:
        training = EpisodeDataset.read(mapped_file(folder))
        files = {"training": training}
        for name, shift in (("detour", 20_000_000), ("open", 20_000_000), ("trained maps", 0)):
            moved = [replace(each, map_seed=shift + (each.map_seed or 0)) for each in training.episodes]
            files[name] = EpisodeDataset(tuple(moved[:episodes]), {})
        for name, data in files.items():
            data.write(folder / f"{name}.json")
        return {name: folder / f"{name}.json" for name in files}

    def build_scans(seeds, spacing, headings, most, folder, workers, on_scan) -> None:
        folder.mkdir(exist_ok=True)
        for seed in sorted(seeds):
            if not (folder / f"map_{seed}.npz").exists():
                scan_of(seed).save(folder / f"map_{seed}.npz")
                on_scan()

    monkeypatch.setattr(import_module("agents_pointgoal"), "MAX_STEPS", 3)
    monkeypatch.setattr(script, "datasets", datasets)
    monkeypatch.setattr(script, "build_scans", build_scans)
    return script


def comparison_words(keep: Path, *more: str) -> list[str]:
    return ["--keep", str(keep), "--scans", "--seeds", "1", "--episodes", "6", "--maps", "3", "--test-episodes", "2",
            "--max-steps", "3", "--epochs", "1", "--worlds", "3", "--encoders", "1", "--game-workers", "2", "--device",
            "cpu", *more, "--out", str(keep / "report.json")]  # fmt: skip


def test_the_comparison_goes_on_from_call_to_call(
    comparison: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call may look at the clock 13 times before its time is over."""
    comparison.main(comparison_words(tmp_path / "whole"), lambda text: None)
    whole = json.loads((tmp_path / "whole" / "report.json").read_text())
    said: list[str] = []
    looks = [0]

    def check_time(work: Any, _: Any = None) -> None:
        looks[0] += 1
        if looks[0] > 13:
            raise comparison.OutOfTimeError

    monkeypatch.setattr(comparison.Work, "check_time", check_time)
    for _ in range(20):
        looks[0] = 0
        comparison.main(comparison_words(tmp_path / "parts"), said.append)
        if "the time is over" not in said[-1]:
            break
    parts = json.loads((tmp_path / "parts" / "report.json").read_text())
    assert len(said) > 6 and "0 of 3 cells" in said[0]
    assert [(run["arm"], run["seed"]) for run in parts["runs"]] == [(arm, 0) for arm in comparison.ARMS]
    for one, two in zip(whole["runs"], parts["runs"], strict=True):
        assert (one["final"], one["losses"]) == (two["final"], two["losses"])
        assert [each["episodes"] for each in two["data"]] == ([3, 3] if two["arm"] == comparison.LABELLED else [6])
    manifests = {
        path.parent.name: json.loads(path.read_text()) for path in (tmp_path / "parts").glob("data/*/manifest.json")
    }
    assert set(manifests["freedoom"]["scans"]) == {"7", "8", "9"} == set(manifests["labelled-0"]["scans"]) | {"7"}
    assert "scans" not in manifests["freedoom_game"]
    assert manifests["labelled-0"]["label"] == "expert" and manifests["labelled-0"]["agent"].endswith("freedoom-0")
    assert parts["grounded"] and parts["maps"]["training"] == 3 and parts["maps"]["detour, also in training"] == 0
    for name in ("data", "scans", "episodes"):
        shutil.rmtree(tmp_path / "parts" / name)
    monkeypatch.setattr(comparison, "built", lambda given: pytest.fail("builds again"))
    monkeypatch.setattr(comparison, "collect", lambda *given: pytest.fail("records again"))
    comparison.main(comparison_words(tmp_path / "parts"), said.append)
    assert json.loads((tmp_path / "parts" / "report.json").read_text())["table"] == parts["table"]


def test_no_held_out_map_is_learned_from(tmp_path: Path) -> None:
    script = import_module("cloning_comparison")
    plain = EpisodeDataset.read(mapped_file(tmp_path))
    elsewhere = EpisodeDataset(tuple(replace(each, map_seed=20_000_000) for each in plain.episodes), {})
    elsewhere.write(tmp_path / "elsewhere.json")
    chosen, other = tmp_path / "mapped.json", tmp_path / "elsewhere.json"
    counts = script.check_maps(chosen, {"detour": other, "open": other, "trained maps": chosen})
    assert counts["trained maps, also in training"] == 3 and counts["open, also in training"] == 0
    with pytest.raises(ValueError, match="map 7 of the held-out set 'open' is one to learn from"):
        script.check_maps(chosen, {"detour": other, "open": chosen, "trained maps": chosen})
