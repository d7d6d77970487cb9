from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.agents.mapper.free_space_net import RAYS, REACH, FreeSpaceNet, FreeSpaceTrainer, ray_angles


def test_angles_spread_over_the_picture_not_over_the_circle():
    angles = ray_angles(90.0)
    np.testing.assert_allclose(angles, -angles[::-1])
    np.testing.assert_allclose(np.diff(np.tan(np.radians(angles))), 2 / RAYS)
    assert angles[0] > -45


def painted(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames with a dark wall whose height in each column tells how near it is, and how near that is."""
    rng = np.random.default_rng(seed)
    clearances = rng.uniform(0.5, REACH, (count, RAYS))
    rows = np.abs(np.arange(96) - 47.5)[None, :, None]
    height = 48 / (1 + np.repeat(clearances, 128 // RAYS, axis=1))[:, None]
    frames = np.where(rows < height, 40, 200).astype(np.uint8)
    return np.repeat(frames[..., None], 3, axis=-1), clearances.astype(np.float32)


def test_a_network_learns_clearances():
    torch.manual_seed(0)
    net = FreeSpaceNet((96, 128))
    seen, clearances = painted(256, 0)
    trainer = FreeSpaceTrainer(net, 150, 32, 3e-3, 0)
    frames, labels = torch.from_numpy(seen).permute(0, 3, 1, 2), torch.from_numpy(clearances)
    first = trainer.fit(frames, labels, 10)
    assert trainer.fit(frames, labels, 140) < 0.7 * first
    others, truth = painted(64, 1)
    found = net.predict(others)
    assert found.shape == (64, RAYS)
    assert float((found - torch.from_numpy(truth)).abs().mean()) < 1.0
    assert 0 <= float(found.min()) <= float(found.max()) <= REACH


def test_the_same_seed_gives_the_same_network():
    def trained() -> torch.Tensor:
        torch.manual_seed(3)
        net = FreeSpaceNet((96, 128))
        seen, clearances = painted(8, 0)
        trainer = FreeSpaceTrainer(net, 3, 4, 1e-3, 3)
        trainer.fit(torch.from_numpy(seen).permute(0, 3, 1, 2), torch.from_numpy(clearances), 3)
        return torch.cat([part.detach().ravel() for part in net.parameters()])

    assert torch.equal(trained(), trained())


def test_frames_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"frame_size=\(96, 64\) is not allowed; allowed: a multiple of 32 by 128"):
        FreeSpaceNet((96, 64))
