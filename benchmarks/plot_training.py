"""Draw the training log of the freedoom world.

python benchmarks/plot_training.py benchmarks/freedoom_training.jsonl benchmarks/freedoom_training.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def curve(entries: list[dict[str, Any]], stage: str, key: str) -> tuple[list[float], list[float]]:
    """Return (steps, values) of one logged number."""
    rows = [entry for entry in entries if entry.get("stage") == stage and key in entry]
    return [row["step"] for row in rows], [row[key] for row in rows]


def main(log: Path, picture: Path) -> None:
    """Draw ``log`` (JSON lines) into ``picture``."""
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    figure, axes = plt.subplots(2, 3, figsize=(15, 7.5), constrained_layout=True)
    measured = ("next", "own2", "own16")
    panels = (
        ("autoencoder: held-out PSNR, dB", "autoencoder", ("psnr",)),
        ("dynamics: clean-latent error", "dynamics", ("error",)),
        ("dynamics: held-out PSNR, 4 steps, dB", "dynamics", tuple(f"4step_{name}_psnr" for name in measured)),
        ("refinement: flow loss, real and own context", "refine", ("flow", "own_flow")),
        ("refinement: held-out PSNR, 4 steps, dB", "refine", tuple(f"4step_{name}_psnr" for name in measured)),
        ("refinement: sharpness, 4 steps", "refine", tuple(f"4step_{name}_sharp" for name in measured)),
    )
    for axis, (title, stage, keys) in zip(axes.flat, panels, strict=True):
        for key in keys:
            steps, values = curve(entries, stage, key)
            axis.plot(steps, values, marker="o" if len(steps) < 30 else None, label=key)
        axis.set_title(title)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        if len(keys) > 1:
            axis.legend()
    figure.savefig(picture, dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
