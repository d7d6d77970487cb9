"""The freedoom world behind the `WorldModel` contract."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from li_env.accel.camera import CameraMotion
from li_env.accel.world import ChunkRequest, DecodeStream, MotionLimits, MotionRequest, WorldSpec
from li_env.worlds.freedoom.autoencoder import Autoencoder, AutoencoderConfig
from li_env.worlds.freedoom.geometry import COLUMNS, FOCAL, ROWS, planar_poses
from li_env.worlds.freedoom.model import LATENT_CHANNELS, Cameras, DynamicsModel, sample_chunk
from li_env.worlds.freedoom.motion import MotionHead
from li_env.worlds.freedoom.start_states import StartStates
from li_env.worlds.freedoom.weights import load_weights, packaged_folder
from li_env.worlds.sparse import ChunkShape, SparseAttention

SPARSE_MIN_CONTEXT = 21
"""One more than the largest context: block-sparse attention does not pay in a world this small, so planners stay dense.

Median ms per chunk on two CPU cores, dense and sparse with the tiles below (benchmarks/freedoom_sparse_crossover.json):
8 context latents 462, 527; 20 latents 748, 794; 32 latents, beyond the budget, 1157, 1098. Other tile shapes differ
from these by less than 5 %; none beats dense at 20 latents.
"""

SPEC = WorldSpec(
    name="freedoom",
    chunk_latents=4,
    first_chunk_latents=4,
    latent_frames=1,
    frame_size=(96, 128),
    latent_shape=(LATENT_CHANNELS, ROWS, COLUMNS),
    token_grid=(ROWS, COLUMNS),
    fps=8.0,
    focal=FOCAL,
    view_distance=12.0,
    sigmas=(1.0, 0.75, 0.5, 0.25, 0.0),
    context_latents=20,
    temporal_latents=12,
    memory_group=4,
    tile_shape=(4, 6, 4),
    motion=MotionLimits(translation=0.75, rotation=15.0, pitch=False),
    length_unit="metre",
    supports_block_sparse=True,
    sparse_min_context=SPARSE_MIN_CONTEXT,
)

CONTEXT_NOISE = 0.0
"""Noise level that finished latents are declared to have when they become context."""


@dataclass(frozen=True, eq=False)
class FreedoomScene:
    """What lasts an episode: the start frame's latent [C, 6, 8]."""

    start: torch.Tensor


