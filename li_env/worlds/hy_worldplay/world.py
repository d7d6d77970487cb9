"""The HY-WorldPlay world behind the world contract."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from li_env.accel.geometry.camera import STILL, MotionLimits
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.world import BaseWorld, ChunkRequest, DecodeStream, StartViews
from li_env.accel.world_spec import WorldSpec
from li_env.kernels.block_sparse_attention import HEAD_WIDTHS
from li_env.worlds.common.step_reuse import step_reuse
from li_env.worlds.common.stub_codec import PIXELS
from li_env.worlds.common.tile_attention import ChunkShape, SparseAttention
from li_env.worlds.common.transformer import CameraTables
from li_env.worlds.common.transformer_fused import Context, context_pass, denoise
from li_env.worlds.hy_worldplay.cameras import FOCAL, camera_tables, world_to_camera
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.labels import motion_labels
from li_env.worlds.hy_worldplay.parts import Parts
from li_env.worlds.hy_worldplay.sampler import CONTEXT_TIME, euler, noise_levels
from li_env.worlds.hy_worldplay.text import TextCache
from li_env.worlds.hy_worldplay.view_overlap import BallOverlap, ball_points

_log = logging.getLogger(__name__)

GRID = (30, 52)
"""Rows and columns of tokens of a 480 x 832 frame."""

MOTION = MotionLimits(translation=0.08, rotation=3.0, pitch=True)
"""Motion of one latent that the model was trained with."""

VIEW_DISTANCE = 8.0
OVERLAP_POINTS = 50_000

SPARSE_MIN_CONTEXT = 4
"""Measured on an H200 (``calls`` in benchmarks/hy_worldplay_h200.json): sparse is faster from there on."""


def world_spec(config: HYWorldPlayConfig, grid: tuple[int, int] = GRID) -> WorldSpec:
    """Return the constants of the world for a model of these sizes on latents of ``grid`` = (rows, columns)."""
    sparse = HEAD_WIDTHS[0] <= config.head_dim <= HEAD_WIDTHS[1] and config.head_dim % 8 == 0
    return WorldSpec(
        name="hy_worldplay",
        chunk_latents=4,
        first_chunk_latents=4,
        latent_frames=4,
        frame_size=(PIXELS * grid[0], PIXELS * grid[1]),
        latent_shape=(config.latent_channels, *grid),
        token_grid=grid,
        fps=24.0,
        focal=FOCAL,
        view_distance=VIEW_DISTANCE,
        sigmas=noise_levels(4),
        context_latents=20,
        temporal_latents=12,
        memory_group=4,
        tile_shape=(4, 8, 4),
        motion=MOTION,
        length_unit="unit",
        supports_block_sparse=sparse,
        supports_rival_attention=sparse,
        supports_step_reuse=True,
        sparse_min_context=SPARSE_MIN_CONTEXT,
    )


@dataclass(frozen=True, eq=False)
class HYWorldPlayScene:
    """Constants of an episode: the text cache, and the start image's latent [C, h, w]."""

    text: TextCache
    image: torch.Tensor


