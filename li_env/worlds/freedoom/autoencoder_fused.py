"""The autoencoder's decoder with adjacent channels and few passes over memory: the same function up to rounding."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import conv2d, linear, pixel_shuffle

from li_env.kernels.group_norm import group_norm_silu
from li_env.worlds.freedoom.autoencoder import Decoder, ResidualBlock


class FusedDecoder:
    """`Decoder` for inference.

    Norms and activations are one kernel. Biases of convolutions inside a level are not added to the frames but handed
    on as one vector: to the next norm, which adds it in the same pass, and at last to the layer that leaves the level.

    Args:
        decoder: whose weights are used; must not change afterwards.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        # 1x1 convolutions as matrices whose rows are ordered (row, column, channel): whole pixels move in the shuffle.
        self._matrices: list[tuple[torch.Tensor, torch.Tensor]] = []
        for blocks, up in zip(decoder.blocks, decoder.ups, strict=True):
            if up.kernel_size != (1, 1):
                continue
            weight, bias = _weights(up)
            matrix = weight.flatten(1)
            moved = bias.float() + matrix.float() @ _biases(blocks)
            order = torch.arange(len(matrix), device=matrix.device).view(-1, 4).t().flatten()
            self._matrices.append((matrix[order].contiguous(), moved.to(bias.dtype)[order].contiguous()))

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents [B, C, h, w] to pixels [B, 3, 16h, 16w], about [-1, 1] (not clamped)."""
        decoder = self._decoder
        h = decoder.stem(latents.contiguous(memory_format=torch.channels_last))
        for blocks, (matrix, bias) in zip(decoder.blocks, self._matrices, strict=False):
            h, _ = _level(blocks, h)
            h = _enlarged(linear(h.permute(0, 2, 3, 1), matrix, bias)).permute(0, 3, 1, 2)
        # The last layer sees zeros beyond the edge, so that its input's bias cannot become one of its output.
        h, moved = _level(decoder.blocks[-1], h)
        out: torch.Tensor = decoder.ups[-1](h + moved.to(h.dtype)[:, None, None])
        return pixel_shuffle(out, 2)


def _level(blocks: nn.Module, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the blocks of a level on h and return the result and the bias [C] that is still to be added."""
    moved = torch.zeros(h.shape[1], device=h.device)
    for block in blocks.children():
        assert isinstance(block, ResidualBlock)
        inner = _convolved(block.conv1, _normed(block.norm1, h, moved))
        h = h + _convolved(block.conv2, _normed(block.norm2, inner, _weights(block.conv1)[1]))
        moved = moved + _weights(block.conv2)[1].float()
    return h, moved


def _biases(blocks: nn.Module) -> torch.Tensor:
    """Sum the biases [C] that a level passes on, in float32."""
    return torch.stack([_weights(block.conv2)[1].float() for block in blocks.children()]).sum(0)  # type: ignore[arg-type]


def _normed(norm: nn.GroupNorm, x: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    return group_norm_silu(x, norm.num_groups, norm.weight, norm.bias, offset, norm.eps)


def _convolved(layer: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """Convolve without the bias."""
    return conv2d(x, layer.weight, None, layer.stride, layer.padding)  # type: ignore[arg-type]


def _weights(layer: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    return layer.weight, layer.bias


def _enlarged(pixels: torch.Tensor) -> torch.Tensor:
    """Shuffle [B, h, w, 4 * C], ordered (row, column, channel), to [B, 2h, 2w, C]."""
    batch, rows, columns, width = pixels.shape
    parts = pixels.view(batch, rows, columns, 2, 2, width // 4).transpose(2, 3)
    return parts.reshape(batch, 2 * rows, 2 * columns, width // 4)
