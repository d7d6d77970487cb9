"""Weights with another blend of refined dynamics than the one that was trained."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from li_env.tensor_files import write_tensors
from li_env.worlds.freedoom.dynamics import DynamicsModel
from li_env.worlds.freedoom.weights import load_weights, packaged_folder

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "freedoom_second_edition" / "blend.py"
spec = importlib.util.spec_from_file_location("blend", SCRIPT)
assert spec is not None and spec.loader is not None
blend = importlib.util.module_from_spec(spec)
spec.loader.exec_module(blend)


def finished(run: Path, weight: float) -> None:
    """Make the folder of a training whose refined dynamics are larger by 1 everywhere."""
    lines = [{"stage": "refine", "blend": 0.15}, {"stage": "refine", "blend": weight, "final": 1.0}]
    (run / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    model = DynamicsModel()
    load_weights({"dynamics": model}, packaged_folder())
    before = model.state_dict()
    write_tensors(run / "dynamics.safetensors", before)
    write_tensors(run / "refine.safetensors", {name: value + weight for name, value in before.items()})


def test_any_blend_follows_from_two(tmp_path: Path) -> None:
    finished(tmp_path, 0.5)
    out = tmp_path / "weights"
    blend.main([str(tmp_path), "0.25", "--out", str(out)])
    made, shipped = DynamicsModel(), DynamicsModel()
    load_weights({"dynamics": made}, out)
    load_weights({"dynamics": shipped}, packaged_folder())
    for one, two in zip(made.state_dict().values(), shipped.state_dict().values(), strict=True):
        torch.testing.assert_close(one, two + 0.25, atol=0.02, rtol=0)  # packed again


def test_a_run_without_a_blend_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(json.dumps({"stage": "refine", "blend": 0.15}))
    with pytest.raises(ValueError, match="no finished refinement with a blend above 0"):
        blend.blended(tmp_path, 0.25)
