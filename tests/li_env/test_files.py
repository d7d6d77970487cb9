from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from li_env.files import (
    WRITING,
    append_json,
    atomic_folder,
    atomic_write,
    read_bytes,
    read_json,
    read_text,
    read_yaml,
    scratch_folder,
    write_json,
)
from li_env.tensor_files import open_tensors, read_tensors, write_tensors


def names(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def odd_files(tmp_path):
    """Paths that are no files to read."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "to_pipe").symlink_to(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    found = [tmp_path / name for name in ("folder", "pipe", "loop", "to_pipe", "absent", "file/below", "n" * 300)]
    return [*map(str, found), "/dev/zero", "/dev/stdin", "", "a\0b"]


def test_pipes_devices_loops_and_folders_are_refused_at_once(odd_files):
    for path in odd_files:
        for read in (read_yaml, read_json, lambda path, key: read_text(path, key, 9, "a text")):
            with pytest.raises(ValueError) as caught:
                read(path, "config")
            assert len(str(caught.value)) < 300
        with pytest.raises(ValueError):
            open_tensors(path)


def test_a_file_that_claims_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2**35)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (read_yaml, read_json):
        with pytest.raises(ValueError, match="config=.*sparse' has more than .* bytes; allowed: "):
            read(path, "config")
    with pytest.raises(ValueError, match="sparse is damaged or no safetensors file"):
        open_tensors(path)
    with path.open("r+b") as file:
        file.write((2**34).to_bytes(8, "little"))
    with pytest.raises(ValueError, match="header of 17,179,869,184 bytes; allowed"):
        open_tensors(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "f.json:1: not JSON"),
        (b"{", "f.json:1: not JSON"),
        (b"\xff\xfe", "is no UTF-8 text (byte 0)"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b'{"a": 1,\n"a": 2}', "key 'a' comes twice"),
        (b"9" * 5000, "not usable JSON: Exceeds the limit"),
        (b'{"a": 1} x', "f.json:1: not JSON: Extra data"),
    ],
    ids=range(8),
)
def test_hostile_json(tmp_path, data, message):
    path = tmp_path / "f.json"
    path.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        read_json(path, "config")
    assert message in str(caught.value) and len(str(caught.value)) < 300


def test_ordinary_files_are_read(tmp_path):
    path = tmp_path / "f"
    path.write_bytes('\ufeff{"a": "é"}'.encode())
    assert read_json(path, "config") == read_yaml(path, "config") == {"a": "é"}
    (tmp_path / "link").symlink_to(path)
    assert read_bytes(tmp_path / "link", "config", 99, "a text") == path.read_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"1234567", bytes(8), b"\xff" * 8 + b"{}", b"12345678{}", (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b"not json!", (2).to_bytes(8, "little") + b"{}tail",
        (60_000).to_bytes(8, "little") + b"[" * 60_000, (1).to_bytes(8, "little") + b"{",
        *(len(head).to_bytes(8, "little") + head for head in (
            b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}',
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,400000000000]}}',
            b'{"a":{"dtype":"X9","shape":[1],"data_offsets":[0,0]}}',
            b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}',
            b'{"a":3}', b'{"a":{}}',
        )),
    ],
    ids=range(16),
)  # fmt: skip
def test_damaged_safetensors_are_a_value_error_that_names_the_file(tmp_path, data):
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"w\.safetensors") as caught:
        read_tensors(path, {"a": (1,)}, "this model")
    assert len(str(caught.value)) < 300


def test_tensors_have_to_fit_before_they_are_read(tmp_path):
    path = tmp_path / "deep" / "w.safetensors"
    write_tensors(path, {"a": torch.ones(2, 3), "b": torch.zeros(1, dtype=torch.bfloat16)})
    found = read_tensors(path, {"a": (2, 3), "b": (1,)}, "this model")
    assert torch.equal(found["a"], torch.ones(2, 3)) and found["b"].dtype == torch.bfloat16
    with pytest.raises(ValueError, match=r"does not fit this model: a is \(2, 3\), expected \(3, 2\) \(1 such"):
        read_tensors(path, {"a": (3, 2), "b": (1,)}, "this model")
    with pytest.raises(ValueError, match="c is missing, expected"):
        read_tensors(path, {"a": (2, 3), "b": (1,), "c": ()}, "this model")
    write_tensors(path, {"a": np.ones(2, np.int32)})
    with pytest.raises(ValueError, match="holds 'a' as I32; allowed: F64"):
        read_tensors(path, {"a": (2,)}, "this model")


def test_a_write_that_fails_leaves_and_changes_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "new" / "er" / "f") as path:
        path.write_text("half")
        raise RuntimeError
    assert names(tmp_path) == []
    write_json(tmp_path / "f", {"a": 1})
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "f") as path:
        path.write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(ValueError):
        write_json(tmp_path / "f", float("nan"))
    assert names(tmp_path) == ["f"] and json.loads((tmp_path / "f").read_text()) == {"a": 1}
    with pytest.raises(OSError):
        write_json(tmp_path / "f" / "g", 1)
    (tmp_path / "there").mkdir()
    with pytest.raises(OSError):
        write_json(tmp_path / "there", 1)
    assert names(tmp_path) == ["f", "there"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    write_json(tmp_path / "json", 1)
    write_tensors(tmp_path / "tensors", {"a": np.zeros(1)})
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


FULL = """
import resource, sys, numpy, torch
from li_env.files import atomic_write, write_json
from li_env.tensor_files import write_tensors
from li_env.recording import write_png, write_video
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
frames = numpy.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), dtype=numpy.uint8)
for write in (
    lambda path: write_json(path, [1] * 10_000), lambda path: write_tensors(path, {"a": numpy.zeros(10_000)}),
    lambda path: write_tensors(path, {"a": torch.zeros(10_000)}), lambda path: write_png(path, frames[0]),
    lambda path: write_video(path, frames, 8),
):
    try:
        write(Path(sys.argv[1], "new", "file.mp4"))
    except OSError as error:
        assert len(str(error)) < 400, str(error)
    else:
        raise SystemExit("written")
