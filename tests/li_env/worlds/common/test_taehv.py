"""The small decoder against a frame by frame computation, and its checkpoints."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from li_env.worlds.common.streaming_codec import VideoCodec
from li_env.worlds.common.taehv import TinyDecoder
from li_env.worlds.registry import load_world

CPU = torch.device("cpu")
LATENT = 5
WIDTHS = (6, 5, 4, 4)
GROWTH = (1, 2, 2)


def write_tiny_decoder(file: Path, latent_channels: int) -> None:
    """Write a random checkpoint for latents of so many channels."""
    torch.save(tensors(latent_channels), file)


def tensors(latent_channels: int = LATENT) -> dict[str, Tensor]:
    torch.manual_seed(0)
    out: dict[str, Tensor] = {"encoder.0.weight": torch.ones(1)}

    def conv(name: str, inputs: int, outputs: int, size: int = 3, bias: bool = True) -> None:
        out[f"decoder.{name}weight"] = torch.randn(outputs, inputs, size, size) / (inputs * size) ** 0.5
        if bias:
            out[f"decoder.{name}bias"] = torch.randn(outputs) / 4

    conv("1.", latent_channels, WIDTHS[0])
    number = 3
    for width, wider, growth in zip(WIDTHS, WIDTHS[1:], GROWTH, strict=False):
        for block in range(3):
            conv(f"{number + block}.conv.0.", 2 * width, width)
            conv(f"{number + block}.conv.2.", width, width)
            conv(f"{number + block}.conv.4.", width, width)
        conv(f"{number + 4}.conv.", width, growth * width, size=1, bias=False)
        conv(f"{number + 5}.", width, wider, bias=False)
        number += 6
    conv(f"{number + 1}.", WIDTHS[-1], 3 * 2**2)
    return out


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tiny") / "taehv1_5.pth"
    write_tiny_decoder(file, LATENT)
    return file


@pytest.fixture(scope="module")
def decoder(path: Path) -> TinyDecoder:
    full = SimpleNamespace(encode_image=lambda image: torch.full((LATENT, 2, 3), float(image.mean())))
    return TinyDecoder(path, full, CPU, torch.float64, LATENT)  # type: ignore[arg-type]


def frame_by_frame(latents: Tensor) -> Tensor:
    """Latents [T, C, h, w] -> frames [4 T - 3, 3, H, W] in [0, 1]: every layer runs over a list of single frames."""
    given = {name: value.double() for name, value in tensors().items()}

    def conv(x: Tensor, name: str, padding: int = 1) -> Tensor:
        return F.conv2d(x, given[f"decoder.{name}weight"], given.get(f"decoder.{name}bias"), padding=padding)

    frames = [F.relu(conv((latent / 3).tanh() * 3, "1.")) for latent in latents.split(1)]
    number = 3
    for growth in GROWTH:
        for block in range(3):
            done, before = [], torch.zeros_like(frames[0])
            for x in frames:
                hidden = F.relu(conv(torch.cat([x, before], 1), f"{number + block}.conv.0."))
                hidden = F.relu(conv(hidden, f"{number + block}.conv.2."))
                done.append(F.relu(conv(hidden, f"{number + block}.conv.4.") + x))
                before = x
            frames = done
        grown = [conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3), f"{number + 4}.conv.", 0) for x in frames]
        frames = [conv(part, f"{number + 5}.") for x in grown for part in x.chunk(growth, dim=1)]
        number += 6
    return torch.cat([F.pixel_shuffle(conv(F.relu(x), f"{number + 1}."), 2) for x in frames])[3:]


@torch.no_grad()
@pytest.mark.parametrize("sizes", [[3], [1, 2], [2, 1]])
def test_streamed_is_frame_by_frame(decoder: TinyDecoder, sizes: list[int]) -> None:
    latents = torch.randn(3, LATENT, 2, 3).double()
    caches, videos = None, []
    for part in latents.split(sizes):
        video, caches = decoder.decode_video(part.transpose(0, 1)[None], caches)
        videos.append(video)
    found = (torch.cat(videos, 2)[0].transpose(0, 1) + 1) / 2
    expected = frame_by_frame(latents)
    assert found.shape == (9, 3, 32, 48)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_takes_the_place_of_a_codec(decoder: TinyDecoder) -> None:
    assert isinstance(decoder, VideoCodec)
    first, second = torch.randn(2, 2, LATENT, 2, 3)
    frames, streams = decoder.decode_batch([first, second], [None, None])
    assert [len(chunk) for chunk in frames] == [5, 5] and frames[0].shape[1:] == (32, 48, 3)
    alone, _ = decoder.decode(second, streams[1])
    together, _ = decoder.decode_batch([first, second], streams)
    assert np.abs(together[1].astype(int) - alone).max() <= 1 and len(alone) == 8
    assert decoder.encode_image(np.full((32, 48, 3), 7, dtype=np.uint8)).mean() == 7


def test_other_files_are_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tiny_decoder='/no/such.pth' does not exist; allowed: a checkpoint"):
        TinyDecoder(Path("/no/such.pth"), None, CPU, torch.float32, LATENT)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="takes 5 latent channels; allowed: 32"):
        TinyDecoder(path, None, CPU, torch.float32, 32)  # type: ignore[arg-type]
    for name, value, message in (
        ("other", "encoder.0.weight", "its layers are missing"),
        ("strange", "decoder.0.gamma", "decoder.0 has gamma"),
    ):
        torch.save({value: torch.ones(2, 2, 1, 1)}, tmp_path / f"{name}.pth")
        with pytest.raises(ValueError, match=f"{name}.pth is no decoder of the TAEHV kind: {message}"):
            TinyDecoder(tmp_path / f"{name}.pth", None, CPU, torch.float32, LATENT)  # type: ignore[arg-type]


@pytest.mark.parametrize("world", ["hy_worldplay", "matrix_game_3"])
def test_not_with_random_weights(path: Path, world: str) -> None:
    with pytest.raises(ValueError, match=r"tiny_decoder='.*taehv1_5.pth' .* random_weights"):
        load_world(world, device="cpu", random_weights=True, tiny_decoder=str(path))
