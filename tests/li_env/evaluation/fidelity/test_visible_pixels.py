import numpy as np
import torch

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.evaluation.fidelity.visible_pixels import previously_visible

CPU = torch.device("cpu")
WALL = 5.0


def _path(motions):
    return np.concatenate([np.eye(4)[None], follow(np.eye(4), motions)])[None]


def test_sidestepping_along_a_wall_uncovers_its_edge():
    # one metre to the right per latent; the picture of the wall at 5 m is 10 m wide
    poses = _path([CameraMotion(right=1.0)] * 7)
    depths = np.full((1, 8, 96, 128), WALL, np.float16)
    seen = previously_visible(depths, poses, CPU).numpy()[0]
    assert seen[0].all()
    # latents 1 to 3 are compared with the start frame, 4 to 7 with the four frames of chunk 0, the last one at 3 m
    for latent, reference in ((1, 0), (3, 0), (4, 3), (6, 3)):
        moved = latent - reference
        # 12.8 columns per metre; a pixel on the border may fall on either side
        uncovered = round(moved * 12.8)
        assert seen[latent, :, : 127 - uncovered].all()
        assert not seen[latent, :, 129 - uncovered :].any()


def test_turning_back_finds_the_start_frame_again():
    poses = _path([CameraMotion(yaw=60.0)] * 3 + [CameraMotion(yaw=-60.0)] * 3 + [CameraMotion()])
    depths = np.full((1, 8, 96, 128), WALL, np.float16)
    start_only = previously_visible(depths, poses, CPU, earlier_frames=1).numpy()[0]
    assert start_only[6].all() and not start_only[3].any()
    assert previously_visible(depths, poses, CPU)[0, 6].all()


def test_what_a_nearer_wall_hid_was_not_seen():
    poses = _path([CameraMotion()] * 7)
    depths = np.full((1, 8, 96, 128), WALL, np.float16)
    depths[0, :4, :, :64] = 1.0
    seen = previously_visible(depths, poses, CPU).numpy()[0]
    assert not seen[5, :, :62].any()
    assert seen[5, :, 66:].all()


def test_steps_of_the_depth_levels_do_not_matter():
    generator = np.random.default_rng(0)
    poses = _path([CameraMotion(forward=0.25)] * 7)
    depths = WALL - 0.25 * np.arange(8)[None, :, None, None] + generator.uniform(-0.11, 0.11, (1, 8, 96, 128))
    assert previously_visible(depths.astype(np.float16), poses, CPU).float().mean() > 0.999
