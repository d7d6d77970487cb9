"""The world that ``hy_worldplay_h200.py`` measures: random weights, two trajectories, requests, counted operations."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.accel.world import ChunkRequest
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.parts import random_parts
from li_env.worlds.hy_worldplay.world import GRID, HYWorldPlayScene, HYWorldPlayWorld

TRAJECTORIES = ("left-31, right-32", "w-31, s-32")


@dataclass(frozen=True)
class Bench:
    """A world and how often to repeat."""

    world: HYWorldPlayWorld
    repeats: int
    chunks: int

    @property
    def device(self) -> torch.device:
        return self.world.device

    def scene(self) -> HYWorldPlayScene:
        """Return the scene of a grey image."""
        image = np.full((*self.world.spec.frame_size, 3), 128, dtype=np.uint8)
        return self.world.start([image], ["a street"])[0]

    def poses(self, trajectory: str) -> np.ndarray:
        """Poses [N, 4, 4] along a trajectory."""
        return np.concatenate([np.eye(4)[None], follow(np.eye(4), self.motions(trajectory))])

    def motions(self, trajectory: str) -> tuple[CameraMotion, ...]:
        """Return the motions of ``self.chunks`` whole chunks at most; one motion per latent after the first."""
        return parse_trajectory(trajectory, self.world.spec.motion)[: 4 * self.chunks - 1]

    def plans(self, preset: str, trajectory: str) -> list[ChunkPlan]:
        """Return the plans along a trajectory."""
        poses = self.poses(trajectory)
        planner = Planner(self.world.spec, AccelConfig.preset(preset), self.world.view_overlap)
        starts = range(0, len(poses), 4)
        return planner.plan([PoseTrack(poses[:start]) for start in starts], [poses[s : s + 4] for s in starts])

    def request(self, scene: HYWorldPlayScene, plan: ChunkPlan, poses: np.ndarray) -> ChunkRequest:
        """Make the request of a chunk with random latents."""
        generator = torch.Generator(self.device).manual_seed(0)
        now, chosen = 4 * plan.chunk, list(plan.context)
        shape = self.world.spec.latent_shape
        still = CameraMotion(forward=0.08)
        return ChunkRequest(
            scene=scene,
            plan=plan,
            poses=poses[now : now + 4],
            motions=(still,) * (4 if plan.chunk else 3),
            context=torch.randn(len(chosen), *shape, generator=generator, device=self.device),
            context_poses=poses[chosen],
            noise=torch.randn(4, *shape, generator=generator, device=self.device),
            context_motions=(still,) * len(chosen),
        )


def make_bench(arguments: argparse.Namespace) -> Bench:
    """Make a world of the real shape, or a toy one."""
    device = torch.device(arguments.device)
    if arguments.tiny:
        config = HYWorldPlayConfig(4, 64, 2, 3, 2.0, (8, 12, 12), text_width=8, vision_width=8, byt5_widths=(8, 8, 8))
        parts = random_parts(config, device, torch.float32, text_tokens=9)
        return Bench(HYWorldPlayWorld(parts, device, (6, 8)), 1, 8)
    parts = random_parts(HYWorldPlayConfig(), device, torch.bfloat16)
    return Bench(HYWorldPlayWorld(parts, device, GRID), arguments.repeats, 16)


def operations(bench: Bench, plan: ChunkPlan, text: int) -> dict[str, float]:
    """TFLOP of a chunk: of linear layers, and of attention for the tiles that it looks at."""
    config, (rows, columns) = bench.world.parts.model.sizes, bench.world.spec.token_grid
    own, history = 4 * rows * columns, len(plan.context) * rows * columns
    width, depth = config.hidden_size, config.depth
    linear = 2 * (5 + 2 * config.mlp_ratio) * width**2 * depth * 1e-12
    pair = 8 * width * 1e-12  # two products in two branches
    dense_blocks = 1 if plan.attention.kind == "block_sparse" and plan.attention.dense_first_block else 0
    decode, context = (
        plan.attention.decode_ratio * (depth - dense_blocks) + dense_blocks,
        plan.attention.context_ratio * (depth - 1 - dense_blocks) + dense_blocks,
    )
    step = pair * own * ((text + own) * depth + history * decode)
    prefill = pair * history * (text * (depth - 1) + history * context)
    return {"linear": linear * (history + plan.steps * own), "attention": prefill + plan.steps * step}
