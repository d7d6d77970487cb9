from __future__ import annotations

from matplotlib.axes import Axes

from li_env.evaluation.bench.plots import changes, is_of, write_sweep
from li_env.evaluation.bench.settings import Sweep

SWEEP = Sweep("decode_ratio+context_ratio", (0.2, 0.5), "paper")


def row(value: float, decisions: str, preset: str = "paper") -> dict:
    time = {"median": 10.0, "low": 9.0, "high": 11.0}
    return {
        "world": "analytic",
        "trajectory": "square",
        "sweep": {"preset": preset, "key": SWEEP.key, "value": value},
        "decisions": [decisions],
        "against_off": {"psnr": 30.0},
        "milliseconds": {"generate": time},
    }


def test_rows_of_other_presets_are_not_of_the_sweep():
    assert is_of(row(0.2, "a"), SWEEP)
    assert not is_of(row(0.2, "a", "all"), SWEEP)
    assert not is_of({"sweep": None}, SWEEP)


def test_lines_are_drawn_only_where_something_changes(tmp_path, monkeypatch):
    drawn: list[str] = []
    monkeypatch.setattr(Axes, "plot", lambda self, *given, **options: drawn.append("line"))
    monkeypatch.setattr(Axes, "errorbar", lambda self, *given, **options: drawn.append("line"))
    monkeypatch.setattr(Axes, "text", lambda self, x, y, words, **options: drawn.append(words))
    different, equal = ([row(0.2, "a"), row(0.5, other)] for other in ("b", "a"))
    assert changes(different) and not changes(equal)
    write_sweep(different, SWEEP, "square", tmp_path / "different.png")
    assert drawn == ["line", "line"]
    drawn.clear()
    write_sweep(equal, SWEEP, "square", tmp_path / "equal.png")
    assert drawn == ["nothing changes:\ndecode_ratio+context_ratio = 0.2, 0.5\ngive the same chunks"]
