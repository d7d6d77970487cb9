"""Datasets are functions of their manifests, whatever happens while they are made."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from li_env.cli import main
from li_env.cli._held_out import held_out_note
from li_env.datasets.finish import SUMMARY, read_episodes
from li_env.datasets.journal import Journal
from li_env.tasks import EpisodeDataset
from li_env.worlds.registry import register_world
from tests.analytic_world import SPEC
from tests.forks import run_in_fork
from tests.li_env.datasets.rooms import EPISODES, MappedRoom, collected, episode_file, words

ALL = ("--format", "lerobot,minari,clips")
PROCESSES = ("--worlds", "5", "--encoders", "2", "--processes")
FEW = ("--episodes", "0:6")
EVENTS_OF_FEW = 614
"""Things that a run of these does with files: 619 were counted."""


def content(out: Path) -> str:
    return json.loads((out / SUMMARY).read_text())["content"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    return collected(folder, folder / "out", *ALL, "--worlds", "1")


def test_nobody_records_or_learns_from_held_out_maps_unnoticed(tmp_path, capsys) -> None:
    """Two of the shipped episodes are on training maps, one of the validation split, nine of the test split."""
    plain = EpisodeDataset.read(episode_file(tmp_path)).episodes
    seeds = [3, 4, 10_000_000, *[20_000_000] * 9]
    held = tmp_path / "held_out.json"
    EpisodeDataset(tuple(replace(each, map_seed=seed) for each, seed in zip(plain, seeds, strict=True)), {}).write(held)

    class Furnished(MappedRoom):
        episodes_file = held

    register_world("furnished", lambda device, weights: Furnished(device, replace(SPEC, fps=8.0)), "a room", "none")

    def said(name: str, *more: str) -> str:
        arguments = words(tmp_path, tmp_path / name, *more, world="furnished")
        if "--shipped" in arguments:
            place = arguments.index("--dataset")
            arguments = [word for word in (*arguments[:place], *arguments[place + 2 :]) if word != "--shipped"]
        assert main(arguments) == 0
        return capsys.readouterr().out

    assert "note" not in said("plain", "--episodes", "0:1")
    assert "note" not in said("training maps", "--dataset", str(held), "--episodes", "0:2")
    for name, more in (("shipped", ("--shipped",)), ("given", ("--dataset", str(held)))):
        assert "note: 2 of 3 episodes are on held-out maps (validation and test split)" in said(
            name, *more, "--episodes", "1:4"
        )
    assert "note: 10 of 12 episodes" in said("explore", "--shipped", "--task", "explore", "--agent", "random")
    (tmp_path / "bc.yaml").write_text("agent: bc\nepochs: 1\n")
    train = ["train", "agent", "--config", str(tmp_path / "bc.yaml"), "--device", "cpu", "--out"]
    assert main([*train, str(tmp_path / "agent"), "--data", str(tmp_path / "given")]) == 0
    assert "note: 2 of 3 episodes in " in capsys.readouterr().out


@pytest.mark.timeout(60)
def test_episodes_on_no_map_are_not_looked_for_in_the_splits() -> None:
    """Looked for among ten million numbers each, they took minutes."""
    assert held_out_note([None] * 1000) is None
    note = held_out_note([None] * 1000 + [10_000_000])
    assert note is not None and "1 of 1001 episodes are on held-out maps (validation split)" in note


def shared(whole: Path) -> Path:
    """Return the folder of the episode file, whose path belongs to the manifest."""
    return whole.parent


@pytest.mark.parametrize(
    "more", [("--worlds", "4"), ("--worlds", "16"), ("--worlds", "5", "--encoders", "3"), PROCESSES]
)
def test_the_content_does_not_depend_on_worlds_and_threads(more, whole, tmp_path):
    assert content(collected(shared(whole), tmp_path / "out", *ALL, *more)) == content(whole)


def test_another_seed_is_another_content(whole, tmp_path):
    assert content(collected(shared(whole), tmp_path / "out", *ALL, "--seed", "1")) != content(whole)


def test_verify_and_show_like_it(whole, tmp_path, capsys):
    assert main(["collect", "verify", str(whole)]) == 0
    assert "files are right" in capsys.readouterr().out
    assert main(["collect", "show", str(whole), "--out", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def in_a_fork(arguments: list[str]) -> multiprocessing.Process:
    """Start the command in a fork of this process, which has imported everything."""
    process = multiprocessing.get_context("fork").Process(target=main, args=(arguments,))
    process.start()
    return process


def killed_after(seconds: float, arguments: list[str]) -> bool:
    """Run the command in a process of its own and kill it; tell whether it was killed before its end."""
    process = in_a_fork(arguments)
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.link", "os.rmdir")


def kill_at(event: int, arguments: list[str], folder: Path) -> bool:
    """Kill a run at the n-th thing it does with a file of ``folder``; say whether that came."""
    return os.WIFSIGNALED(run_in_fork(arguments, folder, EVENTS, event))


@pytest.fixture(scope="module")
def few(whole) -> Path:
    return collected(shared(whole), shared(whole) / "few", *ALL, *FEW, "--worlds", "1")


@pytest.mark.parametrize("seed", range(20))
def test_a_kill_costs_at_most_one_episode_per_world(seed, few, tmp_path):
    """Kill it at a random thing that collector, encoder or final pass do with a file."""
    out, arguments = tmp_path / "out", words(shared(few), tmp_path / "out", *ALL, *FEW, "--worlds", "3", "--resume")
    event = random.Random(seed).randint(1, EVENTS_OF_FEW)
    killed = kill_at(event, arguments, out)
    assert killed, f"event {event} is one of a run"
    assert main(arguments) == 0
    assert content(out) == content(few)
    assert [record["episode"] for record in read_episodes(out)] == list(range(6))
    assert main(["collect", "verify", str(out), "--replays", "0"]) == 0
    assert not [path for path in out.iterdir() if path.name.startswith(".writing-")]
    assert not (out / "journal").exists()


def test_a_kill_between_seconds(whole, tmp_path):
    out = tmp_path / "out"
    arguments = words(shared(whole), out, *ALL, "--resume")
    lengths = random.Random(0)
    assert killed_after(lengths.uniform(0.1, 0.3), arguments)
    for _ in range(5):
        killed_after(lengths.uniform(0.1, 0.9), arguments)
    assert main(arguments) == 0
    assert content(out) == content(whole)


def test_episodes_that_are_committed_are_not_played_again(whole, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = words(shared(whole), out, "--worlds", "2", "--resume")
    assert kill_at(150, arguments, out)
    done = len(Journal(out).numbers())
    assert 0 < done < EPISODES
    steps = sum(Journal(out).record(number)["steps"] for number in Journal(out).numbers())
    every = sum(record["steps"] for record in read_episodes(whole))
    capsys.readouterr()
    assert main(arguments) == 0
    assert f"; {every - steps} steps in" in capsys.readouterr().out


def test_no_step_is_computed_that_is_not_stored(whole, tmp_path, capsys):
    out = collected(shared(whole), tmp_path / "out", "--worlds", "7")
    stored = json.loads((out / SUMMARY).read_text())["steps"]
    assert f"; {stored} steps in" in capsys.readouterr().out


def test_keep_success_leaves_out_the_others_and_numbers_without_a_gap(whole, tmp_path):
    out = collected(shared(whole), tmp_path / "out", "--keep", "success", "--noise", "0.6", *ALL)
    summary, records = json.loads((out / SUMMARY).read_text()), read_episodes(out)
    kept = [record for record in records if record["success"]]
    assert 0 < summary["episodes"] == len(kept) < len(records) == EPISODES
    assert len(list((out / "clips").iterdir())) == len(kept)
    assert main(["collect", "verify", str(out)]) == 0


def test_read_only_target_and_full_disk_are_one_line(whole, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    arguments = words(shared(whole), out, *ALL, "--resume")
    from li_env.datasets import lerobot

    real, calls = lerobot.encode, []

    def full(*given):
        calls.append(1)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        real(*given)

    monkeypatch.setattr(lerobot, "encode", full)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "No space left" in error
    done = Journal(out).numbers()
    assert len(done) >= 3
    monkeypatch.undo()
    assert main(arguments) == 0
    assert content(out) == content(whole)
    shutil.rmtree(out)


def encoding(pid: int) -> list[psutil.Process]:
    """Return the encoding processes of a process."""
    return [each for each in psutil.Process(pid).children() if "spawn_main" in " ".join(each.cmdline())]


def test_an_encoding_process_that_is_killed_is_one_line(whole, tmp_path, capsys, monkeypatch):
    from li_env.datasets.recorder import Recorder

    out, act, killed = tmp_path / "out", Recorder.act, []

    def kills(self, views):
        if not killed and len(Journal(out).numbers()) >= 2:
            killed.extend(encoding(os.getpid())[:1])
            killed[0].kill()
        time.sleep(0.05)
        return act(self, views)

    monkeypatch.setattr(Recorder, "act", kills)
    arguments = words(shared(whole), out, *ALL, "--encoders", "1", "--processes", "--worlds", "1", "--resume")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "an encoding process is gone" in error
    assert 2 <= len(Journal(out).numbers()) < EPISODES
    assert main(arguments) == 0
    assert content(out) == content(whole)


def test_encoding_processes_end_with_a_collector_that_is_killed(whole, tmp_path):
    out = tmp_path / "out"
    arguments = words(shared(whole), out, *ALL, *PROCESSES, "--agent", "random", "--max-steps", "60")
    process = in_a_fork(arguments)
    assert process.pid is not None
    found: list[psutil.Process] = []
    while len(found) < 2 and process.is_alive():
        found = encoding(process.pid)
        time.sleep(0.01)
    process.kill()
    process.join()
    assert found
    _, alive = psutil.wait_procs(found, 20)
    assert not alive


def test_what_a_kill_can_cost_is_one_episode_per_world_while_encoders_are_slow(whole, tmp_path, monkeypatch):
    from li_env.datasets import lerobot
    from li_env.datasets.recorder import Recorder

    out, ended, most = tmp_path / "out", [], []
    encode, act, finish = lerobot.encode, Recorder.act, Recorder.finish

    def slow(*given):
        time.sleep(0.05)
        encode(*given)

    def watched(self, views):
        most.append(len(views) + len(ended) - len(Journal(out).numbers()))
        return act(self, views)

    def counted(self, *given):
        ended.append(1)
        return finish(self, *given)

    monkeypatch.setattr(lerobot, "encode", slow)
    monkeypatch.setattr(Recorder, "act", watched)
    monkeypatch.setattr(Recorder, "finish", counted)
    collected(shared(whole), out, "--worlds", "3")
    assert max(most) == 3
