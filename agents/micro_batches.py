"""Micro-batches of one size, so that an episode's numbers do not depend on how many other episodes there are.

Matrix products of different sizes round differently, and one bit decides a draw or an ``argmax``. All micro-batches
therefore have the same size; the last one is filled up with copies of its first row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

_CPU, _GPU = 1, 32  # rows of a micro-batch


def in_micro_batches(
    function: Callable[[dict[str, torch.Tensor]], Mapping[str, torch.Tensor]], rows: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Call ``function`` on micro-batches of equal size and join its results.

    Args:
        function: maps tensors [micro-batch, ...] by name to tensors [micro-batch, ...] by name. Every row of a result
            must depend on the same row of the arguments alone.
        rows: arguments [n, ...] by name, n above 0, all on one device.
    """
    first = next(iter(rows.values()))
    size = _CPU if first.device.type == "cpu" else _GPU
    found: dict[str, list[torch.Tensor]] = {}
    for begin in range(0, len(first), size):
        # Copies are aligned alike in RAM, whichever rows they hold.
        part = {name: tensor[begin : begin + size].clone() for name, tensor in rows.items()}
        count = len(part[next(iter(part))])
        if count < size:
            part = {
                name: torch.cat([tensor, tensor[:1].expand(size - count, *tensor.shape[1:])])
                for name, tensor in part.items()
            }
        for name, tensor in function(part).items():
            found.setdefault(name, []).append(tensor[:count])
    return {name: torch.cat(tensors) for name, tensors in found.items()}
