"""Videos of a dataset: one encode per episode, joined by copying packets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from li_env.validation import check_choice, shortened


@dataclass(frozen=True)
class Codec:
    """Encoder and its settings.

    Attributes:
        encoder: name for FFmpeg.
        name: of the codec in the file, as LeRobot writes it.
        pixels: pixel format in the file.
        options: of the encoder, beside its preset and the distance of key frames.
        crf: quality, as LeRobot writes it.
        preset: of the encoder.
        key_frames: distance from one key frame to the next, in frames.
        least: smallest height and width in pixels.
        even: whether height and width must be even.
        given: pixel format that the encoder is given, if another than that in the file.
    """

    encoder: str
    name: str
    pixels: str
    options: dict[str, str]
    crf: int
    preset: str
    key_frames: int
    least: int = 1
    even: bool = True
    given: str | None = None

    def settings(self) -> dict[str, str]:
        """Return all options of the encoder."""
        return {**self.options, "preset": self.preset, "g": str(self.key_frames)}


# One thread and no B-frames, so that a file is a function of its frames. With "h264" every frame is a key frame: random
# access is cheapest, all frames are equally good, and the simplest search is good enough, so that a frame costs 0.35
# ms. Key frames in turn with others (g=2, "veryfast", crf 14) had the same quality with a fifth fewer bytes in 0.8 ms:
# too slow where a GPU makes 7,000 frames per second. Full colour resolution: with halved colour planes the worst of
# 5,376 frames of the game had 23 dB at crf 16, and crf 8 did not mend it.
_PLAIN = {"bf": "0", "threads": "1"}
_CODECS = {
    "h264": Codec("libx264", "h264", "yuv444p", {**_PLAIN, "crf": "16"}, 16, "ultrafast", 1),
    "av1": Codec("libsvtav1", "av1", "yuv420p", {"crf": "18", "svtav1-params": "lp=1"}, 18, "8", 2,
                 least=64),
    "lossless": Codec("libx264rgb", "h264", "gbrp", {**_PLAIN, "qp": "0"}, 0, "medium", 2,
                      even=False, given="rgb24"),
}  # fmt: skip


def codec_of(name: str, frame_size: tuple[int, int]) -> Codec:
    """Return a codec that can encode frames of a size.

    Raises:
        ValueError: an unknown codec, an encoder that this build of PyAV lacks, or a size that it does not take.
    """
    codec = _CODECS[check_choice("codec", name, tuple(_CODECS))]
    if codec.encoder not in av.codecs_available:
        raise ValueError(f"codec={name!r} needs the encoder {codec.encoder}, which this build of PyAV lacks")
    odd = codec.even and any(side % 2 for side in frame_size)
    if odd or min(frame_size) < codec.least:
        needs = f"sides of at least {codec.least} pixels" + (", even ones" if codec.even else "")
        raise ValueError(f"codec={name!r} with frames of {list(frame_size)} pixels is not allowed; it needs {needs}")
    return codec


def encode(path: Path, frames: np.ndarray, fps: float, codec: Codec) -> None:
    """Write frames uint8 [n, H, W, 3] as an MP4 file whose first frame stands at 0 seconds."""
    av.logging.set_level(av.logging.ERROR)
    os.environ.setdefault("SVT_LOG", "1")  # errors alone; SVT-AV1 has a log of its own
    rate = Fraction(fps).limit_denominator(1000)
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart", "fflags": "bitexact"}) as container:
        stream = container.add_stream(codec.encoder, rate=rate, options=codec.settings())
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = codec.given or codec.pixels
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


def join(path: Path, parts: Sequence[Path], counts: Sequence[int], fps: float) -> None:
    """Join videos of one encoder by copying their packets, without a gap between them.

    Args:
        path: file to write.
        parts: videos, in order.
        counts: frames of each.
        fps: frames per second.
    """
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart", "fflags": "bitexact"}) as container:
        stream, frames = None, 0
        for part, count in zip(parts, counts, strict=True):
            with av.open(str(part)) as source:
                given = source.streams.video[0]
                if stream is None:
                    stream = container.add_stream_from_template(given, opaque=True)
                    stream.time_base = given.time_base
                assert given.time_base is not None
                shift = round(frames / fps / given.time_base)
                for packet in source.demux(given):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    container.mux(packet)
            frames += count


def encode_picture(frame: np.ndarray) -> bytes:
    """Return a frame uint8 [H, W, 3] as a PNG file, without loss; its bytes are a function of the frame."""
    context = av.CodecContext.create("png", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.height, context.width, context.pix_fmt = frame.shape[0], frame.shape[1], "rgb24"
    context.time_base = Fraction(1)
    given = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    return b"".join(bytes(packet) for packet in (*context.encode(given), *context.encode()))


def decode_picture(data: bytes) -> np.ndarray:
    """Return the frame uint8 [H, W, 3] of a PNG file.

    Raises:
        ValueError: a damaged file.
    """
    try:
        context = av.CodecContext.create("png", "r")
        (frame,) = (*context.decode(av.Packet(data)), *context.decode())  # type: ignore[attr-defined]
    except (av.FFmpegError, ValueError) as error:
        raise ValueError(f"the picture cannot be decoded: {shortened(error)}") from None
    return frame.to_ndarray(format="rgb24")


def cut(path: Path, source: Path, begin: float, end: float) -> None:
    """Write the frames of a video from ``begin`` to before ``end`` (seconds) by copying their packets.

    The frame at ``begin`` must be a key frame, as the first frame of every episode is.
    """
    with (
        av.open(str(source)) as container,
        av.open(str(path), "w", format="mp4", options={"fflags": "bitexact"}) as target,
    ):
        given = container.streams.video[0]
        assert given.time_base is not None
        stream = target.add_stream_from_template(given, opaque=True)
        stream.time_base = given.time_base
        first, last = round(begin / given.time_base), round(end / given.time_base)
        container.seek(first, stream=given)
        for packet in container.demux(given):
            if packet.dts is None or packet.pts is None or packet.pts < first:
                continue
            if packet.pts >= last:
                break
            packet.pts, packet.dts = packet.pts - first, packet.dts - first
            packet.stream = stream
            target.mux(packet)
