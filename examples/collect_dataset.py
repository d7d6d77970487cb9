"""Record a dataset for imitation, check it, and read its rows with PyTorch. Needs the extra data.

Run: python examples/collect_dataset.py --episodes 72 --out outputs/dataset
"""

import argparse
import sys
from pathlib import Path

from torch.utils.data import DataLoader

from li_env import RecordedDataset, tools

parser = argparse.ArgumentParser()
parser.add_argument("--world", default="freedoom")
parser.add_argument("--agent", default="seeker", help="expert where the world knows its maps")
parser.add_argument("--episodes", type=int, default=16)
parser.add_argument("--batch", type=int, default=8, help="episodes that step together")
parser.add_argument("--out", type=Path, default=Path("outputs/dataset"))
arguments = parser.parse_args()

# The same as `li-env collect ...` in a shell. Run it again after an interruption: --resume plays what is missing.
words = ["collect", "--world", arguments.world, "--agent", arguments.agent, "--episodes", f"0:{arguments.episodes}"]
words += ["--worlds", str(arguments.batch), "--out", str(arguments.out), "--resume"]
if tools.main(words) or tools.main(["collect", "verify", str(arguments.out), "--replays", "1"]):
    sys.exit(2)

dataset = RecordedDataset(arguments.out)
for batch in DataLoader(dataset, batch_size=8, shuffle=True):
    frames, actions = batch["observation.images.front"], batch["action"]
    print(f"frames {tuple(frames.shape)}, actions {tuple(actions.shape)}: {batch['task'][0]}")
    break
