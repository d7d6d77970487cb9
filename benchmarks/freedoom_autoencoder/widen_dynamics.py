"""Write dynamics of 64 channels that begin as the shipped ones of 32: `python widen_dynamics.py FOLDER`.

Needs ``LATENT_CHANNELS = 64`` in `li_env.worlds.freedoom.dynamics`. FOLDER is the ``start`` of a training config.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from li_env.tensor_files import read_tensors
from li_env.worlds.freedoom.dynamics import DynamicsModel
from li_env.worlds.freedoom.weights import packaged_folder, write_weights

CHANNELS = 32
"""Channels of the shipped dynamics."""


def widened(old: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights of a 64-channel model: the old ones where shapes agree, parts of them elsewhere."""
    torch.manual_seed(0)
    new = DynamicsModel().state_dict()
    for name, value in new.items():
        was = old[name].float()
        if was.shape == value.shape:
            new[name] = was
        elif was.shape[0] == value.shape[0]:  # the input: latents first, then features of the camera
            value = 0.3 * value
            value[:, :CHANNELS] = was[:, :CHANNELS]
            value[:, 2 * CHANNELS :] = was[:, CHANNELS:]
            new[name] = value
        else:  # the output
            new[name] = torch.cat((was, torch.zeros_like(was)))
    return new


def main(folder: Path) -> None:
    """Write the weights and their manifest."""
    shipped = read_tensors(packaged_folder() / "dynamics.safetensors")
    write_weights(folder, {"dynamics": widened(shipped)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
