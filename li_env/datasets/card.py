"""Card of a dataset: what it holds, its licence, and the command that makes it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from li_env.datasets.manifest import Manifest
from li_env.worlds.registry import world_entry

if TYPE_CHECKING:
    from li_env.datasets.formats import Formats


def card(
    manifest: Manifest,
    records: Sequence[Mapping[str, Any]],
    splits: Mapping[str, Sequence[int]],
    formats: Formats,
) -> str:
    """Write the card in Markdown, with the header that the Hugging Face Hub reads."""
    kept = [record for record in records if record["kept"]]
    success = sum(record["success"] for record in records) / len(records)
    licence = world_entry(manifest.world).licence
    columns = ", ".join(f"`{name}`" for name in formats.columns)
    teacher = ""
    if manifest.records_teacher:
        who = manifest.label or "the agent before noise"
        teacher = f"\n`teacher.action` is the action to imitate ({who}); `action` is the one that ran.\n"
    return f"""---
license: other
license_name: weights-of-{manifest.world.replace("_", "-")}
tags: [LeRobot, robotics, world-model, navigation]
task_categories: [robotics]
---
# {manifest.task} in {manifest.world}

{len(kept)} of {len(records)} episodes (keep: {manifest.keep}), {sum(record["rows"] for record in kept)} rows, \
{sum(record["frames"] for record in kept)} frames at {manifest.fps:g} frames/s. Success of all episodes: {success:.3f}.
Training split: {len(splits["train"])} episodes, validation split: {len(splits["validation"])}, divided by map
(`lerobot/meta/li_env.json`).

Row i holds frame i and the action that leads to frame i + 1. Columns: {columns}.
{teacher}
Recorded with li-env. Licence of the world's weights: {licence}.

```
{command(manifest)}
```
"""


def command(manifest: Manifest) -> str:
    """Return the command that makes the dataset again."""
    numbers = manifest.episodes
    words = ["li-env", "collect", "--world", manifest.world, "--task", manifest.task, "--agent", manifest.agent,
             "--episodes", f"{numbers[0]}:{numbers[-1] + 1}", "--keep", manifest.keep,
             "--format", ",".join(manifest.formats), "--codec", manifest.codec,
             "--max-steps", str(manifest.max_steps), "--preset", str(manifest.preset.get("name", "off")),
             "--agent-seed", str(manifest.agent_seed)]  # fmt: skip
    for option, value in (("--dataset", manifest.episode_file), ("--label", manifest.label),
                          ("--instruction", manifest.instruction), ("--weights", manifest.weights_folder)):  # fmt: skip
        if value:
            words += [option, value]
    for option, number in (("--noise", manifest.noise), ("--validation", manifest.validation)):
        if number:
            words += [option, f"{number:g}"]
    return shlex.join([*words, *["--greedy"] * manifest.greedy, "--out", "DIR"])