"""


def test_a_full_disk_is_an_os_error_and_leaves_nothing(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path) == []


KILLED = """
import os, signal, sys
from li_env.files import atomic_folder
with atomic_folder(sys.argv[1]) as folder:
    (folder / "half").write_text("half")
    print(flush=True)
    os.kill(os.getpid(), signal.SIGKILL) if sys.argv[2] == "killed" else input()
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path, "killed"], stdout=subprocess.DEVNULL, check=False)
    assert [name.startswith(WRITING) for name in names(tmp_path)] == [True, True]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, tmp_path, "alive"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as alive:
        assert alive.stdout is not None and alive.stdout.readline()
        write_json(tmp_path / "mine", 1)
        assert len(names(tmp_path)) == 3  # mine, and what the living process is writing
        alive.communicate(b"\n")
    assert names(tmp_path) == ["half", "mine"] and alive.returncode == 0


def test_a_scratch_folder_goes_with_its_process(tmp_path):
    with scratch_folder("li-env-x-", tmp_path) as first, scratch_folder("li-env-x-", tmp_path) as second:
        assert first != second and first.is_dir() and second.is_dir()
        (tmp_path / "li-env-x-left").mkdir()
        (tmp_path / "li-env-x-file").write_text("")
        (tmp_path / "li-env-x-link").symlink_to(first)
        with scratch_folder("li-env-x-", tmp_path):
            assert first.is_dir() and second.is_dir() and not (tmp_path / "li-env-x-left").exists()
    assert names(tmp_path) == ["li-env-x-file", "li-env-x-link"]


def test_several_files_appear_together(tmp_path):
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        (folder / "b").write_text("2")
        assert not (tmp_path / "out" / "a").exists()
    assert names(tmp_path) == ["out", "out/a", "out/b"]


def test_the_last_file_appears_after_all_others(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr("os.replace", lambda source, target: order.append(target.name))
    with atomic_folder(tmp_path, last="b") as folder:
        for name in "cba":
            (folder / name).write_text(name)
    assert order == ["a", "c", "b"]


def test_half_a_line_is_removed_before_the_next(tmp_path):
    path = tmp_path / "log.jsonl"
    append_json(path, {"a": 1})
    with path.open("a") as file:
        file.write('{"a": 2')
    append_json(path, {"a": 3})
    append_json(path, {"a": 4})
    assert [json.loads(line)["a"] for line in path.read_text().splitlines()] == [1, 3, 4]
    path.write_text('{"a": ')
    append_json(path, {"a": 5})
    assert path.read_text() == '{"a": 5}\n'


def test_many_processes_write_the_same_file(tmp_path):
    code = "import sys\nfrom li_env.files import write_json\nfor n in range(40): write_json(sys.argv[1], [n] * 500)"
    children = [subprocess.Popen([sys.executable, "-c", code, tmp_path / "f"]) for _ in range(3)]
    while any(child.poll() is None for child in children):
        if (tmp_path / "f").exists():
            assert len(read_json(tmp_path / "f", "file")) == 500
        time.sleep(0.01)
    assert [child.returncode for child in children] == [0, 0, 0]
    assert names(tmp_path) == ["f"]
