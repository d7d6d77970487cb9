"""Latents of scans: encoded once, shared in the process, kept on disk, made again where damaged."""

from __future__ import annotations

import gc
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from li_env.files import cache_folder
from li_env.scans import encoded
from li_env.scans.encoded import encoded_views
from li_env.scans.scan import Scan
from tests.analytic_world import AnalyticWorld
from tests.room_scan import room_scan


class CountingWorld(AnalyticWorld):
    """Counts the frames that it encodes."""

    key = "one encoder"

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    def encode(self, frames: np.ndarray) -> torch.Tensor:
        self.encoded += len(frames)
        return super().encode(frames)

    def encoder_key(self) -> str:
        return self.key


@pytest.fixture(scope="module")
def scan() -> Scan:
    return room_scan()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LI_ENV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "scans"


def test_a_scan_is_encoded_once_while_somebody_holds_it(scan: Scan) -> None:
    world = CountingWorld()
    first = encoded_views(world, scan, "here")
    copy = replace(scan, images=scan.images.copy())
    assert encoded_views(world, copy, "here") is first and world.encoded == len(scan)
    other = encoded_views(world, copy, "elsewhere")
    assert other.latents is first.latents and (other.name, other.content_hash) == ("elsewhere", scan.content_hash)
    torch.testing.assert_close(first.latents, AnalyticWorld().encode(scan.images))
    assert first.nbytes == 4 * first.latents.numel()


def test_latents_are_kept_on_disk_by_scan_and_encoder(scan: Scan, folder: Path) -> None:
    first = encoded_views(CountingWorld(), scan)
    again = CountingWorld()
    found = encoded_views(again, scan)
    assert again.encoded == 0 and torch.equal(found.latents, first.latents)
    other = CountingWorld()
    other.key = "another encoder"
    encoded_views(other, scan)
    few = replace(scan, images=scan.images[:5], poses=scan.poses[:5])
    encoded_views(other, few)
    assert other.encoded == len(scan) + 5 and len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "folder"])
def test_a_damaged_file_is_made_again(scan: Scan, folder: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    first = encoded_views(CountingWorld(), scan)
    (file,) = folder.iterdir()
    data = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[-100] ^= 255
        file.write_bytes(data)
    elif damage == "other":
        file.write_bytes(b"no tensors")
    else:
        file.unlink()
        file.mkdir()
    world = CountingWorld()
    with caplog.at_level(logging.WARNING):
        assert torch.equal(encoded_views(world, scan).latents, first.latents)
    assert world.encoded == len(scan)
    assert "again" in caplog.text or "cannot be written" in caplog.text
    if damage != "folder":
        healed = CountingWorld()
        encoded_views(healed, scan)
        assert healed.encoded == 0


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(
    scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LI_ENV_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert len(encoded_views(CountingWorld(), scan)) == len(scan)
    assert "cannot be written" in caplog.text


def test_a_world_that_encodes_something_else_is_named(scan: Scan) -> None:
    class Wrong(AnalyticWorld):
        def encode_views(self, images: np.ndarray) -> torch.Tensor:
            return super().encode_views(images)[:, :2]

    with pytest.raises(
        ValueError, match=r"world 'analytic': encode_views\(\) made .*\[72, 2, 6, 8\].* promised: .*\[72, 4"
    ):
        encoded_views(Wrong(), scan)


def test_nothing_is_written_for_an_encoder_that_nobody_can_name(scan: Scan, folder: Path) -> None:
    encoded_views(AnalyticWorld(), scan)
    assert not folder.exists()


def test_latents_go_with_the_last_that_holds_them(scan: Scan) -> None:
    world = AnalyticWorld()
    bank = encoded_views(world, scan)
    assert len(encoded._banks[world]) == 1
    del bank
    gc.collect()
    assert len(encoded._banks[world]) == 0


def test_the_cache_lies_where_the_platform_has_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LI_ENV_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == tmp_path / "li-env"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder().parts[-3:] == ("Library", "Caches", "li-env")
