"""The kernels can be imported and used without Triton."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import logging, sys
sys.modules["triton"] = None  # any import of it fails
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
import torch
from li_env.kernels.block_select import block_select, selection_plan, tile_means
from li_env.kernels.block_sparse_attention import block_sparse_attention
from li_env.kernels.tile_order import tile_layout, tile_table
x = torch.randn(1, 1, 24, 32)
layout = tile_layout(tile_table([[0, 8]], [[8, 16]]), tile_table([[0, 8]], [[8, 16]]))
means = tile_means(x, layout.queries)
for _ in range(3):
    lists = block_select(means, means, selection_plan(layout, 1.0))
    out = block_sparse_attention(x, x, x, layout, lists)
assert torch.allclose(out, torch.nn.functional.scaled_dot_product_attention(x, x, x), atol=1e-5)
"""


def test_without_triton_the_torch_path_runs_and_says_so_once():
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["block-sparse kernels on cpu run in torch: not a CUDA device"]
