"""The HY-WorldPlay transformer with the parameter names of the published checkpoint.

The vision stream is the shared `VideoTransformer`; each block carries the text stream's weights beside it.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import linear

from li_env.worlds.common.transformer import Block, TransformerConfig, VideoTransformer
from li_env.worlds.hy_worldplay.conditioning import Conditioning
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.text import (
    Byt5Mapper,
    TextBlock,
    TextCache,
    TextRefiner,
    VisionProjection,
    call_on,
    run_text_blocks,
)

TEXT, BYT5, VISION = 0, 1, 2
"""Rows of the condition type embedding."""


class ConvolutionEmbed(nn.Module):
    """Patch embedding with patch size 1, stored as a 1x1x1 convolution."""

    def __init__(self, in_channels: int, hidden_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(in_channels, hidden_size, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embed [..., in_channels] to [..., hidden_size]."""
        return linear(x, self.proj.weight.flatten(1), self.proj.bias)


class DoubleBlock(Block):
    """A block of the vision stream that also owns the weights of the text stream's half."""

    def __init__(self, config: HYWorldPlayConfig) -> None:
        super().__init__(config.transformer)
        text = TextBlock(config)
        self._text_names = tuple(name for name, _ in text.named_children())
        for name, child in text.named_children():
            self.add_module(name, child)

    @property
    def text(self) -> TextBlock:
        """The text stream's half."""
        return TextBlock.sharing(self.heads, {name: self.get_submodule(name) for name in self._text_names})


class HYWorldPlayModel(VideoTransformer):
    """Vision stream, text stream and condition encoders."""

    def __init__(self, config: HYWorldPlayConfig) -> None:
        self.sizes = config
        super().__init__(config.transformer)
        self.img_in = ConvolutionEmbed(config.transformer.in_channels, config.hidden_size)  # type: ignore[assignment]
        self.txt_in = TextRefiner(config)
        self.byt5_in = Byt5Mapper(config)
        self.vision_in = VisionProjection(config)
        self.cond_type_embedding = nn.Embedding(3, config.hidden_size)

    def make_block(self, config: TransformerConfig) -> DoubleBlock:
        return DoubleBlock(self.sizes)

    def text_modules(self) -> list[nn.Module]:
        """Return the modules that only the text cache needs: nearly half of all weights."""
        blocks = [child for block in self.double_blocks for child in block.text.children()]  # type: ignore[union-attr]
        return [self.txt_in, self.byt5_in, self.vision_in, self.cond_type_embedding, *blocks]

    def vision_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that generating chunks needs."""
        text = {id(parameter) for module in self.text_modules() for parameter in module.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in text]

    def place(self, device: torch.device, text_device: torch.device) -> None:
        """Move the vision stream to ``device`` and the text stream to ``text_device``."""
        for module in self.text_modules():
            module.to(text_device)
        for parameter in self.vision_parameters():
            parameter.data = parameter.data.to(device)

    def condition_tokens(self, conditioning: Conditioning) -> torch.Tensor:
        """Make [vision, glyph text, text] tokens [1, L, C] on the device of the vision stream."""
        weight = self.final_layer.linear.weight
        device, dtype = weight.device, weight.dtype
        types = self.cond_type_embedding.weight.to(device, dtype)
        parts = []
        for module, states, row in (
            (self.vision_in, conditioning.vision, VISION),
            (self.byt5_in, conditioning.byt5, BYT5),
            (self.txt_in, conditioning.text, TEXT),
        ):
            if len(states):
                parts.append(call_on(module, device, states.to(device, dtype)[None]) + types[row])
        return torch.cat(parts, dim=1)

    def text_cache(self, conditioning: Conditioning) -> TextCache:
        """Compute keys and values of the condition tokens, on the device of the vision stream.

        The text stream may live elsewhere: its weights are brought over block by block.
        """
        x = self.condition_tokens(conditioning)
        vector = self.time_in(torch.zeros(1, device=x.device))
        blocks = [block.text for block in self.double_blocks]  # type: ignore[union-attr]
        return run_text_blocks(blocks, x, vector, x.device)  # type: ignore[arg-type]
