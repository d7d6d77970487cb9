"""What is installed is what is in the repository: nothing forgotten, nothing extra."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "li_env/": "li_env/",
    **{f"{name}/": f"li_env/{name}/" for name in ("accel", "agents", "configs", "kernels")},
}


def tracked() -> list[str]:
    """Files that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs the git checkout")
    return [path for path in listed.stdout.splitlines() if (ROOT / path).exists()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from the tracked files alone, so that leftovers of the checkout can neither help nor harm."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in tracked():
        target = folder / "source" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target, follow_symlinks=False)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*build, "-w", str(folder), str(folder / "source")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_tracked_file_and_no_other(wheel):
    expected = set()
    for path in tracked():
        for source, installed in SOURCES.items():
            if path.startswith(source) and not (ROOT / path).is_symlink():
                expected.add(installed + path.removeprefix(source))
    found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert sorted(expected - found) == [], "tracked but not in the wheel: see [tool.setuptools] in pyproject.toml"
    assert sorted(found - expected) == []


def test_only_one_name_is_put_into_site_packages(wheel):
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"li_env"}


def test_the_installed_wheel_runs_away_from_the_checkout(wheel, tmp_path):
    wheel.extractall(tmp_path / "site")
    code = (
        "import li_env, li_env.env, li_env.agents, li_env.kernels; from li_env.accel.config import AccelConfig; "
        "from li_env.worlds import world_names; AccelConfig.preset('off'); print(li_env.__file__, world_names())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout
    assert "freedoom" in done.stdout


def test_the_entry_point_is_the_command(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "li-env = li_env.cli:main" in wheel.read(name).decode()
