"""CUDA streams of a step: chunks are made on a stream of their own.

The caller's stream keeps what an agent waits for: the motion head, observations, its policy. So the host can finish the
step of some episodes, and begin their next one, while a GPU makes the chunks of others.

A stream begins a step when the caller's stream has done what was asked of it until then, and the caller's stream waits
for the end of the step before it reads. This order also keeps memory safe: torch hands out freed memory again on the
stream that it came from, and here nobody reads it later on the other stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_STREAMS: dict[int, torch.cuda.Stream] = {}


@contextmanager
def chunk_stream(device: torch.device) -> Iterator[None]:
    """Queue work inside the ``with`` statement on the device's stream for chunks, after all that is queued so far.

    All engines share one stream per GPU: two chunks at the same time would be no faster. Elsewhere nothing changes.
    """
    if device.type != "cuda":
        yield
        return
    index = torch.cuda.current_device() if device.index is None else device.index
    if index not in _STREAMS:
        _STREAMS[index] = torch.cuda.Stream(index)
    stream = _STREAMS[index]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield


def queued_so_far(device: torch.device) -> torch.cuda.Event | None:
    """Return an event at the end of the present stream's queue; None without a GPU."""
    return torch.cuda.current_stream(device).record_event() if device.type == "cuda" else None
