"""Step of a batch of episodes that is queued on the device, and its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch

from li_env.accel.history import History
from li_env.accel.runtime.ambient import own_torch_state
from li_env.accel.runtime.chunk import ChunkResult, Frames, GenerationState
from li_env.accel.runtime.clock import StageClock
from li_env.accel.runtime.keeping import kept_work, with_reused
from li_env.accel.runtime.latent_change import examine, smoothed
from li_env.accel.runtime.requests import PlannedRequests
from li_env.accel.world import DecodeStream

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, eq=False)
class PendingStep(Generic[Outcome]):
    """Step whose chunks a GPU may still be making; `wait` ends it. Nothing of it may be read before.

    Attributes:
        states: the episodes before the step; they also keep alive what the GPU reads.
        requests: the planned chunks.
        made: latents as the world makes them, per episode.
        latents: latents repaired where not finite.
        histories: histories with the new latents.
        frames: of every episode.
        streams: of the decoder.
        broken: whether a realised motion was not finite.
        smoothing: weight of the newest latent change of every episode.
        outcome: what the work beside the device returned.
        clock: of the step's stages.
        ready: event after the last work of the step; None without a GPU.
        device: of the world.
        device_frames: whether frames stay there.
    """

    states: Sequence[GenerationState]
    requests: PlannedRequests
    made: Sequence[torch.Tensor]
    latents: Sequence[torch.Tensor]
    histories: Sequence[History]
    frames: Sequence[Frames]
    streams: Sequence[DecodeStream]
    broken: Sequence[bool]
    smoothing: Sequence[float]
    outcome: Outcome
    clock: StageClock
    ready: torch.cuda.Event | None
    device: torch.device
    device_frames: bool

    def wait(self) -> tuple[list[GenerationState], list[ChunkResult], Outcome]:
        """Wait for the device and return the states after the step, the results, and the outcome of the work."""
        with own_torch_state(), torch.inference_mode():
            if self.ready is not None:
                torch.cuda.current_stream(self.device).wait_event(self.ready)
            # First wait for the device: until here a GPU has worked beside the host.
            finite, changes = examine(self.made, [state.history.last_chunk for state in self.states])
            outside = self.frames if self.device_frames else _on_host(self.frames)
            self.clock.finish()
        milliseconds = self.clock.milliseconds
        results = [
            ChunkResult(
                *(with_reused(plan, sharing), chunk.poses, chunk.motions, chunk.commanded),
                *(frames, latents, broken or not whole, dict(milliseconds)),
            )
            for plan, sharing, chunk, frames, latents, broken, whole in zip(
                *(self.requests.made_plans(), self.requests.sharing, self.requests.chunks, outside, self.latents),
                *(self.broken, finite),
                strict=True,
            )
        ]
        following = [
            GenerationState(
                scene=state.scene,
                history=history.with_latent_change(smoothed(state.history.latent_change, change, weight)),
                stream=stream,
                seed=state.seed,
                pose=result.poses[-1].copy(),
                chunk=state.chunk + 1,
                degenerated=state.degenerated or result.degenerated,
                config=state.config,
                bank=state.bank,
                kept=kept_work(state, result, sharing),
            )
            for state, stream, result, history, change, weight, sharing in zip(
                *(self.states, self.streams, results, self.histories, changes, self.smoothing),
                self.requests.sharing,
                strict=True,
            )
        ]
        return following, results, self.outcome


def _on_host(frames: Sequence[Frames]) -> Sequence[np.ndarray]:
    """Copy tensors to arrays; from a GPU in one copy through pinned memory, several times faster than a plain copy."""
    if not frames or isinstance(frames[0], np.ndarray):
        return frames
    if not frames[0].is_cuda:
        return [each.numpy() for each in frames]
    joined = torch.cat(tuple(frames))
    host = torch.empty(joined.shape, dtype=joined.dtype, pin_memory=True)
    host.copy_(joined, non_blocking=True)
    torch.cuda.current_stream(joined.device).synchronize()
    return np.split(host.numpy(), np.cumsum([each.shape[0] for each in frames])[:-1])
