"""Files of a training with PPO: the policy, and the optimiser's state as safetensors."""

from __future__ import annotations

import torch

from li_env.agents.ppo.policy import POLICY, load_policy, store_policy
from li_env.agents.run_folder import RunFolder
from li_env.tensor_files import read_tensors, write_tensors

OPTIMIZER = "optimizer.safetensors"
"""File name of the optimiser's state in an agent's folder."""

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def save_training(run: RunFolder, net: torch.nn.Module, optimizer: torch.optim.Adam, steps: int) -> None:
    """Store the policy and the state of its optimiser, both or neither."""
    tensors = {
        f"{name}.{moment}": optimizer.state[parameter][moment].detach().cpu().contiguous()
        for name, parameter in net.named_parameters()
        if parameter in optimizer.state
        for moment in _MOMENTS
    }
    with run.save(steps) as folder:
        store_policy(net, folder / POLICY)
        write_tensors(folder / OPTIMIZER, tensors)


def load_training(run: RunFolder, net: torch.nn.Module, optimizer: torch.optim.Adam) -> None:
    """Fill a policy and its optimiser from the files of `save_training`.

    Raises:
        ValueError: a missing or damaged file, or one of another network; names it.
    """
    load_policy(net, run.path / POLICY)
    path = run.path / OPTIMIZER
    # A training that has only imitated so far has no moments yet.
    tensors = read_tensors(path)
    if tensors:
        shapes = {
            f"{name}.{moment}": () if moment == "step" else tuple(parameter.shape)
            for name, parameter in net.named_parameters()
            for moment in _MOMENTS
        }
        tensors = read_tensors(path, shapes, "this policy")
    for name, parameter in net.named_parameters():
        if tensors:
            state = {moment: tensors[f"{name}.{moment}"] for moment in _MOMENTS}
            # Adam counts its steps on the host, unless its steps are to be captured.
            on_host = not optimizer.defaults["capturable"]
            optimizer.state[parameter] = {
                key: value if key == "step" and on_host else value.to(parameter.device) for key, value in state.items()
            }
