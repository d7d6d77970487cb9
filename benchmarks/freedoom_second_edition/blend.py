"""Make weights of the small world with another blend of refined dynamics than the one that a training left.

    li-env train world --config benchmarks/freedoom_second_edition/refine.yaml --out RUN
    python benchmarks/freedoom_second_edition/blend.py RUN 0.45 --out WEIGHTS

RUN refined the shipped dynamics with the blend that its log names last. Dynamics before, and after with any blend, lie
on one straight line, so that every blend follows from two. Autoencoder and motion head are the shipped ones.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from li_env.tensor_files import read_tensors
from li_env.worlds.freedoom.autoencoder import Autoencoder, AutoencoderConfig
from li_env.worlds.freedoom.motion_head import MotionHead
from li_env.worlds.freedoom.weights import load_weights, packaged_folder, write_weights


def blended(run: Path, blend: float) -> dict[str, torch.Tensor]:
    """Return the dynamics of ``run`` with ``blend`` of the refined weights.

    Raises:
        ValueError: the run has not finished its refinement, or its own blend was 0.
    """
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    own = [entry["blend"] for entry in entries if entry["stage"] == "refine" and "final" in entry]
    if not own or not own[-1]:
        raise ValueError(f"{run}: no finished refinement with a blend above 0")
    before, after = (read_tensors(run / f"{name}.safetensors") for name in ("dynamics", "refine"))
    return {name: torch.lerp(before[name].float(), after[name].float(), blend / own[-1]) for name in before}


def main(argv: Sequence[str] | None = None) -> None:
    """Read, blend, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the training")
    parser.add_argument("blend", type=float, help="weight of the refined dynamics, from 0 to 1")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    given = parser.parse_args(argv)
    kept = {"autoencoder": Autoencoder(AutoencoderConfig()), "motion": MotionHead()}
    load_weights(kept, packaged_folder())
    models = {"dynamics": blended(given.run, given.blend)} | {name: kept[name].state_dict() for name in kept}
    write_weights(given.out, {name: models[name] for name in ("autoencoder", "dynamics", "motion")})


if __name__ == "__main__":
    main()
