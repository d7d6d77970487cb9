"""Networks computed so that an episode's numbers do not depend on how many other episodes there are.

Matrix products of another size round differently, and one bit decides a draw or an ``argmax``. Blocks therefore always
have the same size; the last one is filled up with copies of its first row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

_CPU, _GPU = 1, 32  # rows of a block


def by_blocks(
    function: Callable[[dict[str, torch.Tensor]], Mapping[str, torch.Tensor]], rows: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Call ``function`` on blocks of equal size and join what it returns.

    Args:
        function: from tensors [block, ...] by name to tensors [block, ...] by name. Every row must depend on the same
            row of the arguments alone.
        rows: its arguments [n, ...], n above 0, all on one device.
    """
    first = next(iter(rows.values()))
    size = _CPU if first.device.type == "cpu" else _GPU
    found: dict[str, list[torch.Tensor]] = {}
    for begin in range(0, len(first), size):
        # copies, so that the memory of a block is aligned alike wherever its rows come from
        block = {name: tensor[begin : begin + size].clone() for name, tensor in rows.items()}
        count = len(block[next(iter(block))])
        if count < size:
            block = {
                name: torch.cat([part, part[:1].expand(size - count, *part.shape[1:])]) for name, part in block.items()
            }
        for name, tensor in function(block).items():
            found.setdefault(name, []).append(tensor[:count])
    return {name: torch.cat(parts) for name, parts in found.items()}
