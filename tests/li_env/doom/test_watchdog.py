"""Nothing of the game outlives its program, however that ends: engines, folders, shared memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from li_env.doom.watchdog import make_folder, remove_folder, temporary_folder

pytest.importorskip("vizdoom")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="engines are found in /proc")

HOLD = """
import gc, multiprocessing, os, signal, sys, time
import numpy as np
from li_env.doom.maps import generate_map
from li_env.doom.render_pool import LocalRenderer, RenderPool
from li_env.doom.watchdog import temporary_folder

def poses():
    return np.array([[*generate_map(3).sample_free_position(np.random.default_rng(0)), 0.0]]).round()

def show(renderer):
    renderer.render([3], [poses()])
    print("shown", flush=True)

def worker():
    show(LocalRenderer())
    time.sleep(600)

if __name__ == "__main__":
"""
KILL = "    os.kill(os.getpid(), signal.{})\n    time.sleep(600)\n"
LOCAL, POOL = "    renderer = LocalRenderer(); show(renderer)\n", "    renderer = RenderPool(1); show(renderer)\n"
SPAWNED = """    process = multiprocessing.get_context("spawn").Process(target=worker, daemon=True); process.start()
    time.sleep(0.1)
    while not any(name.startswith("doom_") for name in os.listdir(os.environ["TMPDIR"])): time.sleep(0.05)
"""
CHILDREN = """    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(open(f"/proc/{entry}/stat").read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid():
            os.kill(int(entry), signal.SIGKILL)
"""
ENDS = {
    "ordinary": LOCAL,
    "ordinary, pool": POOL,
    "closed twice": LOCAL + "    renderer.close(); renderer.close()\n",
    "collected": LOCAL + "    del renderer; gc.collect(); print(os.listdir(os.environ['TMPDIR'])); os._exit(0)\n",
    "exception": LOCAL + "    raise ValueError\n",
    "_exit": LOCAL + "    os._exit(3)\n",
    "exec": LOCAL + "    os.execv(sys.executable, [sys.executable, '-c', 'pass'])\n",
    "SIGTERM": LOCAL + KILL.format("SIGTERM"),
    # A program that was started in the background may have inherited that the signal is ignored.
    "SIGINT": LOCAL + "    signal.signal(signal.SIGINT, signal.default_int_handler)\n" + KILL.format("SIGINT"),
    "SIGKILL": LOCAL + KILL.format("SIGKILL"),
    "SIGKILL, pool": POOL + KILL.format("SIGKILL"),
    "SIGKILL of the group": LOCAL + "    os.killpg(os.getpid(), signal.SIGKILL)\n",
    "SIGKILL to a spawned worker": SPAWNED + "    process.kill(); process.join()\n",
    "SIGTERM to a spawned worker": SPAWNED + "    process.terminate(); process.join()\n",
    "SIGKILL of its children, as by Ray": LOCAL + CHILDREN + "    os._exit(1)\n",
    "SIGKILL within a temporary folder": "    with temporary_folder():\n        os.kill(os.getpid(), signal.SIGKILL)\n",
}


def _until(reached: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "something is left over"
        time.sleep(0.05)


def _processes(folder: Path) -> list[str]:
    """Processes whose command names the folder: engines, through their configuration."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path("/proc", entry, "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) + b"/" in command:
            found.append(entry)
    return found


def test_a_temporary_folder_lasts_as_long_as_its_block():
    with temporary_folder("here-") as folder:
        assert folder.is_dir()
        assert folder.name.startswith("here-")
        (folder / "file").write_text("x")
    assert not folder.exists()
    path = make_folder()
    remove_folder(path)
    remove_folder(path)
    assert not os.path.exists(path)


@pytest.mark.parametrize("end", ENDS)
def test_a_program_leaves_nothing(end, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(HOLD + ENDS[end])
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    program = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,  # read until no process holds it any more
        text=True,
        timeout=120,
    )
    if end == "collected":
        assert program.stdout.split("\n")[1] == "[]"
    if "spawned" not in end and "within" not in end:
        assert "shown" in program.stdout, program.stderr
    if end.startswith("ordinary") or end == "closed twice":
        assert (program.returncode, program.stderr, list(folder.iterdir())) == (0, "", [])
    _until(lambda: not list(folder.iterdir()) and not _processes(folder))


def test_an_engine_leaves_no_name_in_shared_memory(tmp_path):
    script = tmp_path / "program.py"
    look = "    name = open('/proc/self/maps').read().split('/dev/shm/ViZDoomSM')[1].split()[0]\n"
    script.write_text(
        HOLD + LOCAL + look + "    print(name, '|', *os.listdir('/dev/shm'), flush=True)\n    os._exit(0)\n"
    )
    out = subprocess.run([sys.executable, str(script)], check=False, capture_output=True, text=True, timeout=120).stdout
    name, names = out.splitlines()[1].split(" | ") if " | " in out else (out, "")
    assert name.strip()
    assert name.strip() not in names


def test_the_watching_process_is_replaced_when_it_was_killed(tmp_path):
    script = tmp_path / "program.py"
    kill = """
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            watches = b"watchdog.py" in open(f"/proc/{entry}/cmdline", "rb").read()
            ours = os.environb[b"TMPDIR"] in open(f"/proc/{entry}/environ", "rb").read()
        except OSError:
            continue
        if watches and ours:
            os.kill(int(entry), signal.SIGKILL)
            while open(f"/proc/{entry}/cmdline", "rb").read() if os.path.exists(f"/proc/{entry}") else b"":
                time.sleep(0.01)
            print("killed", flush=True)
    renderer.render([4], [np.array([[*generate_map(4).sample_free_position(np.random.default_rng(0)), 0.0]]).round()])
"""
    script.write_text(HOLD + LOCAL + kill + "    os._exit(0)\n")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, timeout=120, check=True, text=True
    )
    assert done.stdout.count("killed") == 1
    _until(lambda: not list(tmp_path.glob("doom_*")) and not _processes(tmp_path))


LATE = """
import os, signal, subprocess, sys
from li_env.doom.watchdog import CONFIG_NAME, make_folder

folder = make_folder()
engine = [sys.executable, "-c", "import time; time.sleep(600)", "-config", os.path.join(folder, CONFIG_NAME)]
late = "import os, time; time.sleep(3); words = input().split('|'); os.execv(words[0], words)"
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "close_fds": False, "text": True}
process = subprocess.Popen([sys.executable, "-c", late], **pipes)
process.stdin.write("|".join(engine) + chr(10))
process.stdin.flush()
print(folder, process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_engine_that_shows_its_command_late_is_stopped(tmp_path):
    """Seconds pass on a busy machine from the start of a process to its command."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    program = subprocess.run(
        [sys.executable, "-c", LATE], env=environment, stdout=subprocess.PIPE, timeout=60, check=False, text=True
    )
    folder, pid = program.stdout.split()
    command = Path("/proc", pid, "cmdline")
    assert command.read_bytes() and not _processes(Path(folder)), "it has another command yet"
    _until(lambda: not os.path.exists(folder) and not (command.exists() and command.read_bytes()), seconds=20)
