from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.scripts.loading import load


def test_packs_a_wheel_without_what_is_left_out(tmp_path: Path) -> None:
    script = load("pack_packages")
    wheel = tmp_path / "tyro-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("tyro/__init__.py", "tyro/data/large.wad", "tyro/data/small.txt", "tyro-1.0.0.dist-info/METADATA"):
            archive.writestr(name, name)
    size = script.pack([wheel], ["tyro/data/*.wad"], tmp_path / "site.tar.xz")
    assert size == (tmp_path / "site.tar.xz").stat().st_size > 0
    with tarfile.open(tmp_path / "site.tar.xz") as archive:
        files = sorted(member.name for member in archive if member.isfile())
    assert files == ["tyro-1.0.0.dist-info/METADATA", "tyro/__init__.py", "tyro/data/small.txt"]


def test_a_folder_that_is_emptied_stays(tmp_path: Path) -> None:
    wheel = tmp_path / "vizdoom-1.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("vizdoom/scenarios/basic.wad", "x")
    load("pack_packages").pack([wheel], ["vizdoom/scenarios/*"], tmp_path / "site.tar.xz")
    with tarfile.open(tmp_path / "site.tar.xz") as archive:
        assert "vizdoom/scenarios" in archive.getnames()


def test_programs_stay_programs(tmp_path: Path) -> None:
    wheel = tmp_path / "vizdoom-1.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, mode in (("vizdoom/vizdoom", 0o755), ("vizdoom/__init__.py", 0o644)):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, "x")
    load("pack_packages").pack([wheel], [], tmp_path / "site.tar.xz")
    with tarfile.open(tmp_path / "site.tar.xz") as archive:
        modes = {member.name: member.mode & 0o777 for member in archive if member.isfile()}
    assert modes["vizdoom/vizdoom"] == 0o755
    assert not modes["vizdoom/__init__.py"] & 0o111


def test_versions_are_those_of_the_constraints() -> None:
    pinned = load("pack_packages").pinned
    assert pinned(["gymnasium", "farama_notifications"]) == ["gymnasium==1.4.0", "Farama-Notifications==0.0.6"]
    with pytest.raises(ValueError, match="package 'nothing' is not in constraints.txt"):
        pinned(["nothing"])
