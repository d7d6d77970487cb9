"""Rotation tables and camera matrices against the original code."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from li_env.accel.geometry.camera import CameraMotion, follow, inverse
from li_env.kernels.rope_prope import join_branches, split_branches
from li_env.worlds.common.transformer import CameraTables
from li_env.worlds.common.transformer_fused import Tables
from li_env.worlds.hy_worldplay.cameras import FOCAL, camera_tables, rotation, world_to_camera
from tests.li_env.worlds.hy_worldplay.tiny import close, facts, tensors, tiny_config


def stored_tables(frames: list[int], first_slot: int = 0) -> CameraTables:
    given = tensors()
    lens = given["cam/Ks"][0, frames]
    focal = torch.stack((lens[:, 0, 0], lens[:, 1, 1]), dim=-1)
    grid = tuple(facts()["spec"]["latent_hw"])
    return camera_tables(tiny_config(), given["cam/viewmats"][0, frames], focal, grid, first_slot)


def test_rotation_tables() -> None:
    grid = tuple(facts()["spec"]["latent_hw"])
    for name in [key for key in tensors() if re.fullmatch(r"rope/cos_t\d+", key)]:
        frames = int(name.removeprefix("rope/cos_t"))
        cos, sin = rotation(tiny_config(), grid, 0, frames, torch.device("cpu"))
        # The original repeats every angle for both channels of a pair.
        torch.testing.assert_close(cos, tensors()[name][:, ::2], atol=1e-6, rtol=0)
        torch.testing.assert_close(sin, tensors()[name.replace("cos", "sin")][:, ::2], atol=1e-6, rtol=0)


def test_later_slots_rotate_on() -> None:
    whole = rotation(tiny_config(), (2, 3), 0, 5, torch.device("cpu"))
    later = rotation(tiny_config(), (2, 3), 3, 2, torch.device("cpu"))
    for all_slots, some in zip(whole, later, strict=True):
        assert torch.equal(all_slots[18:], some)


def test_camera_branch() -> None:
    """Tokens of the stored example belong to the cameras that its description names."""
    given = tensors()
    described = re.findall(r"(\d+)-(\d+)(?: use)? camera (\d+)", facts()["tensors"]["prope/in_q"])
    cameras = [int(camera) for _, _, camera in described]
    tables = Tables.of(stored_tables(cameras), None)
    frames = torch.cat([torch.full((int(b) - int(a) + 1,), number) for number, (a, b, _) in enumerate(described)]).int()
    worlds, heads, tokens, width = given["prope/in_q"].shape
    assert tokens == len(frames)
    for kind, matrices in (("q", tables.query), ("k", tables.key), ("v", tables.key)):
        flat = given[f"prope/in_{kind}"].transpose(1, 2).flatten(2).contiguous()
        out = torch.empty(2 * worlds, heads, tokens, width)
        split_branches(flat, out, matrices, frames)
        close(out[worlds:], f"prope/out_{kind}", 2e-5)
    both = given["prope/in_v"].repeat(2, 1, 1, 1)
    joined = join_branches(both, tables.output, frames)[1]
    close(joined.unflatten(-1, (heads, width)).transpose(1, 2), "prope/out_o", 2e-5)


def test_default_lens_is_that_of_the_original() -> None:
    lens = np.array(facts()["poses"][0]["K"])
    assert (lens[0, 0], lens[1, 1]) == pytest.approx(FOCAL, abs=1e-12)


def poses() -> np.ndarray:
    return follow(np.eye(4), [CameraMotion(yaw=7, pitch=3, right=0.1, forward=0.4)] * 6)


def test_poses_are_seen_from_the_start_of_the_episode() -> None:
    """Give an episode that starts elsewhere the same matrices, without the rounding of large numbers."""
    start = follow(np.eye(4), [CameraMotion(yaw=50, right=4000.0, forward=7000.0)])[0]
    here, there = world_to_camera(poses(), np.eye(4)), world_to_camera(start @ poses(), start)
    torch.testing.assert_close(here, there, atol=1e-6, rtol=0)
    torch.testing.assert_close(here.double(), torch.from_numpy(inverse(poses())), atol=1e-6, rtol=0)


def test_coarse_matrices_are_the_original_s_rounding() -> None:
    """P P^-1 is off by up to 3.8e-3 there (docs/spec/hy_worldplay.md, section 3.7)."""
    matrices = world_to_camera(poses(), np.eye(4))
    exact, coarse = (
        camera_tables(tiny_config(), matrices, torch.tensor(FOCAL), (1, 1), 0, coarse) for coarse in (False, True)
    )
    for tables, least, most in ((exact, 0.0, 1e-6), (coarse, 1e-4, 2e-2)):
        product = tables.output_matrices @ tables.key_matrices
        assert least <= float((product - torch.eye(4)).abs().max()) <= most
    assert torch.equal(coarse.output_matrices, coarse.output_matrices.bfloat16().float())
