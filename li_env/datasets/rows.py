"""Rows of an episode: row i is frame i and the action that leads to frame i + 1.

An action is held over the frames that its step made. The last frame of a truncated episode has no action and no row;
``stop`` is one last row. The world's second copy of the start frame never leaves the environment.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from li_env.accel.geometry.camera import inverse
from li_env.accel.world_spec import WorldSpec
from li_env.datasets.episode_rows import INFOS, Column, EpisodeRows
from li_env.datasets.recorder import Recording
from li_env.frames import intrinsics
from li_env.infos import RegimeCode
from li_env.rollouts import FinishedEpisode
from li_env.tasks import PointGoal, Task

MOTION = ("yaw", "pitch", "right", "forward")


def columns_of(task: Task, action_size: int, teacher: bool) -> dict[str, Column]:
    """Return the columns of the rows, in their order.

    A policy of LeRobot reads what begins with ``observation`` or ``action``; everything else is out of its reach.
    """
    actions = ["forward", "right", "yaw", *["pitch"] * (action_size - 3 - task.can_stop > 0), *["stop"] * task.can_stop]
    goal = ("goal_distance", "goal_bearing") if isinstance(task, PointGoal) else ()
    matrix = tuple(f"{row}{column}" for row in range(4) for column in range(4))
    columns = {
        "observation.state": Column("float32", (*goal, *(f"moved_{name}" for name in MOTION))),
        "action": Column("float32", tuple(actions)),
        "next.reward": Column("float32"),
        "next.done": Column("bool"),
        "next.success": Column("bool"),
        "next.truncated": Column("bool"),
        "camera.pose": Column("float64", matrix),
        "camera.intrinsics": Column("float64", ("fx", "fy", "cx", "cy")),
        "camera.motion": Column("float64", MOTION),
        "plan.regime": Column("int64"),
        "plan.denoising_steps": Column("int64"),
        "step.index": Column("int64"),
        "step.blocked": Column("float64"),
    }
    if teacher:
        columns["teacher.action"] = Column("float32", tuple(actions))
    return columns


def make_rows(
    episode: FinishedEpisode, recording: Recording, task: Task, spec: WorldSpec, instruction: str, teacher: bool
) -> EpisodeRows:
    """Turn a finished episode and its recording into rows.

    Args:
        episode: as it was played.
        recording: its frames; those of the rows are no copy.
        task: of the environment.
        spec: of the world.
        instruction: text of the episode.
        teacher: write the teacher's action.
    """
    counts = np.array([len(each) for each in recording.poses])
    frames, poses = recording.frames.array(), np.concatenate(recording.poses)
    actions = np.array(episode.actions, dtype=np.float32)
    stop = np.array([info["regime"] == RegimeCode.NONE for info in episode.infos[1:]])
    # A first chunk may hold the start frame alone: that step has no row.
    step = np.repeat(np.arange(len(stop)), counts[1:] + stop)
    count = len(step)
    last = np.flatnonzero(np.append(step[1:] != step[:-1], True))  # last row of every step
    end = np.arange(count) == count - 1
    motions = motions_between(poses)
    stopped = np.zeros((count - len(motions), 4))
    # The stop row shows the last frame and leads nowhere.
    led = np.concatenate([motions, stopped])
    before = np.concatenate([np.zeros((1, 4)), motions])[:count]
    reward = np.zeros(count, np.float32)
    np.add.at(
        reward, last[np.minimum(np.searchsorted(step[last], np.arange(len(stop))), len(last) - 1)], episode.rewards
    )
    camera = intrinsics(spec.focal, spec.frame_size)
    success = float(episode.measures.get("success", 0.0)) > 0.5
    rows = {
        "observation.state": np.concatenate([_goals(task, recording, poses[:count]), before], 1).astype(np.float32),
        "action": actions[step],
        "next.reward": reward,
        "next.done": end,
        "next.success": end & success,
        "next.truncated": end & episode.truncated,
        "camera.pose": poses[:count].reshape(count, 16),
        "camera.intrinsics": np.tile(camera[[0, 1, 0, 1], [0, 1, 2, 2]], (count, 1)),
        "camera.motion": led,
        "plan.regime": np.array([info["regime"] for info in episode.infos[1:]], np.int64)[step],
        "plan.denoising_steps": np.array([info["denoising_steps"] for info in episode.infos[1:]], np.int64)[step],
        "step.index": step.astype(np.int64),
        "step.blocked": np.array([info["blocked"] for info in episode.infos[1:]], np.float64)[step],
    }
    if teacher:
        rows["teacher.action"] = np.stack(recording.teacher)[step]
    names = recording.sensors[0]
    goal = names.get("imagegoal")
    record = {
        "episode": episode.number,
        "task": instruction,
        "steps": len(actions),
        "frames": len(frames),
        "rows": count,
        "return": float(episode.rewards.sum()),
        "terminated": bool(episode.terminated),
        "truncated": bool(episode.truncated),
        "success": bool(success),
        "measures": {name: value for name, value in episode.measures.items() if np.isfinite(value)},
        "noise_seed": int(episode.infos[0]["episode_seed"]),
    }
    return EpisodeRows(
        number=episode.number,
        task=instruction,
        frames=frames,
        poses=poses,
        rows=rows,
        actions=actions,
        rewards=episode.rewards,
        ends=np.cumsum(counts) - 1,
        sensors={name: np.stack([each[name] for each in recording.sensors]) for name in names},
        infos=[{name: info[name] for name in INFOS} for info in episode.infos],
        goal=goal,
        record=record,
    )


def motions_between(poses: np.ndarray) -> np.ndarray:
    """Return the motions [F - 1, 4] that lead from each camera [F, 4, 4] to the next: `MOTION`.

    The same numbers as `li_env.accel.geometry.camera.relative_motion` gives, for all pairs at once.
    """
    step = inverse(poses[:-1]) @ poses[1:]
    yaw = np.degrees(np.arctan2(-step[:, 2, 0], step[:, 0, 0]))
    pitch = np.degrees(np.arctan2(-step[:, 1, 2], step[:, 1, 1]))
    right, forward = (np.einsum("fi,fi->f", step[:, :3, axis], step[:, :3, 3]) for axis in (0, 2))
    return np.stack([yaw, pitch, right, forward], 1)


def _goals(task: Task, recording: Recording, poses: np.ndarray) -> np.ndarray:
    """Read the goal sensor at every frame [R, 2]; [R, 0] for a task without one."""
    if not isinstance(task, PointGoal):
        return np.zeros((len(poses), 0))
    state = recording.task_states[0]
    return np.stack([task.sensors(replace(state, pose=pose))["pointgoal"] for pose in poses])
