"""Rollouts on stored noise: planner and world, chunk by chunk, without an engine that draws noise of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.accel.world import ChunkRequest
from li_env.worlds.common.stub_codec import StubCodec
from li_env.worlds.hy_worldplay.conditioning import Conditioning
from li_env.worlds.hy_worldplay.parts import Parts
from li_env.worlds.hy_worldplay.sampler import noise_levels
from li_env.worlds.hy_worldplay.view_overlap import BallOverlap
from li_env.worlds.hy_worldplay.world import HYWorldPlayScene, HYWorldPlayWorld
from tests.li_env.worlds.hy_worldplay.tiny import tiny_config, tiny_model


@dataclass(frozen=True)
class Inputs:
    """What a stored rollout starts from; ``noise`` and ``known`` are [1, C, N, h, w] and [1, C + 1, N, h, w]."""

    conditioning: Conditioning
    motions: tuple[CameraMotion, ...]
    noise: torch.Tensor
    known: torch.Tensor
    points: np.ndarray


def tiny_world(grid: tuple[int, int], coarse: bool = False) -> HYWorldPlayWorld:
    device = torch.device("cpu")

    def remember(prompt: str, image: np.ndarray):
        raise AssertionError("the stored inputs are no prompts")

    parts = Parts(tiny_model(), StubCodec(tiny_config().latent_channels, device), remember)
    return HYWorldPlayWorld(parts, device, grid, coarse)


def roll_out(
    inputs: Inputs, config: AccelConfig, world: HYWorldPlayWorld | None = None, steps: int = 4
) -> tuple[torch.Tensor, list[ChunkPlan]]:
    """(latents [1, C, N, h, w], plans)."""
    noise, known = inputs.noise[0].transpose(0, 1), inputs.known[0].transpose(0, 1)
    assert not known[1:].any() and (known[0, -1] == 1).all(), "only the first latent is known"
    world = world or tiny_world(tuple(noise.shape[-2:]))
    scene = HYWorldPlayScene(tiny_model().text_cache(inputs.conditioning), known[0, :-1])
    # The stored heads are narrower than our block-sparse kernels take; the stub of the release takes any.
    spec = replace(world.spec, supports_block_sparse=True, sigmas=noise_levels(steps))
    planner = Planner(spec, config, BallOverlap(inputs.points))
    poses = np.concatenate([np.eye(4)[None], follow(np.eye(4), inputs.motions)])
    motions = (CameraMotion(), *inputs.motions)
    made, plans = torch.zeros(0, *noise.shape[1:]), []
    for start in range(0, len(noise), 4):
        now = slice(start, start + 4)
        (plan,) = planner.plan([PoseTrack(poses[:start])], [poses[now]])
        chosen = list(plan.context)
        request = ChunkRequest(
            scene=scene,
            plan=plan,
            poses=poses[now],
            motions=motions[now] if start else motions[1:4],
            context=made[chosen],
            context_poses=poses[chosen],
            noise=noise[now],
            context_motions=tuple(motions[index] for index in chosen),
        )
        made = torch.cat((made, world.generate([request])[0]))
        plans.append(plan)
    return made.transpose(0, 1)[None], plans
