"""Finding, comparing and loading checkpoint files."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from li_env.validation import shown_path
from li_env.worlds.common.checkpoints import (
    CheckpointError,
    Part,
    TensorFile,
    bytes_of,
    compare,
    find_folder,
    find_parts,
    load_into,
)

CPU = torch.device("cpu")
PARTS = (
    Part("model", "somewhere.example/model", 17.1, ("a.safetensors", "b.safetensors")),
    Part("vae.pth", "somewhere.example/vae", 1.4),
)


def model() -> nn.Module:
    with torch.device("meta"):
        return nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)).state_dict()


def test_missing_folder_says_what_to_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LI_ENV_SOMETHING", raising=False)
    needs = (
        r"model/a.safetensors \(17.1 GB, somewhere.example/model\); "
        r"vae.pth \(1.4 GB, somewhere.example/vae\)$"
    )
    with pytest.raises(ValueError, match=f"set weights= or LI_ENV_SOMETHING to a folder with {needs}"):
        find_folder("something", "LI_ENV_SOMETHING", None, PARTS)
    with pytest.raises(
        ValueError, match=f"weights='/no/such' is not a folder; world 'something' needs one with {needs}"
    ):
        find_folder("something", "LI_ENV_SOMETHING", "/no/such", PARTS)
    monkeypatch.setenv("LI_ENV_SOMETHING", str(tmp_path))
    assert find_folder("something", "LI_ENV_SOMETHING", None, PARTS) == tmp_path


def test_all_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"lacks model/a.* \(17.1 GB, .*\); vae.pth \(1.4 GB, .*\)$"):
        find_parts(tmp_path, PARTS)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "b.safetensors").touch()
    with pytest.raises(ValueError, match=r"lacks vae.pth \(1.4 GB, somewhere.example/vae\)$"):
        find_parts(tmp_path, PARTS)
    (tmp_path / "vae.pth").touch()
    assert find_parts(tmp_path, PARTS) == [tmp_path / "model" / "b.safetensors", tmp_path / "vae.pth"]


@pytest.mark.parametrize("kind", ["model.safetensors", "model.pth", "model.safetensors.index.json"])
def test_loads_cast_and_checked(tmp_path: Path, kind: str) -> None:
    values, path = tensors(), tmp_path / kind
    if kind.endswith(".json"):
        names = list(values)
        save_file({name: values[name] for name in names[:1]}, tmp_path / "one.safetensors")
        save_file({name: values[name] for name in names[1:]}, tmp_path / "two.safetensors")
        shards = {name: "one.safetensors" if name in names[:1] else "two.safetensors" for name in names}
        path.write_text(json.dumps({"weight_map": shards}), encoding="utf-8")
    elif kind.endswith(".pth"):
        torch.save({"state_dict": values, "step": 3}, path)
    else:
        save_file(values, path)
    network = model()
    load_into(network, TensorFile(path), "a test", CPU, torch.bfloat16)
    for name, value in network.state_dict().items():
        assert value.dtype == torch.bfloat16 and torch.equal(value, values[name].bfloat16())


def test_the_older_file_format(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(tensors(), path, _use_new_zipfile_serialization=False)
    assert not compare(TensorFile(path), model())


def test_modules_replaced_by_another_file(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.safetensors", tmp_path / "part.safetensors"
    save_file({"a.x": torch.zeros(1), "a.y": torch.zeros(1), "b.x": torch.zeros(1)}, whole)
    save_file({"a.x": torch.ones(2)}, part)
    joined = TensorFile(whole).replaced_by(TensorFile(part))
    assert joined.shapes == {"a.x": (2,), "b.x": (1,)} and joined.path == part
    assert joined["a.x"].sum() == 2 and joined["b.x"].sum() == 0 and "a.y" not in joined


def test_names_are_mapped_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({f"net.{name}": value for name, value in tensors().items()} | {"extra": torch.ones(1)}, path)
    file = TensorFile(path, lambda name: name.removeprefix("net.") if name.startswith("net.") else None)
    assert not compare(file, model())


def test_misfits_are_reported_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    values = tensors()
    del values["0.bias"], values["1.bias"]
    values |= {"0.weight": torch.ones(2, 4), "1.weight": torch.ones(2, dtype=torch.int32), "old": torch.ones(1)}
    save_file(values, path)
    network = model()
    with pytest.raises(CheckpointError) as caught:
        load_into(network, TensorFile(path), "a test model", CPU, torch.float32)
    assert str(caught.value) == (
        f"{shown_path(path)} is not a test model: 2 missing: 0.bias, 1.bias; 1 unexpected: old; "
        "1 of another shape: 0.weight [2, 4] for [2, 3]; 1 of another dtype: 1.weight I32"
    )
    assert all(value.is_meta for value in network.state_dict().values())


def test_long_lists_are_cut_in_the_message_only(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(tensors() | {f"more{number}": torch.ones(1) for number in range(5)}, path)
    misfit = compare(TensorFile(path), model())
    assert str(misfit) == "5 unexpected: more0, more1, more2 and 2 more" and len(misfit.unexpected) == 5


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('executed')",))


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"weight": Harmful()}, path)
    with pytest.raises(ValueError, match="holds more than tensors and is not opened"):
        TensorFile(path)


def test_damaged_and_unknown_files_are_named(tmp_path: Path) -> None:
    for name in ("model.safetensors", "model.pth"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(ValueError, match=name):
            TensorFile(tmp_path / name)
    with pytest.raises(ValueError, match=r"model.ckpt is not a checkpoint; allowed: .safetensors"):
        TensorFile(tmp_path / "model.ckpt")


def test_bytes_are_counted_before_loading() -> None:
    assert bytes_of([model()], torch.bfloat16) == 2 * (6 + 2 + 2 + 2)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_pytorch_file_is_a_value_error_that_names_it(tmp_path, zipped):
    path = tmp_path / "model.pth"
    torch.save({"a": torch.ones(50)}, path, _use_new_zipfile_serialization=zipped)
    whole, rng = path.read_bytes(), random.Random(0)
    damaged = [b"", b"x", b"PK", b"PK\x03\x04", whole[:60], whole[:-40], bytes(900), b"\x80\x02" + b"(" * 100_000]
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        damaged.append(bytes(data))
    refused = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            file = TensorFile(path)
            for name in file.shapes:
                file[name]
        except ValueError as error:
            assert "model.pth" in str(error) and len(str(error)) < 400
            refused += 1
    assert refused >= 8


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", "{", '{"weight_map": 3}', '{"weight_map": {}}', '{"weight_map": {"a": 3}}', "[" * 100_000,
     '{"weight_map": {"a": "model.safetensors.index.json"}}', '{"weight_map": {"a": "../x.safetensors"}}',
     '{"weight_map": {"a": "absent.safetensors"}}', '{"weight_map": {"a": "a.safetensors", "a": "b.safetensors"}}'],
    ids=range(12),
)  # fmt: skip
def test_a_damaged_index_is_a_value_error(tmp_path, text):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="safetensors") as caught:
        TensorFile(path)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["m.pth", "m.safetensors", "m.safetensors.index.json"])
def test_a_pipe_is_no_checkpoint(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match="is not a file"):
        TensorFile(tmp_path / name)
