"""The stored numbers of the original Matrix-Game-3.0 code, as tensors, and the tiny model they were made with."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from li_env.worlds.matrix_game_3.config import MatrixGame3Config
from li_env.worlds.matrix_game_3.model import MatrixGame3Model
from tests.oracle import load_oracle


@cache
def stored(name: str = "matrix_game_3_tiny") -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """(description, tensors)."""
    facts, tensors = load_oracle(name)
    return facts, {key: torch.from_numpy(value) for key, value in tensors.items()}


def weights() -> dict[str, torch.Tensor]:
    """State dict of the tiny model."""
    facts, tensors = stored()
    prefix = next(key for key in tensors if key.endswith("patch_embedding.weight")).removesuffix(
        "patch_embedding.weight"
    )
    return {name: tensors[prefix + name] for name in facts["weights"]}


@cache
def tiny_model() -> MatrixGame3Model:
    """Make the tiny model in float32."""
    facts, _ = stored()
    with torch.device("meta"):
        model = MatrixGame3Model(MatrixGame3Config.from_dict(facts["config"]))
    model.load_state_dict(weights(), strict=True, assign=True)
    return model.requires_grad_(False).eval()


def token_grid() -> tuple[int, int]:
    """Rows and columns of tokens per latent."""
    rows, columns = stored()[0]["latent_hw"]
    return rows // 2, columns // 2


def camera_tokens(camera: torch.Tensor) -> torch.Tensor:
    """Reorder a camera map [B, 1536, T, h, w] as values of tokens [B, T, n, 6144]."""
    x = camera.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))  # [B, 1536, T, rows, 2, columns, 2]
    return x.permute(0, 2, 3, 5, 1, 4, 6).flatten(4).flatten(2, 3)
