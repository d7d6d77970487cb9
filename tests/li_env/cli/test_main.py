"""The command line as a whole: finding commands, parsing, exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from li_env.cli import commands, main


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("li-env: error: ")
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in commands():
        assert f"\n  {command} " in text
    assert {"rollout", "worlds"} <= commands().keys()


@pytest.mark.parametrize("command", commands())
def test_every_command_explains_itself(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    assert f"usage: li-env {command}" in capsys.readouterr().out


def test_help_of_rollout_tells_units_and_defaults(capsys):
    main(["rollout", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for expected in ("latents", "(default: freedoom)", "(default: all)", "(default: 0)", "dB", "--trajectory STR"):
        assert expected in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rolout"], "command='rolout' is unknown (did you mean 'rollout'?); allowed: "),
        (["rollout"], "--trajectory"),
        (["rollout", "--trajectory", "w-3", "--out", "x", "--seed", "one"], "--seed: invalid literal for int()"),
        (["rollout", "--trajectory", "w-3", "--out", "x", "--sed", "1"], "--sed"),
        (["worlds", "extra"], "extra"),
    ],
)
def test_mistakes_exit_2_with_one_line(words, message, capsys):
    assert main(words) == 2
    assert message in error_line(capsys)


def test_no_command_shows_the_overview(capsys):
    assert main([]) == 2
    assert "usage: li-env COMMAND" in capsys.readouterr().out


def test_worlds_lists_size_licence_and_weights(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["worlds"]) == 0
    text = capsys.readouterr().out
    assert "freedoom" in text
    assert "96 x 128" in text
    (large,) = [line for line in text.splitlines() if "freedoom_large" in line]
    assert "192 x 256" in large and "none shipped" in large
    assert "Apache-2.0" in text
    assert "present" in text or "missing (li_env/worlds/freedoom/data" in text


def test_help_does_not_load_torch():
    code = "import sys; from li_env.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_traceback_is_there_for_those_who_ask(monkeypatch):
    monkeypatch.setenv("LI_ENV_TRACEBACK", "1")
    with pytest.raises(ValueError, match="command='rolout'"):
        main(["rolout"])


def test_an_interrupt_is_not_a_traceback(monkeypatch, capsys):
    def interrupted(arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("li_env.cli.worlds.run", interrupted)
    assert main(["worlds"]) == 130
    assert capsys.readouterr().err == "li-env: interrupted\n"
