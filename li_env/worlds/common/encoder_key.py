"""Digest of an encoder: equal digests make equal latents on this machine."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def weights_key(encoder: nn.Module) -> str:
    """Digest the weights of ``encoder``, and all that its rounding depends on: device, type, PyTorch, CPU threads."""
    digest = hashlib.sha256()
    for name, tensor in encoder.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    device = next(encoder.parameters()).device
    if device.type == "cuda":
        machine = torch.cuda.get_device_name(device)
    else:
        machine = f"{torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()}"
    digest.update(f"{type(encoder).__name__} {torch.__version__} {machine}".encode())
    return digest.hexdigest()