class HYWorldPlayWorld(BaseWorld[HYWorldPlayScene, DecodeStream]):
    """The published 8B action model: any start image and prompt.

    Chunks are generated one episode after another: a single one keeps a GPU busy.

    Args:
        parts: model, autoencoder and text side.
        device: where the parts run.
        grid: rows and columns of a latent.
        coarse_cameras: make camera matrices in bfloat16, as the original does, instead of float32.
        start_frames: uint8 [n, H, W, 3] to start from where no image is given; none by default.
    """

    def __init__(
        self,
        parts: Parts,
        device: torch.device,
        grid: tuple[int, int] = GRID,
        coarse_cameras: bool = False,
        start_frames: np.ndarray | None = None,
    ) -> None:
        self.device = device
        self.start_views = StartViews(() if start_frames is None else start_frames)
        self.parts = parts
        self.spec = world_spec(parts.model.sizes, grid)
        self.view_overlap = BallOverlap(ball_points(OVERLAP_POINTS, seed=0))
        """The measure that the model's memory was trained with."""
        self._coarse = coarse_cameras
        self._warm = device.type != "cuda"

    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[HYWorldPlayScene]:
        """Encode images and prompts; the first start on a GPU also warms up."""
        scenes = [
            HYWorldPlayScene(self.parts.remember(prompt, image), self.parts.codec.encode_image(image).float())
            for image, prompt in zip(images, prompts, strict=True)
        ]
        if scenes and not self._warm:
            self.warm_up(scenes[0])
            self._warm = True
        return scenes

    def warm_up(self, scene: HYWorldPlayScene) -> None:
        """Run every kernel once, so that compiling and loading them does not stall the first steps."""
        began = time.perf_counter()
        poses, stills = np.tile(np.eye(4), (4, 1, 1)), (STILL,) * 4
        zeros = torch.zeros(4, *self.spec.latent_shape, device=self.device)
        plans = [AttentionPlan()] + [AttentionPlan("block_sparse", 0.5, 0.5)] * self.spec.supports_block_sparse
        for attention in plans:
            plan = ChunkPlan(1, "warmup", 0.0, (0, 1, 2, 3), (), (1.0, 0.0), attention, "Warming up.")
            latents = self._generate(ChunkRequest(scene, plan, poses, stills, zeros, poses, zeros, stills))
        stream: DecodeStream = None
        for _ in range(2):
            _, (stream,) = self.decode([latents], [stream])
        _log.info("world %s warmed up in %.1f s", self.spec.name, time.perf_counter() - began)

    def encode_views(self, images: np.ndarray) -> torch.Tensor:
        """Encode each view as a still clip: one latent of four equal frames, as the memory holds them."""
        return torch.stack([self.parts.codec.encode_still(image).float() for image in images])

    def execution_name(self) -> str:
        return str(self.parts.model.final_layer.linear.weight.dtype).removeprefix("torch.")

    def encoder_key(self) -> str:
        return self.parts.codec.encoder_key()

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        return [self._generate(request) for request in requests]

    def decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        return self.parts.codec.decode_batch(latents, streams)

    def _generate(self, request: ChunkRequest) -> torch.Tensor:
        """Generate the latents [n, C, h, w] float32 of one chunk."""
        history = len(request.context)
        sparse = self._sparse(request)
        context = self._context(request, sparse) if history else None
        first = request.plan.chunk == 0
        # The first latent of an episode is the start frame: no motion led there.
        labels = motion_labels(request.motions)
        action = self._row([0, *labels] if first else labels)
        tables = self._tables(request, request.poses, history)
        known = self._known(request.scene, len(request.poses), 0 if first else None)
        model, text = self.parts.model, request.scene.text
        tiles = None if sparse is None else sparse.denoising
        reuse = step_reuse([request], self.spec)

        def velocity(x: torch.Tensor, timestep: float) -> torch.Tensor:
            tokens = self._tokens(torch.cat((x, known), dim=1))
            times = torch.full((1, len(x)), timestep, device=self.device)
            out = denoise(model, tokens, times, tables, context, text, action, tiles, reuse)
            return out[0].transpose(-1, -2).unflatten(-1, self.spec.token_grid)

        made = euler(velocity, request.noise, request.plan.sigmas)
        if reuse is not None:
            reuse.report()
        return made

    def _context(self, request: ChunkRequest, sparse: SparseAttention | None) -> Context:
        indices, count = request.plan.context, len(request.context)
        start = len(request.plan.views) + indices.index(0) if 0 in indices else None
        known = self._known(request.scene, count, start)
        tokens = self._tokens(torch.cat((request.context.float(), known), dim=1))
        times = torch.full((1, count), CONTEXT_TIME, device=self.device)
        tables = self._tables(request, request.context_poses, 0)
        action = self._row(motion_labels(request.context_motions))
        tiles = None if sparse is None else sparse.context
        return context_pass(self.parts.model, tokens, times, tables, request.scene.text, action, tiles)

    def _sparse(self, request: ChunkRequest) -> SparseAttention | None:
        plan, history = request.plan.attention, len(request.context)
        if plan.kind == "dense" or not history:
            return None
        spec, text = self.spec, len(request.scene.text)
        shape = ChunkShape(spec.token_grid, spec.tile_shape, history, len(request.poses), 1, text)
        return SparseAttention(plan, shape, self.device)

    def _tables(self, request: ChunkRequest, poses: np.ndarray, first_slot: int) -> CameraTables:
        matrices = world_to_camera(poses, request.origin).to(self.device)
        focal = torch.tensor(self.spec.focal, device=self.device)
        return camera_tables(self.parts.model.sizes, matrices, focal, self.spec.token_grid, first_slot, self._coarse)

    def _known(self, scene: HYWorldPlayScene, count: int, start: int | None) -> torch.Tensor:
        """Make the conditioning [count, C + 1, h, w]: image latent and mask at the first latent, else zeros."""
        channels, rows, columns = scene.image.shape
        known = torch.zeros(count, channels + 1, rows, columns, device=self.device)
        if start is not None:
            known[start, :channels] = scene.image
            known[start, channels] = 1.0
        return known

    def _tokens(self, latents: torch.Tensor) -> torch.Tensor:
        """Flatten latents [T, C, h, w] to tokens [1, T, h * w, C] in the model's type."""
        weight = self.parts.model.final_layer.linear.weight
        return latents.flatten(2).transpose(1, 2)[None].to(weight.dtype)

    def _row(self, labels: Sequence[int]) -> torch.Tensor:
        return torch.tensor([labels], dtype=torch.float32, device=self.device)
