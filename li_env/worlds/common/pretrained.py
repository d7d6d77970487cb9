"""Frozen encoders of the diffusers and transformers libraries: built without weights, filled strictly, run anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from li_env.errors import MissingExtraError
from li_env.worlds.common.checkpoints import TensorFile, load_into

PACKAGES = ("accelerate", "diffusers", "ftfy", "transformers")


def require_libraries(purpose: str) -> None:
    """Stop with the command that installs them if the libraries of the published models are absent.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingExtraError(package, "worlds", purpose)


@contextmanager
def without_weights() -> Iterator[None]:
    """Build modules whose parameters have no memory, but whose buffers are real (no checkpoint stores them)."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        yield


def load_frozen(build: Callable[[], Any], file: TensorFile, what: str, device: torch.device, dtype: torch.dtype) -> Any:
    """Build a module and fill it from ``file`` in ``dtype``, in evaluation mode, without gradients.

    Raises:
        CheckpointError: names, shapes or dtypes do not fit.
    """
    with without_weights():
        model = build()
    load_into(model, file, what, device, dtype)
    return model.to(device).eval().requires_grad_(False)


@torch.no_grad()
def run_on(model: nn.Module, device: torch.device, **inputs: Tensor) -> Any:
    """Call a model on ``device``, wherever its weights live: they are copied there for this call only."""
    inputs = {name: value.to(device) for name, value in inputs.items()}
    if next(model.parameters()).device == device:
        return model(**inputs)
    borrowed = {name: value.to(device) for name, value in (*model.named_parameters(), *model.named_buffers())}
    return torch.func.functional_call(model, borrowed, kwargs=inputs)
