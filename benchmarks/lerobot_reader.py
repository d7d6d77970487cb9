"""Read a dataset with lerobot's own code and compare every row and frame with what was played.

Run by `dataset_loaders.py` in an environment that has lerobot and not li_env: `PYTHON lerobot_reader.py JOB OUT`.
JOB is JSON: ``dataset`` and ``parts`` (folders in format LeRobot: the whole, and two that make it), ``goals`` (one of
ImageGoal; may be absent), each with its ``truth`` (.npz: every row's columns and ``frames``); ``backends`` and
``checks``, by name; ``exact``: whether frames are without loss; ``least_db`` otherwise. Ends with an error where
anything differs.

lerobot 0.4.4 appends no episode and trains no policy here, with any dataset: its writer makes numbers of arrays of
one number, which numpy 2.4 refuses, and its policies need transformers.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

NEW = tuple(map(int, version("lerobot").split(".")[:2])) >= (0, 5)
if not NEW:
    # torchvision from another index than torch lacks two operators and is else usable.
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from lerobot.datasets.aggregate import aggregate_datasets  # noqa: E402
from lerobot.datasets.compute_stats import aggregate_stats  # noqa: E402
from lerobot.datasets.lerobot_dataset import LeRobotDataset  # noqa: E402
from lerobot.datasets.streaming_dataset import StreamingLeRobotDataset  # noqa: E402

CAMERA, GOAL = "observation.images.front", "observation.images.goal"


def pixels(image: torch.Tensor) -> np.ndarray:
    """Return a picture [3, H, W] in 0 to 1 as uint8 [H, W, 3]."""
    return np.round(image.numpy().transpose(1, 2, 0) * 255).astype(np.uint8)


def decibels(one: np.ndarray, two: np.ndarray) -> float:
    """PSNR of two frames; 99 for equal ones."""
    error = np.square(one.astype(np.float64) - two).mean()
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


class Comparison:
    """Rows and frames that were compared."""

    def __init__(self, truth: dict[str, np.ndarray], job: dict) -> None:
        self.truth, self.exact, self.least = truth, job["exact"], job["least_db"]
        self.rows, self.worst = 0, 99.0

    def row(self, item: dict, index: int) -> None:
        """Compare an item with row ``index``."""
        for name, values in self.truth.items():
            if name in ("frames", "tasks", "lengths", "goals"):
                continue
            wanted = np.asarray(values[index].astype(np.float32) if values.dtype == np.float64 else values[index])
            mine = np.asarray(item[name]).astype(wanted.dtype)  # a stream gives plain numbers
            assert np.array_equal(mine.reshape(-1), wanted.reshape(-1)), (name, index)
        assert item["task"] == str(self.truth["tasks"][index]), index
        self.frame(item[CAMERA], index)
        if GOAL in item:
            episode = np.searchsorted(np.cumsum(self.truth["lengths"]), index, "right")
            assert np.array_equal(pixels(item[GOAL]), self.truth["goals"][episode]), index
        self.rows += 1

    def frame(self, image: torch.Tensor, index: int) -> None:
        """Compare a frame with that of row ``index``."""
        found = decibels(pixels(image), self.truth["frames"][index])
        self.worst = min(self.worst, found)
        assert found == 99.0 if self.exact else found >= self.least, (index, found)

    def report(self) -> dict:
        """Return the counts."""
        return {"rows": self.rows, "worst_db": None if self.worst == 99.0 else round(float(self.worst), 2)}


def open_dataset(root: str | Path, **more) -> LeRobotDataset:
    """Open a folder, without a look at the Hub."""
    return LeRobotDataset("li-env/dataset", root=root, **more)


def whole(job: dict, truth: dict, backend: str) -> dict:
    """Every row and frame."""
    compared, data = Comparison(truth, job), open_dataset(job["dataset"], video_backend=backend)
    assert len(data) == len(truth["frames"])
    began = time.perf_counter()
    for index in range(len(data)):
        compared.row(data[index], index)
    return {**compared.report(), "episodes": data.num_episodes, "seconds": round(time.perf_counter() - began, 1)}


def windows(job: dict, truth: dict, backend: str) -> dict:
    """Frames before and actions after a row, padded at the ends of episodes."""
    fps = json.loads((Path(job["dataset"]) / "meta/info.json").read_text())["fps"]
    asked = {CAMERA: [-2 / fps, 0.0], "action": [step / fps for step in range(4)]}
    compared, data = Comparison(truth, job), open_dataset(job["dataset"], delta_timestamps=asked, video_backend=backend)
    ends, padded = np.cumsum(truth["lengths"]), 0
    for index in range(0, len(data), 3):
        item = data[index]
        episode = np.searchsorted(ends, index, "right")
        first, last = ends[episode] - truth["lengths"][episode], ends[episode] - 1
        for place, shift in enumerate((-2, 0)):
            compared.frame(item[CAMERA][place], int(np.clip(index + shift, first, last)))
            assert bool(item[f"{CAMERA}_is_pad"][place]) == (index + shift < first)
        for shift in range(4):
            action = truth["action"][int(np.clip(index + shift, first, last))]
            assert np.array_equal(item["action"][shift].numpy(), action)
            assert bool(item["action_is_pad"][shift]) == (index + shift > last)
        padded += int(item["action_is_pad"].sum())
        compared.rows += 1
    assert padded
    return compared.report()


def some_episodes(job: dict, truth: dict, backend: str) -> dict:
    """Episodes by number."""
    chosen, compared = [1, 3, len(truth["lengths"]) - 1], Comparison(truth, job)
    data = open_dataset(job["dataset"], episodes=chosen, video_backend=backend)
    ends = np.cumsum(truth["lengths"])
    rows = [row for episode in chosen for row in range(ends[episode] - truth["lengths"][episode], ends[episode])]
    assert len(data) == len(rows)
    for index, row in enumerate(rows):
        compared.row(data[index], row)
    return compared.report()


def aggregated(job: dict, truth: dict, backend: str) -> dict:
    """Two datasets joined by lerobot are the one that they make."""
    with tempfile.TemporaryDirectory() as folder:
        names = ["li-env/one", "li-env/two"]
        roots = [Path(part) for part in job["parts"]]
        aggregate_datasets(names, "li-env/both", roots, Path(folder) / "both")
        return whole({**job, "dataset": str(Path(folder) / "both")}, truth, backend)


def resumed(job: dict, truth: dict, backend: str) -> dict:
    """Lerobot appends an episode, and reads everything again."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(shutil.copytree(job["dataset"], Path(folder) / "copy"))
        data = LeRobotDataset.resume("li-env/dataset", root=root)
        features, count = data.meta.features, 5
        for index in range(count):
            row = {"task": "a new task", CAMERA: truth["frames"][index]}
            for name, feature in features.items():
                if name not in (CAMERA, "timestamp", "frame_index", "episode_index", "index", "task_index"):
                    row[name] = np.asarray(truth[name][index]).reshape(feature["shape"]).astype(feature["dtype"])
            data.add_frame(row)
        data.save_episode()
        data.finalize()
        again, compared = open_dataset(root, video_backend=backend), Comparison(truth, job)
        assert len(again) == len(truth["frames"]) + count
        for index in range(len(truth["frames"])):
            compared.row(again[index], index)
        assert again[len(again) - 1]["task"] == "a new task"
        return compared.report()