class FreedoomWorld:
    """Random rooms and mazes in Freedoom textures, learned from ViZDoom.

    Runs in float32 on a CPU and in bfloat16 on a GPU. Prompts are accepted and ignored: this world has no text input.

    Args:
        device: where to run.
        folder: weights, as written by `weights.export_weights`.
    """

    spec = SPEC

    def __init__(self, device: torch.device, folder: Path) -> None:
        self.device = device
        self.dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.autoencoder = Autoencoder(AutoencoderConfig())
        self.dynamics = DynamicsModel()
        self.motion = MotionHead()
        models = {"autoencoder": self.autoencoder, "dynamics": self.dynamics, "motion": self.motion}
        load_weights(models, folder)
        for model in models.values():
            model.to(device, self.dtype).eval().requires_grad_(False)
        states = StartStates.load(packaged_folder())
        self.start_states = states
        self.start_frames = states.frames

    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[FreedoomScene]:
        """See `WorldModel.start`."""
        frames = torch.from_numpy(np.stack(images)).to(self.device)
        return [FreedoomScene(latent) for latent in self.autoencoder.encode(frames)]

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        """Commanded motions, shortened or bent where the motion head sees a wall."""
        out: list[tuple[CameraMotion, ...]] = [tuple(request.motions) for request in requests]
        for group in _groups([(len(request.recent), len(request.motions)) for request in requests]):
            members = [requests[index] for index in group]
            if not members[0].motions:
                continue
            latents, poses = zip(*(self._surroundings(member) for member in members), strict=True)
            commands = np.array([[_command(motion) for motion in member.motions] for member in members])
            feasible = self.motion.feasible(
                _tokens(torch.stack(latents)).to(self.dtype),
                self._tensor(np.stack(poses)),
                self._tensor(commands),
            ).double().cpu().numpy()  # fmt: skip
            for index, member, moves in zip(group, members, feasible, strict=True):
                out[index] = tuple(
                    _happened(motion, float(right), float(forward))
                    for motion, (_, right, forward) in zip(member.motions, moves, strict=True)
                )
        return out

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        """See `WorldModel.generate`; requests with equal context lengths, schedules and attention share a batch."""
        out: list[torch.Tensor] = [torch.empty(0)] * len(requests)
        kinds = [(len(request.context), request.plan.sigmas, request.plan.attention) for request in requests]
        for group in _groups(kinds):
            latents = self._generate([requests[index] for index in group])
            for index, chunk in zip(group, latents, strict=True):
                out[index] = chunk
        return out

    def decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        """See `WorldModel.decode`; frames are decoded one by one, so there is no stream to keep."""
        frames = self.autoencoder.decode(torch.cat(tuple(latents))).cpu().numpy()
        ends = np.cumsum([len(chunk) for chunk in latents])[:-1]
        return np.split(frames, ends), [None] * len(streams)

    def _generate(self, requests: Sequence[ChunkRequest]) -> torch.Tensor:
        """One batch of equal shape: latents [B, T, C, h, w] float32."""
        first = requests[0]
        context, known, sparse = None, None, None
        if len(first.context):
            # The context is in time order and always ends with the newest latent: that camera is the reference.
            references = [request.context_poses[-1] for request in requests]
            planar = self._planar([request.context_poses for request in requests], references)
            count = planar.shape[1]
            cameras = Cameras.of(planar, torch.arange(-count, 0, device=self.device))
            levels = torch.full(planar.shape[:2], CONTEXT_NOISE, device=self.device)
            tokens = _tokens(torch.stack([request.context for request in requests])).to(self.dtype)
            if first.plan.attention.kind == "block_sparse":
                shape = ChunkShape(self.spec.token_grid, self.spec.tile_shape, count, len(first.poses), len(requests))
                sparse = SparseAttention(first.plan.attention, shape, self.device)
            context = self.dynamics.context_pass(tokens, levels, cameras, sparse)
        else:
            references = [request.poses[0] for request in requests]
            known = _tokens(torch.stack([request.scene.start for request in requests])[:, None]).to(self.dtype)
        planar = self._planar([request.poses for request in requests], references)
        cameras = Cameras.of(planar, torch.arange(planar.shape[1], device=self.device))
        noise = _tokens(torch.stack([request.noise for request in requests])).to(self.dtype)
        clean = sample_chunk(self.dynamics, noise, known, first.plan.sigmas, cameras, context, sparse)
        return clean.float().transpose(-1, -2).unflatten(-1, (ROWS, COLUMNS))

    def _surroundings(self, request: MotionRequest) -> tuple[torch.Tensor, np.ndarray]:
        """Frames that the motion head looks at and their planar poses; the start frame before chunk 0 is made."""
        if len(request.recent):
            return request.recent, planar_poses(request.recent_poses, request.pose)
        return request.scene.start[None], np.zeros((1, 3))

    def _planar(self, poses: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> torch.Tensor:
        return self._tensor(np.stack([planar_poses(p, r) for p, r in zip(poses, references, strict=True)]))

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(self.device)


def _tokens(latents: torch.Tensor) -> torch.Tensor:
    """[..., C, h, w] -> [..., h * w, C]."""
    return latents.flatten(-2).transpose(-1, -2)


def _command(motion: CameraMotion) -> tuple[float, float, float]:
    return float(np.radians(motion.yaw)), motion.right, motion.forward


def _happened(commanded: CameraMotion, right: float, forward: float) -> CameraMotion:
    """The commanded motion itself where float32 shows no difference, else its displacement replaced."""
    if right == np.float32(commanded.right) and forward == np.float32(commanded.forward):
        return commanded
    return CameraMotion(yaw=commanded.yaw, right=right, forward=forward)


def _groups(keys: Sequence[Hashable]) -> list[list[int]]:
    """Indices of equal keys, groups in order of first appearance."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        groups[key].append(index)
    return list(groups.values())


def load(device: str = "cpu", weights: str | Path | None = None) -> FreedoomWorld:
    """Load the world; ``weights`` is a folder, by default the one shipped with the package.

    Raises:
        ValueError: missing or damaged weights.
    """
    return FreedoomWorld(torch.device(device), packaged_folder() if weights is None else Path(weights))
