import numpy as np
import torch

from li_env.worlds.common.streaming_codec import VideoCodec
from li_env.worlds.common.stub_codec import FRAMES, PIXELS, StubCodec, coloured_blocks


def test_pictures_of_blocks_come_back() -> None:
    codec = StubCodec(5, torch.device("cpu"))
    assert isinstance(codec, VideoCodec)
    colours = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    image = colours.repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)
    latent = codec.encode_image(image)
    assert latent.shape == (5, 2, 3) and not latent[3:].any()
    latents = torch.stack([latent, -latent])
    (first,), streams = codec.decode_batch([latents], [None])
    assert first.shape == (1 + FRAMES, *image.shape) and np.array_equal(first[0], image)
    assert np.abs(first[1:].astype(int) + image - 255).max() <= 1  # minus the colour is its negative
    (later,), _ = codec.decode_batch([latents], streams)
    assert later.shape == (2 * FRAMES, *image.shape) and np.array_equal(later[0], later[FRAMES - 1])


def test_coloured_blocks_are_frames_of_that_grid():
    frames = coloured_blocks((3, 5))
    assert frames.shape == (2, 3 * PIXELS, 5 * PIXELS, 3) and frames.dtype == np.uint8
    assert (frames[:, :PIXELS, :PIXELS] == frames[:, :1, :1]).all() and frames.std() > 50
    assert np.array_equal(frames, coloured_blocks((3, 5)))
