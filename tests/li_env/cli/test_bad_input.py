"""Hostile files and values through the command line: exit 2, one line of at most 500 characters, nothing left."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from li_env.cli import main
from li_env.cli._output import LINE

FILES = {
    "empty": b"",
    "number": b"5",
    "list": b"[1, 2]",
    "binary": bytes(range(256)) * 40,
    "utf16": "\ufeffsteps: 3".encode("utf-16"),
    "deep": b"[" * 30_000 + b"]" * 30_000,
    "deep_block": b"- " * 30_000,
    "deep_json": b'{"episodes":' * 100_000,
    "open": b"a: [1",
    "itself": b"steps: &a [*a]\nepisodes: 1",
    "twice": b"steps: 3\nseed: 1\nsteps: 4\n",
    "tag": b"steps: !!python/object/apply:os.system [id]\n",
    "digits": b"steps: " + b"9" * 100_000,
    "sexagesimal": b"steps: 1" + b":1" * 400_000,
    "keys": b"{? [1] : 2}",
    "bomb": ("steps: &a0 [" + ", ".join("x" * 10) + "]\n" + "".join(
        f"k{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))).encode(),
    "long_key": b"x" * 100_000 + b": 1",
    "long_value": b"world: " + b"x" * 100_000,
    "merge": b"<<: [1, 2]",
    "date": b"seed: 2020-99-99",
    "nul": b"seed: \0",
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Write the files above into the current folder, and a folder beside them."""
    monkeypatch.chdir(tmp_path)
    for name, data in FILES.items():
        Path(name).write_bytes(data)
        Path(f"{name}.json").write_bytes(data)
    Path("folder").mkdir()
    Path("file").write_text("mine")
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    with Path("sparse").open("wb") as file:
        file.truncate(2**36)
    Path("pointgoal.yaml").write_text("world: analytic\nsteps: 8\nworlds: 2\nhorizon: 4\n")
    return tmp_path


def everything(folder: Path) -> dict[str, int]:
    found = {str(path.relative_to(folder)): path.lstat() for path in folder.rglob("*")}
    return {name: 0 if stat.S_ISDIR(each.st_mode) else each.st_mtime_ns for name, each in found.items()}


