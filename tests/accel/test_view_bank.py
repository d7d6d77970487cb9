from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.accel.view_bank import ViewBank


def test_pieces_are_parts_of_the_one_tensor() -> None:
    latents = torch.arange(24.0).view(3, 2, 2, 2)
    bank = ViewBank(latents, np.tile(np.eye(4), (3, 1, 1)), 8.0, "room", "hash")
    assert torch.equal(torch.cat(bank.pieces([2, 0])), latents[[2, 0]])
    assert all(each.data_ptr() in range(latents.data_ptr(), latents.data_ptr() + 96) for each in bank.pieces([0, 1, 2]))
    assert (len(bank), bank.nbytes, bank.name, bank.content_hash) == (3, 96, "room", "hash")
    with pytest.raises(ValueError, match="read-only"):
        bank.poses[0, 0, 0] = 2.0


@pytest.mark.parametrize(("latents", "poses"), [(3, 2), (0, 0)])
def test_one_pose_per_latent(latents: int, poses: int) -> None:
    with pytest.raises(ValueError, match="use one per pose and at least one"):
        ViewBank(torch.zeros(latents, 1, 1, 1), np.zeros((poses, 4, 4)), 8.0)
