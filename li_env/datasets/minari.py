"""Writer of Minari datasets, arrow layout: one folder per episode, frames without loss.

Written with pyarrow alone, so that an episode is there whole or not at all; reading needs minari.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from li_env.arrow import pyarrow
from li_env.datasets.episode_rows import INFOS, EpisodeRows
from li_env.files import write_json

_BATCH = "part-0.arrow"


def write_part(folder: Path, episode: EpisodeRows, options: Mapping[str, Any], seed: int) -> None:
    """Write the part of an episode: one record batch of n + 1 rows.

    Args:
        folder: entry in the journal.
        episode: to write.
        options: reset options that begin the episode, for JSON.
        seed: seed of the reset that begins it.
    """
    pa = pyarrow("writing Minari datasets")
    count = len(episode.ends)
    observations = {"rgb": episode.frames[episode.ends], **episode.sensors}
    arrays = [_fixed(pa, values) for values in observations.values()]
    seen = arrays[0] if not episode.sensors else pa.StructArray.from_arrays(arrays, names=list(observations))
    ended = np.arange(count) == count - 2
    infos = {name: pa.array([info[name] for info in episode.infos]) for name in INFOS if name != "pose"}
    infos["pose"] = _fixed(pa, np.stack([info["pose"] for info in episode.infos]))
    shape = pa.field("pose", infos["pose"].type, metadata={"shape": "4,4"})
    fields = [pa.field(name, array.type) for name, array in infos.items() if name != "pose"]
    batch = pa.RecordBatch.from_pydict({
        "observations": seen,
        "actions": _fixed(pa, np.concatenate([episode.actions, np.zeros_like(episode.actions[:1])])),
        "rewards": pa.array(np.append(episode.rewards, 0.0)),
        "terminations": pa.array(ended & episode.record["terminated"]),
        "truncations": pa.array(ended & episode.record["truncated"]),
        "infos": pa.StructArray.from_arrays(list(infos.values()), fields=[*fields, shape]),
    })  # fmt: skip
    with pa.OSFile(str(folder / _BATCH), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    write_json(folder / "metadata.json",
               {"total_steps": len(episode.actions), "seed": seed, "options": dict(options)})  # fmt: skip


def _fixed(pa: Any, values: np.ndarray) -> Any:
    """Make an array of lists of one length."""
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])


def write_metadata(
    data: Path,
    steps: int,
    episodes: int,
    observation: spaces.Space[Any],
    action: spaces.Space[Any],
    env_spec: str,
    about: Mapping[str, Any],
) -> None:
    """Write ``metadata.json`` of the whole dataset, last.

    Args:
        data: folder of the episodes.
        steps: number of steps.
        episodes: number of episodes.
        observation: space of the observations.
        action: space of the actions.
        env_spec: JSON of the single environment's specification.
        about: further keys.
    """
    size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    write_json(data / "metadata.json", {
        "total_episodes": episodes,
        "total_steps": steps,
        "data_format": "arrow",
        "jpeg_encoding": False,
        "observation_space": json.dumps(space_to_dict(observation)),
        "action_space": json.dumps(space_to_dict(action)),
        "env_spec": env_spec,
        "dataset_size": round(size / 1e6, 1),
        "minari_version": "0.5.4",
        **about,
    })  # fmt: skip


def space_to_dict(space: spaces.Space[Any]) -> dict[str, Any]:
    """Describe a Box, or a Dict of Boxes, as Minari stores it.

    Raises:
        ValueError: another space.
    """
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "subspaces": {name: space_to_dict(each) for name, each in space.spaces.items()}}
    if isinstance(space, spaces.Box):
        bounds = {name: getattr(space, name).tolist() for name in ("low", "high")}
        return {"type": "Box", "dtype": str(space.dtype), "shape": list(space.shape), **bounds}
    raise ValueError(f"space {space} is not usable for Minari; allowed: Box and Dict")
