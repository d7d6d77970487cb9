"""Card of a dataset: what it holds, its licence, and the command that makes it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from li_env.datasets.grounding import build_commands
from li_env.datasets.manifest import Manifest, sha256_of
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
    scans = ""
    if manifest.scans_folder is not None:
        views = sum(fact["views"] for fact in manifest.scans.values())
        scans = (
            f"\nEvery episode takes place in a scan of its map: {len(manifest.scans)} scans, {views:,} views, SHA-256 "
            f"of their contents {sha256_of(manifest.scans)[:16]}. `manifest.json` names each.\n"
        )
        if not manifest.scan_settings:
            scans += "It is not known how they were built, so no command below builds them.\n"
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
{teacher}{scans}
Recorded with li-env. Licence of the world's weights: {licence}.

```
{commands(manifest)}
```
"""


def commands(manifest: Manifest) -> str:
    """Return the commands that make the dataset again, one per line: those of its scans, and its own."""
    return "\n".join([*build_commands(manifest), command(manifest)])


def command(manifest: Manifest) -> str:
    """Return the command that makes the dataset again."""
    numbers = manifest.episodes
    words = ["li-env", "collect", "--world", manifest.world, "--task", manifest.task, "--agent", manifest.agent,
             "--episodes", f"{numbers[0]}:{numbers[-1] + 1}", "--keep", manifest.keep,
             "--format", ",".join(manifest.formats), "--codec", manifest.codec,
             "--max-steps", str(manifest.max_steps), "--preset", str(manifest.preset.get("name", "off")),
             "--agent-seed", str(manifest.agent_seed)]  # fmt: skip
    for option, value in (("--dataset", manifest.episode_file), ("--scans", manifest.scans_folder),
                          ("--label", manifest.label),
                          ("--instruction", manifest.instruction), ("--weights", manifest.weights_folder)):  # fmt: skip
        if value:
            words += [option, value]
    seed = int(manifest.computation.get("seed", 0))
    for option, number in (("--noise", manifest.noise), ("--validation", manifest.validation), ("--seed", seed)):
        if number:
            words += [option, str(seed) if option == "--seed" else f"{number:g}"]
    return shlex.join([*words, *["--greedy"] * manifest.greedy, "--out", "DIR"])
