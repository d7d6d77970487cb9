"""The scripts about recorded datasets, small, in an empty room."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs the extra data")
from tests.li_env.datasets.rooms import episode_file

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
    (tmp_path / "cloning_comparison.json").write_text(json.dumps(report))
    text = tools.FIGURES["cloning.table"](tools.Recorded(tmp_path))
    for both in spl.values():
        assert f"{np.mean(both):.3f} +- 0.100" in text


def test_a_run_of_the_comparison_ends_in_time() -> None:
    script = import_module("cloning_comparison")
    work = script.Work(None, Path(), Path(), {}, 0.0)
    with pytest.raises(script.OutOfTimeError):
        work.check_time()
