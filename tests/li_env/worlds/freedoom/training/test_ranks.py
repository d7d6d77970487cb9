"""Training in several processes: shares, averaged gradients, one clock, equal weights."""

import os
import socket
from pathlib import Path

import pytest
import torch
from torch import multiprocessing, nn

from li_env.tensor_files import read_tensors, write_tensors
from li_env.worlds.common.transformer import TransformerConfig
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS, DynamicsModel
from li_env.worlds.freedoom.geometry import FEATURES
from li_env.worlds.freedoom.training.dynamics import DynamicsStage, train_dynamics
from li_env.worlds.freedoom.training.optim import Progress
from li_env.worlds.freedoom.training.ranks import ALONE, Ranks
from li_env.worlds.freedoom.training.store import LatentStore


def test_shares_are_equal_and_disjoint() -> None:
    shares = [Ranks(rank, 3).own(range(11)) for rank in range(3)]
    assert [list(share) for share in shares] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert [Ranks(rank, 4).share(10) for rank in range(4)] == [2] * 4 and Ranks(1, 8).share(2) == 1
    assert len({Ranks(rank, 4).seed(7) for rank in range(4)}) == 4
    assert ALONE.own(range(3)) == range(3) and ALONE.seed(7) == 7 and ALONE.agree(0.5, torch.device("cpu")) == 0.5


def _train(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    ranks = Ranks.join(torch.device("cpu"))
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([1.0, 4.0]) * (1 + 2 * rank)
    ranks.average([parameter, nn.Parameter(torch.zeros(1))])
    clock = Progress(10, 1e6, ranks)
    clock.began -= 1000 * rank  # the second process believes that it began earlier
    assert not clock.finished and clock.seconds < 900
    generator = torch.Generator().manual_seed(rank)
    latents = torch.randn(2, 32, 48, LATENT_CHANNELS, generator=generator).half()
    store = LatentStore(latents, torch.randn(2, 32, 3, generator=generator))
    torch.manual_seed(0)
    sizes = TransformerConfig(LATENT_CHANNELS + FEATURES, LATENT_CHANNELS, 64, 1, 1, modulation="shared")
    stage = DynamicsStage(steps=2, batch=4, draws=1, save_seconds=1e-9, max_seconds=1e6, measure_every=1)
    state = Path(folder) / f"state{rank}.safetensors"
    model = train_dynamics(DynamicsModel(sizes), store, stage, lambda _: None, lambda _: {}, state, 5, ranks)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    write_tensors(Path(folder) / f"rank{rank}.safetensors", weights | {"averaged": parameter.grad})
    ranks.wait()


def test_processes_end_with_equal_weights(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(_train, (port, str(tmp_path)), nprocs=2)
    first, second = (read_tensors(tmp_path / f"rank{rank}.safetensors") for rank in range(2))
    assert first["averaged"].tolist() == [2.0, 8.0]
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    # The first process alone saves.
    assert (tmp_path / "state0.safetensors").exists() and not (tmp_path / "state1.safetensors").exists()


def test_alone_nothing_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert Ranks.join(torch.device("cpu")) is not None
    assert not torch.distributed.is_initialized()
