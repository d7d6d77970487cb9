"""Resumable training state without pickle: nested tensors in one safetensors file, numbers in its JSON header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from li_env.files import parse_json
from li_env.tensor_files import open_tensors, write_tensors
from li_env.validation import shown_path


def save(path: Path, state: dict[str, Any]) -> None:
    """Write nested dicts and lists of tensors, numbers and strings to ``path`` (replaced in one move)."""
    tensors: dict[str, torch.Tensor] = {}
    skeleton = _flatten(state, "", tensors)
    write_tensors(path, tensors, {"skeleton": json.dumps(skeleton)})


def load(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Read what `save` wrote.

    Raises:
        ValueError: the file is damaged or was written by something else.
    """
    file = open_tensors(path, device=device)
    tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    skeleton = parse_json((file.metadata() or {}).get("skeleton", ""), shown_path(path))
    try:
        restored: dict[str, Any] = _restore(skeleton, tensors)
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration, RecursionError):
        raise ValueError(f"{shown_path(path)} is no saved state of a training; allowed: remove it") from None
    return restored


def _flatten(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _flatten(item, f"{name}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_flatten(item, f"{name}/{index}", tensors) for index, item in enumerate(value)]}
    return {"value": value}


def _restore(node: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Any:
    kind, content = next(iter(node.items()))
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _restore(item, tensors) for key, item in content}
    if kind == "list":
        return [_restore(item, tensors) for item in content]
    return content
