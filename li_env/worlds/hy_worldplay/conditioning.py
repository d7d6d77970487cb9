"""Conditioning of the model by a prompt and a start image: outputs of the frozen encoders."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Encoder outputs of one episode: valid tokens only, no padding.

    Attributes:
        text: [n, 3584], hidden states of the language model for the prompt.
        byt5: [m, 1472], states of the quoted text in the prompt; m = 0 without any.
        vision: [729, 1152], states of the image encoder for the start image.

    Source: docs/spec/hy_worldplay.md, sections 3.3 and 7.2 to 7.4.
    """

    text: torch.Tensor
    byt5: torch.Tensor
    vision: torch.Tensor
