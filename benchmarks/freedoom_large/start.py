"""Worth of the small size's weights in the large one, before any training: what `start: small` begins with.

    PYTHONPATH=.:benchmarks python benchmarks/freedoom_large/start.py --out benchmarks/freedoom_large/start.json

The same walks on validation maps at both sizes: frames through the autoencoder, and the next chunk after a real past
with four denoising steps, 12 recent and 8 retrieved latents, in float32 on a CPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from provenance import provenance

from li_env.doom import DEFAULT_KINDS
from li_env.doom.splits import VALIDATION
from li_env.files import write_json
from li_env.metrics import psnr, sharpness
from li_env.worlds.freedoom.autoencoder import Autoencoder, AutoencoderConfig
from li_env.worlds.freedoom.dynamics import DynamicsModel
from li_env.worlds.freedoom.sizes import SIZES, Size
from li_env.worlds.freedoom.training.autoencoder import encode_all
from li_env.worlds.freedoom.training.data import gather
from li_env.worlds.freedoom.training.progress_report import decode
from li_env.worlds.freedoom.training.rollout import roll_out
from li_env.worlds.freedoom.training.run import SIGMAS_4
from li_env.worlds.freedoom.weights import load_weights, packaged_folder

LENGTH, SEED = 28, 5


@torch.no_grad()
def measure(size: Size, maps: Sequence[int]) -> dict[str, Any]:
    """Measure the shipped weights of the small size on the last chunk of one walk per map."""
    autoencoder, model = Autoencoder(AutoencoderConfig()), DynamicsModel(grid=size.token_grid)
    load_weights({"autoencoder": autoencoder, "dynamics": model}, packaged_folder())
    device = torch.device("cpu")
    walks = gather(maps, 1, LENGTH, dict(DEFAULT_KINDS), SEED, device, workers=1, frame_size=size.frame_size)
    latents, real = encode_all(autoencoder, walks.frames), walks.frames[:, -4:]
    found = {"reconstruction": latents.float()}
    generator = torch.Generator().manual_seed(0)
    chunks = LENGTH // 4
    found["next chunk"] = roll_out(
        model, latents[:, 0], walks.poses, chunks, SIGMAS_4, generator, real=latents, real_chunks=chunks - 1
    )
    row: dict[str, Any] = {"frame_size": list(size.frame_size)}
    for name, made in found.items():
        frames = decode(autoencoder, made[:, -4:], size.token_grid)
        row[name] = {
            "psnr": round(psnr(frames, real).mean().item(), 2),
            "psnr_by_walk": [round(value, 2) for value in psnr(frames, real).mean(1).tolist()],
            "sharpness": round(sharpness(frames, real), 3),
        }
    return row


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--walks", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/freedoom_large/start.json"))
    given = parser.parse_args()
    facts, maps = provenance(), VALIDATION[100 : 100 + given.walks]
    rows = {name: measure(size, maps) for name, size in SIZES.items()}
    print(rows)
    write_json(given.out, {"provenance": facts, "maps": [maps[0], maps[-1]], "walks": given.walks, "rows": rows})


if __name__ == "__main__":
    main()
