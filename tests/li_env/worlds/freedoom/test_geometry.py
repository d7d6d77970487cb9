import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from li_env.accel.geometry.camera import CameraMotion, move
from li_env.worlds.freedoom.geometry import FEATURES, camera_tables, planar_poses, relative_planar, token_features
from li_env.worlds.freedoom.sizes import LARGE, SMALL

angles = st.floats(-180, 180)
metres = st.floats(-30, 30)


@given(yaw=angles, right=metres, forward=metres, turn=angles, step=metres)
def test_planar_pose_agrees_with_matrices(yaw: float, right: float, forward: float, turn: float, step: float) -> None:
    reference = move(np.eye(4), CameraMotion(yaw=yaw, right=right, forward=forward))
    pose = move(reference, CameraMotion(yaw=turn, forward=step))
    planar = planar_poses(np.stack([reference, pose]), reference)
    np.testing.assert_allclose(planar[0], 0, atol=1e-9)
    # A turn by a, then a step: the new place lies at (sin a, cos a) * step.
    radians = np.radians(turn)
    np.testing.assert_allclose(planar[1, :2], [np.sin(radians) * step, np.cos(radians) * step], atol=1e-6)
    np.testing.assert_allclose(np.sin(planar[1, 2] - radians), 0, atol=1e-9)


@given(st.lists(st.tuples(metres, metres, angles), min_size=2, max_size=5))
def test_relative_planar_is_planar_poses_in_torch(places: list[tuple[float, float, float]]) -> None:
    matrices = [move(move(np.eye(4), CameraMotion(right=x, forward=z)), CameraMotion(yaw=yaw)) for x, z, yaw in places]
    expected = planar_poses(np.stack(matrices), matrices[0])
    planar = torch.tensor([[x, z, np.radians(yaw)] for x, z, yaw in places], dtype=torch.float64)
    ours = relative_planar(planar, planar[0]).numpy()
    np.testing.assert_allclose(ours[:, :2], expected[:, :2], atol=1e-6)
    np.testing.assert_allclose(np.cos(ours[:, 2] - expected[:, 2]), 1, atol=1e-9)


def test_tables_have_the_documented_shapes_and_inverses() -> None:
    planar = torch.randn(2, 5, 3)
    tables = camera_tables(planar, torch.arange(5), (6, 8))
    assert tables.cos.shape == tables.sin.shape == (2, 1, 5 * 6 * 8, 32)
    assert token_features(planar, (6, 8)).shape == (2, 5, 6 * 8, FEATURES)
    product = tables.output_matrices @ tables.key_matrices
    torch.testing.assert_close(product, torch.eye(4).expand(2, 5, 4, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(tables.query_matrices, tables.output_matrices.transpose(-1, -2))


def test_camera_matrices_depend_on_relative_pose_only() -> None:
    """Check that the product of a query of frame i and a key of frame j does not change when both are moved."""
    planar = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 2.0, 0.4]]])
    moved = relative_planar(planar, torch.tensor([3.0, -2.0, 0.7]))
    pairs = []
    for poses in (planar, moved):
        tables = camera_tables(poses, torch.arange(2), SMALL.token_grid)
        pairs.append(tables.output_matrices[0, 0] @ tables.key_matrices[0, 1])
    torch.testing.assert_close(pairs[0], pairs[1], atol=1e-5, rtol=1e-5)


def test_a_turn_moves_the_rays_by_that_angle() -> None:
    still, turned = torch.zeros(1, 1, 3), torch.tensor([[[0.0, 0.0, 0.5]]])
    a, b = (token_features(poses, SMALL.token_grid)[0, 0] for poses in (still, turned))
    yaw = torch.atan2(a[:, 0], a[:, 4]), torch.atan2(b[:, 0], b[:, 4])
    assert (yaw[1] - yaw[0]).numpy() == pytest.approx(0.5, abs=1e-5)


def test_every_size_sees_the_same_view_in_the_same_positions() -> None:
    """Rows count from 0 in the small size; two rows of tokens of the large one lie where one lies there."""
    still = torch.zeros(1, 1, 3)
    rows = {}
    for size in (SMALL, LARGE):
        tables, (height, width) = camera_tables(still, torch.arange(1), size.token_grid), size.token_grid
        rows[size.name] = torch.atan2(tables.sin, tables.cos)[0, 0, :, 3].view(height, width)[:4, 0].tolist()
    assert rows["small"] == pytest.approx([0, 1, 2, 3], abs=1e-6)
    assert rows["large"] == pytest.approx([-0.25, 0.25, 0.75, 1.25], abs=1e-6)
    slopes = {size.name: token_features(still, size.token_grid)[0, 0, :, -1] for size in (SMALL, LARGE)}
    assert float(slopes["small"][0]) == pytest.approx(-(0.5 - 1 / 12) / 0.8)
    assert float(slopes["large"][0]) == pytest.approx(-(0.5 - 1 / 24) / 0.8)
