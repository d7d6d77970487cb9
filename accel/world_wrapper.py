"""Wrapper around a world, for worlds that change a part of another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.plan import ChunkPlan
from li_env.accel.world import BaseWorld, ChunkRequest, DecodeStream, MotionRequest, RequestStream, Scene


class WorldWrapper(BaseWorld[Scene, DecodeStream]):
    """World that passes every call on to the world inside.

    A subclass overrides what it changes. If a subclass overrides `generate`, `decode` or `encode`, then
    `generate_stream`, `decode_on_device` or `encode_views` calls the override, so that no caller bypasses the change.

    Args:
        world: the world inside.
    """

    def __init__(self, world: BaseWorld) -> None:
        self.world, self.spec, self.device = world, world.spec, world.device
        self.view_overlap, self.start_views = world.view_overlap, world.start_views
        self.ground_truth, self.episodes_file = world.ground_truth, world.episodes_file
        self.step_output, self.costs = world.step_output, world.costs
        self.decodes_on_device, self.needs_start_frame = world.decodes_on_device, world.needs_start_frame

    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[Scene]:
        return self.world.start(images, prompts)

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        return self.world.feasible_motions(requests)

    def follow_many(self, poses: np.ndarray, motions: np.ndarray) -> np.ndarray:
        return self.world.follow_many(poses, motions)

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        return self.world.generate(requests)

    def generate_stream(self, requests: RequestStream) -> list[torch.Tensor]:
        if type(self).generate is not WorldWrapper.generate:
            return super().generate_stream(requests)
        return self.world.generate_stream(requests)

    def decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        return self.world.decode(latents, streams)

    def decode_on_device(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream]
    ) -> tuple[list[torch.Tensor], list[DecodeStream]]:
        if type(self).decode is not WorldWrapper.decode:
            return super().decode_on_device(latents, streams)
        return self.world.decode_on_device(latents, streams)

    def encode(self, frames: np.ndarray) -> torch.Tensor:
        return self.world.encode(frames)

    def encode_views(self, images: np.ndarray) -> torch.Tensor:
        if type(self).encode is not WorldWrapper.encode:
            return super().encode_views(images)
        return self.world.encode_views(images)

    def encoder_key(self) -> str:
        return self.world.encoder_key()

    def start_from_views(self, prompts: Sequence[str]) -> list[Scene]:
        return self.world.start_from_views(prompts)

    def render_start(self, prompt: str, pose: np.ndarray) -> np.ndarray | None:
        return self.world.render_start(prompt, pose)

    def working_bytes(self, num_envs: int) -> int:
        return self.world.working_bytes(num_envs)

    def kept_bytes(self) -> int:
        return self.world.kept_bytes()

    def micro_batch(self, num_envs: int) -> int:
        return self.world.micro_batch(num_envs)

    def model_calls(self, plans: Sequence[ChunkPlan], num_envs: int) -> list[list[int]]:
        return self.world.model_calls(plans, num_envs)

    def execution_name(self) -> str:
        return self.world.execution_name()

    def close(self) -> None:
        self.world.close()