def refused(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    before = everything(folder)
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("li-env: error: ") and captured.err.count("\n") == 1, captured.err[:2000]
    assert len(captured.err) <= LINE + 1
    assert everything(folder) == before
    return captured.err


COMMANDS = {
    "train agent": ["train", "agent", "--out", "new", "--config"],
    "train world": ["train", "world", "--out", "new", "--device", "cpu", "--config"],
    "evaluate agent": ["evaluate", "agent", "--agent", "random", "--world", "analytic", "--dataset"],
    "preset": ["rollout", "--world", "analytic", "--trajectory", "w-3", "--out", "new", "--preset"],
}
NO_FILES = ("folder", "pipe", "loop", "sparse", "absent", "file/below", "/dev/zero", "/dev/null", "n" * 300)
TAKEN = {("train agent", "empty"), ("train world", "empty"), ("preset", "empty")}  # an empty text has only defaults


@pytest.mark.parametrize("file", [*FILES, *NO_FILES], ids=lambda name: name[:12])
@pytest.mark.parametrize("command", COMMANDS)
def test_files_that_are_no_settings(command, file, folder, capsys, monkeypatch):
    if (command, file) in TAKEN:
        pytest.skip("no mistake: everything has its default")
    monkeypatch.setattr("li_env.worlds.common.game.require_game", lambda purpose: None)
    name = file
    if command == "preset" and "/" not in file and len(file) < 100:
        name = f"{file}.json"  # settings are a file by their ending
        if not Path(name).exists() and Path(file).exists():
            Path(file).rename(name)
    text = refused([*COMMANDS[command], name], folder, capsys)
    if command != "preset" and file in NO_FILES:
        assert "allowed: a YAML" in text and (
            "is not a file" in text or "cannot be read" in text or "more than" in text
        )


SETTINGS = {
    "seed: abc": "seed", "seed: null": "seed", "seed: 1.5": "seed", "seed: -1": "seed", "seed: true": "seed",
    "seed: 99999999999999999999": "seed", "seed: [1]": "seed", "seed: .nan": "seed", "seed: {a: 1}": "seed",
    "task: [pointgoal]": "task", "task: walk": "task", "task: null": "task", "task: 3": "task",
    "world: 3": "world", "world: null": "world", "world: ''": "world", "world: mars": "world",
    "preset: 3": "preset", "preset: fast": "preset", "preset: {memory: all}": "memory", "preset: [off]": "preset",
    "steps: 0": "steps", "steps: 1e3": "steps", "steps: .inf": "steps", "steps: '8'": "steps", "steps: yes": "steps",
    "worlds: 100000": "worlds", "horizon: 0": "horizon", "horizon: 1000000000": "horizon",
    "batch_size: -4": "batch_size",
    "epochs: 1.0": "epochs", "learning_rate: 0": "learning_rate", "learning_rate: fast": "learning_rate",
    "learning_rate: .nan": "learning_rate", "gamma: 1.01": "gamma", "gamma: -.inf": "gamma",
    "gae_lambda: []": "gae_lambda",
    "clip_range: 2": "clip_range", "entropy: null": "entropy", "max_episode_steps: 0": "max_episode_steps",
    "snapshots: none": "snapshots", "cloning_steps: -1": "cloning_steps", "cloning_steps: 8": "cloning_steps",
    "agent: [ppo]": "agent", "agent: dqn": "agent", "agnet: ppo": "agnet", "7: 8": "7", "null: 8": "None",
    "agent: mapper\nrounds: 0": "rounds", "agent: mapper\nrandom: 1.5": "random",
    "agent: mapper\nhorizon: 3": "horizon",
    "agent: mapper\ntask: imagegoal": "task", "agent: mapper": "mapper",
}  # fmt: skip


@pytest.mark.parametrize("line", SETTINGS)
def test_values_in_an_agents_settings(line, folder, capsys):
    keys = {row.partition(":")[0] for row in line.splitlines()}
    kept = "world: analytic\nsteps: 8\nworlds: 2\n" + ("" if "mapper" in line else "horizon: 4\n")
    rows = [row for row in kept.splitlines() if row.partition(":")[0] not in keys]
    Path("settings.yaml").write_text("\n".join([*rows, line]) + "\n")
    assert SETTINGS[line] in refused(["train", "agent", "--config", "settings.yaml", "--out", "new"], folder, capsys)


ROLLOUT = ["rollout", "--world", "analytic", "--trajectory", "w-3"]
TRAIN = ["train", "agent", "--config", "pointgoal.yaml", "--device", "cpu"]
EVALUATE = ["evaluate", "agent", "--agent", "random", "--world", "analytic", "--episodes", "1"]
BUILD = ["build", "episodes", "--maps", "1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*ROLLOUT, "--out", ""], "out='' is empty"),
        ([*ROLLOUT, "--out="], "out='' is empty"),
        ([*ROLLOUT, "--out", "file"], "is a file; allowed: a folder"),
        ([*ROLLOUT, "--out", "file/below"], "is a file; allowed: a folder"),
        ([*ROLLOUT, "--out", "pipe"], "is a file; allowed: a folder"),
        ([*ROLLOUT, "--out", "loop"], "is a file; allowed: a folder"),
        ([*ROLLOUT, "--out", "/dev/null"], "is a file; allowed: a folder"),
        ([*ROLLOUT, "--out", "/proc/new"], "/proc"),
        ([*ROLLOUT, "--out", "n" * 300], "out="),
        ([*ROLLOUT, "--out", "new", "--seed", "-1"], "seed=-1"),
        ([*ROLLOUT, "--out", "new", "--seed", "9" * 40], "seed=a whole number of"),
        ([*ROLLOUT, "--out", "new", "--seed", "9" * 5000], "--seed"),
        ([*ROLLOUT, "--out", "new", "--prompt", "caf\udce9"], "prompt='caf"),
        ([*ROLLOUT, "--out", "new", "--prompt", "x" * 200_000], "has 200,000 characters"),
        ([*ROLLOUT, "--out", "new", "--preset", "x" * 100_000], "preset"),
        ([*ROLLOUT, "--out", "new", "--preset", "{memory: [[[[1]]]]}"], "memory"),
        ([*ROLLOUT, "--out", "new", "--image", ""], "image='' is empty"),
        ([*ROLLOUT, "--out", "new", "--image", "binary"], "image='binary' cannot be decoded"),
        ([*ROLLOUT, "--out", "new", "--image", "pipe"], "image='pipe' is not a file"),
        ([*ROLLOUT, "--out", "new", "--image", "/dev/zero"], "image='/dev/zero' is not a file"),
        ([*ROLLOUT, "--out", "new", "--image", "sparse"], "image='sparse' has more than"),
        ([*ROLLOUT, "--out", "new", "--image", "folder"], "image='folder' is not a file"),
        ([*ROLLOUT, "--out", "new", "--world", "x" * 100_000], "world="),
        (["rollout", "--out", "new", "--world", "analytic", "--trajectory", "w-" + "9" * 5000], "trajectory"),
        (["rollout", "--out", "new", "--world", "analytic", "--trajectory", "x" * 100_000], "trajectory"),
        (["rollout", "--out", "new", "--world", "analytic", "--trajectory", "w-3\ud800"], "trajectory"),
        (["rollout", "--out", "new", "--world", "analytic", "--trajectory", ""], "trajectory"),
        ([*TRAIN, "--out", ""], "out='' is empty"),
        ([*TRAIN, "--out", "file"], "is a file; allowed: a folder"),
        ([*TRAIN, "--out", "new", "--dataset", ""], "dataset='' is empty"),
        ([*TRAIN, "--out", "new", "--dataset", "pipe"], "dataset='pipe' is not a file"),
        ([*TRAIN, "--out", "new", "--steps", "-5"], "steps=-5"),
        ([*TRAIN, "--out", "new", "--world", ""], "world=''"),
        ([*EVALUATE, "--out", ""], "out='' is empty"),
        ([*EVALUATE, "--out", "folder"], "out='folder' is a folder; allowed: the name of a file"),
        ([*EVALUATE, "--out", "file/below.json"], "is a file; allowed: a folder"),
        ([*EVALUATE, "--out", "out.json", "--seed", "-1"], "seed=-1"),
        ([*EVALUATE, "--max-steps", "0"], "max_steps=0"),
        (["evaluate", "agent", "--agent", "random", "--world", "analytic", "--episodes", "9" * 30], "episodes="),
        (["evaluate", "agent", "--agent", "folder", "--world", "analytic"], "agent='folder' has no policy.safetensors"),
        (["evaluate", "agent", "--agent", "", "--world", "analytic"], "agent"),
        (["evaluate", "agent", "--agent", "x" * 3000, "--world", "analytic"], "agent"),
        ([*BUILD, "--out", ""], "out='' is empty"),
        ([*BUILD, "--out", "folder"], "out='folder' is not allowed; use a name that ends in .json"),
        ([*BUILD, "--out", "file/below.json"], "is a file; allowed: a folder"),
        ([*BUILD, "--out", "new.json", "--goals", "0"], "goals=0"),
        ([*BUILD, "--out", "new.json", "--starts", "-1"], "starts=-1"),
        ([*BUILD, "--out", "new.json", "--near", "nan"], "near=nan"),
        ([*BUILD, "--out", "new.json", "--far", "inf"], "far=inf"),
        ([*BUILD, "--out", "new.json", "--detour", "nan"], "detour=nan"),
        ([*BUILD, "--out", "new.json", "--seed", "9" * 30], "seed="),
        (["bench", "--world", "analytic", "--out", "file"], "is a file; allowed: a folder"),
        (["bench", "--world", "analytic", "--out", "new", "--sweep", "decode_ratio=&a [*a]"], "sweep"),
        (["bench", "--world", "analytic", "--out", "new", "--sweep", "x" * 9999], "sweep"),
        (["x" * 9999], "command="),
        (["train", "y" * 9999], "command="),
    ],
    ids=range(56),
)  # fmt: skip
def test_arguments(words, message, folder, capsys):
    assert message in refused(words, folder, capsys)


@pytest.mark.parametrize("name", ["video.mp4", "poses.npz", "contact_sheet.png", "report.json"])
def test_a_folder_where_a_result_belongs_is_noticed_before_the_work(name, folder, capsys, monkeypatch):
    monkeypatch.setattr("li_env.worlds.registry.load_world", lambda *a, **k: pytest.fail("began to work"))
    Path("out", name).mkdir(parents=True)
    assert f"{name!r} in it is a folder" in refused([*ROLLOUT, "--out", "out"], folder, capsys)


def test_too_little_memory_is_one_line(folder, capsys, monkeypatch):
    def full(arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr("li_env.cli.worlds.run", full)
    assert "MemoryError" in refused(["worlds"], folder, capsys)