def streamed(job: dict, truth: dict, backend: str) -> dict:
    """Rows one after the other, from the files, in lerobot's own order; always decoded by torchcodec."""
    compared = Comparison(truth, job)
    data = StreamingLeRobotDataset("li-env/dataset", root=job["dataset"], shuffle=False, buffer_size=1)
    seen = set()
    for item in data:
        index = int(item["index"])
        compared.row(item, index)
        seen.add(index)
    assert len(seen) == len(truth["frames"])
    return compared.report()


def statistics(job: dict) -> dict:
    """Lerobot's own merging of the episodes' statistics, beside the ones that are stored."""
    root = Path(job["dataset"])
    stored = json.loads((root / "meta/stats.json").read_text())
    pq = import_module("pyarrow.parquet")
    rows = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    each = [
        {name: {key: np.array(row[f"stats/{name}/{key}"]) for key in stored[name]} for name in stored} for row in rows
    ]
    merged, largest = aggregate_stats(each), {"quantiles": 0.0, "others": 0.0}
    for name, values in merged.items():
        for key, value in values.items():
            kind = "quantiles" if key[0] == "q" and key[1:].isdigit() else "others"
            largest[kind] = max(largest[kind], float(np.abs(np.asarray(stored[name][key]) - value).max()))
    assert largest["others"] < 1e-6
    return {"largest_difference": largest}


