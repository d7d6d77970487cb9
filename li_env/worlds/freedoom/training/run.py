"""The whole training of the freedoom world, stage after stage, resumable after a kill.

Every finished stage leaves a safetensors file in the output folder and is skipped when it is there; a stage that was
cut short continues from its last saved state. Frames are rendered again at each start: they depend on seeds only.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from li_env.device_memory import check_memory
from li_env.doom.shards import MapScan
from li_env.doom.splits import TRAINING, VALIDATION
from li_env.files import append_json, check_folder, read_yaml
from li_env.tensor_files import check_tensors, read_tensors, write_tensors
from li_env.validation import check_keys, check_mapping, shown
from li_env.worlds.freedoom.autoencoder import Autoencoder, AutoencoderConfig
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS, DynamicsModel
from li_env.worlds.freedoom.efficientnet import load_features
from li_env.worlds.freedoom.motion_head import MotionHead
from li_env.worlds.freedoom.sizes import SMALL, Size, named_size
from li_env.worlds.freedoom.training.autoencoder import AutoencoderStage, encode_all, train_autoencoder
from li_env.worlds.freedoom.training.data import Convert, DataSettings, Trajectories, gather
from li_env.worlds.freedoom.training.dynamics import DynamicsStage, train_dynamics
from li_env.worlds.freedoom.training.limits import NEEDS, STAGES, check_training
from li_env.worlds.freedoom.training.motion import Motions, MotionStage, train_motion
from li_env.worlds.freedoom.training.progress_report import quick_measures
from li_env.worlds.freedoom.training.ranks import ALONE, Ranks
from li_env.worlds.freedoom.training.refine import RefineStage, train_refine
from li_env.worlds.freedoom.training.sharp import SharpStage, evaluator, train_sharp
from li_env.worlds.freedoom.training.store import LatentStore
from li_env.worlds.freedoom.weights import load_weights, starting_weights

Log = Callable[[dict[str, Any]], None]

MODELS: dict[str, Callable[[], nn.Module]] = {
    "autoencoder": lambda: Autoencoder(AutoencoderConfig()),
    "sharp_autoencoder": lambda: Autoencoder(AutoencoderConfig()),
    "dynamics": DynamicsModel,
    "motion": MotionHead,
    "refine": DynamicsModel,
}

PICTURES = ("sharp_autoencoder", "autoencoder")
"""Stages that make the autoencoder that later ones see through, the better one first."""

SIGMAS_4 = (1.0, 0.75, 0.5, 0.25, 0.0)
SIGMAS_16 = tuple(1 - step / 16 for step in range(17))


@dataclass(frozen=True)
class TrainConfig:
    """Settings of all stages, read from YAML; ``stages`` may leave some out.

    ``size`` is a name of `sizes.SIZES`. ``start`` is a folder of weights, as `li-env train world` writes it, or the
    name of a size whose weights are shipped: dynamics and motion head begin there instead of with random numbers, and
    its autoencoder is used where ``stages`` leave that out, as are its dynamics by a refinement of its own. The weights
    may be of another size.
    """

    size: str = SMALL.name
    seed: int = 0
    stages: tuple[str, ...] = STAGES
    start: str = ""
    data: DataSettings = field(default_factory=DataSettings)
    autoencoder: AutoencoderStage = field(default_factory=AutoencoderStage)
    dynamics: DynamicsStage = field(default_factory=DynamicsStage)
    motion: MotionStage = field(default_factory=MotionStage)
    refine: RefineStage = field(default_factory=RefineStage)
    sharp_autoencoder: SharpStage = field(default_factory=SharpStage)

    def __post_init__(self) -> None:
        check_training(self)

    @classmethod
    def read(cls, path: Path) -> TrainConfig:
        """Read a YAML file.

        Raises:
            ValueError: not a file, not YAML, an unknown key, or a value that is not allowed.
        """
        data = read_yaml(path, "config", "a YAML file of settings, for instance configs/train/freedoom.yaml")
        return from_mapping(cls, {} if data is None else data, "")


def from_mapping(config: type[Any], values: dict[str, Any], where: str) -> Any:
    """Build a (nested) config dataclass, naming unknown keys."""
    check_mapping(where.rstrip(".") or "training config", values)
    check_keys(f"training config {where}".strip(), values, [item.name for item in dataclasses.fields(config)])
    arguments: dict[str, Any] = {}
    defaults = config()
    for name, value in values.items():
        current = getattr(defaults, name)
        if dataclasses.is_dataclass(current):
            value = from_mapping(type(current), value, f"{where}{name}.")
        else:
            value = checked_value(f"{where}{name}", value, current)
        arguments[name] = value
    return config(**arguments)


def checked_value(key: str, value: Any, default: Any) -> Any:
    """Return ``value`` if it has the type of ``default``; lists become tuples, whole numbers may replace fractions."""
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    # A time limit is the only setting that defaults to None.
    kind: type[Any] = float if default is None else type(default)
    allowed = (int, float) if kind is float else (kind,)
    if isinstance(value, bool) or not isinstance(value, allowed):
        if value is None and default is None:
            return None
        raise ValueError(
            f"{key}={shown(value)} in the training config is not usable; allowed: one of type {kind.__name__}"
        )
    return value


def print_entry(entry: dict[str, Any]) -> None:
    """Print a log entry as one line of JSON."""
    print(json.dumps(entry), flush=True)


def train_world(
    config: TrainConfig, out: Path, device: torch.device, workers: int | None = None, show: Log = print_entry
) -> None:
    """Run the stages of ``config`` and leave ``<stage>.safetensors`` files and ``log.jsonl`` in ``out``.

    ``show`` is called with every log entry; entries of a running stage carry ``stage`` and ``fraction``. Started by
    torchrun, it shares the work between the processes (`training.ranks`).
    """
    ranks = Ranks.join(device)
    if ranks.count > 1 and device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    size = named_size(config.size)
    out = check_folder("out", out, ("log.jsonl", *(f"{stage}.safetensors" for stage in MODELS)))
    todo = _unfinished(config, out)
    if todo:
        check_memory("the rendered frames", _frame_bytes(config.data, size, _learns_pictures(todo)), device)
    ranks.wait()  # all have looked at the finished stages before the first adds to them
    out.mkdir(parents=True, exist_ok=True)
    log = logger(out / "log.jsonl", show) if ranks.first else _silent
    torch.manual_seed(config.seed)
    torch.set_float32_matmul_precision("high")
    if not todo:
        return
    autoencoder = Autoencoder(AutoencoderConfig()).to(device)
    learns_pictures = _learns_pictures(todo)
    if "autoencoder" not in todo:
        load_earlier(autoencoder, PICTURES, out, config.start, ranks)

    def encode(frames: torch.Tensor) -> torch.Tensor:
        return encode_all(autoencoder, frames) if frames.numel() else frames

    training, validation = render(
        config.data, size, device, workers, log, (lambda x: x) if learns_pictures else encode, ranks
    )
    if "autoencoder" in todo:
        generator = torch.Generator(device).manual_seed(ranks.seed(config.seed))
        flat = training.frames.flatten(0, 1)

        def draw(count: int) -> torch.Tensor:
            return flat[torch.randint(len(flat), (count,), device=device, generator=generator)]

        held_out = validation.frames[:32, ::4].flatten(0, 1)
        train_autoencoder(autoencoder, draw, held_out, config.autoencoder, tagged(log, "autoencoder"), ranks)
        keep(autoencoder, out / "autoencoder.safetensors", ranks)
    if "sharp_autoencoder" in todo:
        sharpen(training.frames.flatten(0, 1), validation.frames, config, out, log, ranks)
    if not set(todo) - {"autoencoder", "sharp_autoencoder"}:
        return
    if learns_pictures:
        load_earlier(autoencoder, PICTURES, out, config.start, ranks)
        training.frames, training.views = encode(training.frames), encode(training.views)
    store = LatentStore(training.frames, training.poses, training.views, training.view_poses)
    held_out_store = LatentStore(
        encode(validation.frames), validation.poses, encode(validation.views), validation.view_poses
    )
    log({"stage": "encode", "latents": list(store.latents.shape), "views": list(store.views.shape)})

    def evaluate(model: DynamicsModel) -> dict[str, float]:
        if not ranks.first:
            return {}
        with torch.compiler.set_stance("force_eager"):
            return quick_measures(model, autoencoder, held_out_store, validation.frames, (SIGMAS_4, SIGMAS_16), 48)

    model = DynamicsModel(grid=size.token_grid).to(device)
    if "dynamics" in todo:
        state = out / "dynamics_state.safetensors"
        if config.start and not state.exists():
            load_weights({"dynamics": model}, starting_weights(config.start))
            log({"stage": "dynamics", "start": 1.0} | evaluate(model))
        train_dynamics(model, store, config.dynamics, tagged(log, "dynamics"), evaluate, state, config.seed, ranks)
        keep(model, out / "dynamics.safetensors", ranks, state)
    if "motion" in todo:
        walked = Motions(training.commanded, training.realised)
        tried = Motions(training.tried, training.tried_realised)
        unseen = held_out_store, Motions(validation.commanded, validation.realised)
        head = MotionHead(size.token_grid).to(device)
        if config.start:
            load_weights({"motion": head}, starting_weights(config.start))
        train_motion(head, store, walked, tried, unseen, config.motion, tagged(log, "motion"), config.seed, ranks)
        keep(head, out / "motion.safetensors", ranks)
    if "refine" in todo:
        load_earlier(model, ("dynamics",), out, config.start, ranks)
        state = out / "refine_state.safetensors"
        flow = dataclasses.replace(config.dynamics, draws=1)
        train_refine(model, store, config.refine, flow, tagged(log, "refine"), evaluate, state, config.seed + 1, ranks)
        keep(model, out / "refine.safetensors", ranks, state)


def sharpen(
    frames: torch.Tensor, validation: torch.Tensor, config: TrainConfig, out: Path, log: Log, ranks: Ranks
) -> None:
    """Train the stage ``sharp_autoencoder`` from the run's own autoencoder.

    Args:
        frames: uint8 [n, H, W, 3] to learn from, on the training device.
        validation: uint8 [N, L, H, W, 3] of other maps, for the log.
    """
    stage, device = config.sharp_autoencoder, frames.device
    generator = torch.Generator(device).manual_seed(ranks.seed(config.seed))
    model = Autoencoder(AutoencoderConfig())
    read(model, out / "autoencoder.safetensors")
    model.to(device)
    evaluate = evaluator(validation[:, ::8].flatten(0, 1)[:1024])
    log({"stage": "sharp_autoencoder", "start": 1.0} | evaluate(model))

    def draw(count: int) -> torch.Tensor:
        return frames[torch.randint(len(frames), (count,), device=device, generator=generator)]

    state = out / "sharp_autoencoder_state.safetensors"
    net = load_features("lite0", stage.feature_scale).to(device)
    train_sharp(model, draw, evaluate, net, stage, tagged(log, "sharp_autoencoder"), state, ranks)
    keep(model, out / "sharp_autoencoder.safetensors", ranks, state)


def load_earlier(model: nn.Module, stages: Sequence[str], out: Path, start: str, ranks: Ranks) -> None:
    """Load what a later stage needs: the first of ``stages`` that is done, else the weights of ``start``.

    Those of ``start`` have the name of the last of ``stages`` and are kept in ``out`` as its result.
    """
    files = [out / f"{name}.safetensors" for name in stages]
    found = next((file for file in files if file.exists()), None)
    ranks.wait()  # all have looked before the first writes
    if found is None:
        load_weights({stages[-1]: model}, starting_weights(start))
        keep(model, files[-1], ranks)
    else:
        read(model, found)


def _unfinished(config: TrainConfig, out: Path) -> list[str]:
    """Return the stages to run, after a check of the files of finished stages.

    Raises:
        ValueError: such a file is damaged, a stage starts from one that is neither done nor to be run, or the folder
            ``config.start`` holds no weights to begin with.
    """
    done = [stage for stage in MODELS if (out / f"{stage}.safetensors").exists()]
    for stage in done:
        with torch.device("meta"):
            model = MODELS[stage]()
        check_tensors(out / f"{stage}.safetensors", shapes_of(model), f"the stage {stage}")
    todo = [stage for stage in STAGES if stage in config.stages and stage not in done]
    taken = {"dynamics", "motion"} & set(todo)
    given: set[str] = set()
    if "refine" in todo and "dynamics" not in {*done, *todo}:
        given.add("dynamics")
    if todo and "autoencoder" not in {*done, *todo} and "sharp_autoencoder" not in done:
        given.add("autoencoder")
    if config.start and taken | given:  # refused now and not after the frames are rendered
        load_weights({name: MODELS[name]() for name in taken | given}, starting_weights(config.start))
        done += given
    for stage in todo:
        if missing := [each for each in NEEDS[stage] if each not in done and each not in todo]:
            raise ValueError(
                f"stages={shown(config.stages)} is not allowed; {stage} starts from {missing[0]}, which is not there: "
                "add it"
            )
    return todo


def _learns_pictures(stages: list[str]) -> bool:
    return any("autoencoder" in stage for stage in stages)


def _frame_bytes(data: DataSettings, size: Size, pictures: bool) -> int:
    """Return the bytes of all frames on the device; without ``pictures`` those of training are kept as latents."""
    training = data.trajectories_per_map * data.length + data.scan_views
    validation = 2 * data.validation_length + data.validation_scan_views
    picture, latent = size.frame_size[0] * size.frame_size[1] * 3, size.tokens * LATENT_CHANNELS * 2
    return data.maps * training * (picture if pictures else latent) + data.validation_maps * validation * picture


def render(
    data: DataSettings,
    size: Size,
    device: torch.device,
    workers: int | None,
    log: Log,
    convert: Convert,
    ranks: Ranks = ALONE,
) -> tuple[Trajectories, Trajectories]:
    """Render the training and the validation trajectories; ``convert`` is for the frames of the former."""
    began = time.monotonic()
    workers = max(1, (workers or os.cpu_count() or 1) // ranks.count)
    training = gather(
        ranks.own(TRAINING[data.seed * data.maps : (data.seed + 1) * data.maps]),
        data.trajectories_per_map, data.length, data.kinds, data.seed, device, workers,
        MapScan(data.scan_views, data.scan_spacing), data.tries, convert, size.frame_size,
    )  # fmt: skip
    spacing = data.validation_scan_spacing
    validation = gather(
        VALIDATION[: data.validation_maps], 2, data.validation_length, data.kinds, data.seed, device, workers,
        MapScan(data.validation_scan_views, (spacing, spacing)), frame_size=size.frame_size,
    )  # fmt: skip
    seconds = time.monotonic() - began
    count = data.maps * (data.trajectories_per_map * data.length + data.scan_views)
    log({"stage": "render", "frames": count, "seconds": round(seconds, 1), "frames_per_second": round(count / seconds)})
    return training, validation


def logger(path: Path, show: Log) -> Log:
    """Append entries with a time stamp to a JSON-lines file and hand them to ``show``."""
    began = time.monotonic()

    def log(entry: dict[str, Any]) -> None:
        stamped = {"seconds": round(time.monotonic() - began, 1)} | entry
        append_json(path, stamped)
        show(stamped)

    return log


def tagged(log: Log, stage: str) -> Log:
    """Return a logger that adds the stage's name."""
    return lambda entry: log({"stage": stage} | entry)


def keep(model: nn.Module, path: Path, ranks: Ranks, state: Path | None = None) -> None:
    """Write the weights of a finished stage from the first process, and drop the saved ``state`` of its training."""
    if ranks.first:
        write(model, path)
        if state is not None:
            state.unlink(missing_ok=True)
    ranks.wait()


def _silent(entry: dict[str, Any]) -> None:
    """Log nothing: the first process does."""


def write(model: nn.Module, path: Path) -> None:
    """Save weights (float32) in one move."""
    tensors = {name: tensor.detach().float().contiguous().cpu() for name, tensor in model.state_dict().items()}
    write_tensors(path, tensors)


def read(model: nn.Module, path: Path) -> None:
    """Load weights written by `write` (any float type).

    Raises:
        ValueError: damaged, or of another model.
    """
    model.load_state_dict(read_tensors(path, shapes_of(model), "this stage"))


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a model's weights."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
