"""Arguments of ``li-env collect``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Arguments:
    """Record a dataset for imitation learning: LeRobot, Minari, or clips for trainers of video world models."""

    agent: str
    """random, wanderer, seeker, expert, planner, or the folder of a trained agent (also as ppo:DIR, mapper:DIR)."""
    out: Path
    """Folder of the dataset, new or empty; with --resume one that was begun."""
    world: str = "freedoom"
    """World by name (see li-env worlds)."""
    task: str = "pointgoal"
    """explore, pointgoal or imagegoal."""
    dataset: Path | None = None
    """File of navigation episodes; the world's own by default."""
    scans: Path | None = None
    """Folder of scans in which the episodes take place, each in that of its map (li-env scan build --dataset)."""
    episodes: str = "0:16"
    """Episodes to record, FIRST:END without END: indices in the episode file, or numbers in a task without one."""
    seed: int = 0
    """Seed from which the seeds of the episodes follow."""
    agent_seed: int = 0
    """Seed of the agent's draws."""
    greedy: bool = False
    """Trained agents take their most likely action instead of drawing."""
    label: str = ""
    """A second agent, such as expert, whose action is written beside the one that ran: data for DAgger."""
    noise: float = 0.0
    """Probability (0 to 1) that a random motion replaces the agent's action: data of recovery."""
    keep: str = "all"
    """all or success: which episodes are written."""
    format: str = "lerobot"
    """Formats separated by commas: lerobot, minari, clips."""
    codec: str = "h264"
    """h264, av1 or lossless."""
    instruction: str = ""
    """Instruction of every episode, instead of several phrasings that describe the goal."""
    validation: float = 0.0
    """Share (0 to 1) of the maps whose episodes form the validation split."""
    max_steps: int = 32
    """Steps until an episode is cut; a step is one chunk of frames."""
    preset: str = "all"
    """Acceleration preset: name, YAML file or {key: value, ...}."""
    worlds: int = 8
    """Most episodes that step together; on a CPU this changes nothing but the speed."""
    encoders: int = 1
    """Threads that encode and write beside the stepping one."""
    processes: bool = False
    """Encode in processes instead of threads: where a world makes thousands of frames per second."""
    workers: int = 0
    """Processes that render the game (world freedoom_game); 0 renders in this one. Changes nothing but the speed."""
    weights: Path | None = None
    """Folder with the world's weights; the shipped ones by default."""
    device: str = "auto"
    """auto, cpu or cuda."""
    threads: int = 0
    """Threads of PyTorch on the CPU, on which the last bits of frames depend; 0 takes its default."""
    resume: bool = False
    """Go on with a dataset that was begun with the same arguments."""
    ray: str | None = None
    """Address of a Ray cluster (auto: the running one, local: a new one here); needs the extra cluster."""
    slice_size: int = 64
    """Episodes of one task on the cluster."""