def own_goal_type(job: dict) -> dict:
    """Return the type of a picture's column in files of lerobot's own writer, and in the dataset's."""
    pq = import_module("pyarrow.parquet")
    with tempfile.TemporaryDirectory() as folder:
        picture = {"dtype": "image", "shape": (16, 16, 3), "names": ["height", "width", "channels"]}
        data = LeRobotDataset.create("li-env/x", 8, {GOAL: picture}, root=Path(folder) / "x", use_videos=False)
        data.add_frame({"task": "x", GOAL: np.zeros((16, 16, 3), np.uint8)})
        data.save_episode()
        data.finalize()
        theirs, mine = (
            str(pq.read_schema(Path(root) / "data/chunk-000/file-000.parquet").field(GOAL).type)
            for root in (Path(folder) / "x", job["goals"])
        )
    assert theirs == mine
    return {"type": mine}


def trained(job: dict, steps: int = 20) -> dict:
    """Train ACT for some steps on the dataset; return the losses."""
    features = import_module("lerobot.utils.feature_utils")
    act, factory = import_module("lerobot.policies.act.modeling_act"), import_module("lerobot.policies.factory")
    types = import_module("lerobot.configs.types")
    configuration = import_module("lerobot.policies.act.configuration_act")
    torch.manual_seed(0)
    plain = open_dataset(job["dataset"], video_backend="torchcodec")
    found = features.dataset_to_policy_features(plain.meta.features)
    outputs = {name: each for name, each in found.items() if each.type is types.FeatureType.ACTION}
    inputs = {name: each for name, each in found.items() if name not in outputs}
    assert set(outputs) == {"action"} and set(inputs) == {"observation.state", CAMERA}, "nothing leaks to the policy"
    config = configuration.ACTConfig(
        input_features=inputs, output_features=outputs, chunk_size=8, n_action_steps=8, device="cpu", dim_model=64,
        n_heads=4, dim_feedforward=128, n_encoder_layers=1, n_vae_encoder_layers=1, pretrained_backbone_weights=None,
        optimizer_lr=1e-3,
    )  # fmt: skip
    policy = act.ACTPolicy(config)
    policy.train()
    before, _ = factory.make_pre_post_processors(config, dataset_stats=plain.meta.stats)
    deltas = {"action": [index / plain.fps for index in config.action_delta_indices]}
    data = open_dataset(job["dataset"], delta_timestamps=deltas, video_backend="torchcodec")
    drawn = torch.utils.data.RandomSampler(data, True, 16 * steps, torch.Generator().manual_seed(0))
    loader = torch.utils.data.DataLoader(data, 16, sampler=drawn)
    optimiser, losses = torch.optim.AdamW(policy.parameters(), 1e-3), []
    batches = iter(loader)
    for _ in range(steps):
        loss, _ = policy.forward(before(next(batches)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(round(loss.item(), 3))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5]), losses
    return {"steps": steps, "losses": losses}


def main() -> None:
    """Run every check and write what was seen."""
    job, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    truth = dict(np.load(job["truth"], allow_pickle=False))
    names = ("lerobot", "torch", "torchvision", "torchcodec", "av", "datasets", "pyarrow", "numpy")
    report: dict = {"versions": {"python": sys.version.split()[0], **{name: version(name) for name in names}}}
    for backend in job["backends"]:
        for name in job["checks"]:
            check = {each.__name__: each for each in (whole, windows, some_episodes, aggregated, resumed)}[name]
            report.setdefault(backend, {})[name] = check(job, truth, backend)
            print(backend, name, report[backend][name], flush=True)
    report["torchcodec"]["streamed"] = streamed(job, truth, "torchcodec")
    report["statistics"] = statistics(job)
    if "goals" in job:
        more(job, report)
    with open(out, "w") as file:  # dataset_loaders.py adds where the numbers come from
        json.dump(report, file)


def more(job: dict, report: dict) -> None:
    """Read the pictures of goals, and train where lerobot's policies can be imported."""
    goals = {**job, "dataset": job["goals"], "exact": job["goals_exact"]}
    report["goal_pictures"] = whole(goals, dict(np.load(job["goals_truth"], allow_pickle=False)), "torchcodec")
    report["goal_column"] = own_goal_type(job)
    if NEW:
        report["act"] = trained(job)
    print({name: report[name] for name in ("goal_pictures", "statistics", "act") if name in report}, flush=True)


if __name__ == "__main__":
    main()
