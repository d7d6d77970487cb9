"""Resumable training state without pickle: nested tensors in one safetensors file, numbers in its JSON header."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def save(path: Path, state: dict[str, Any]) -> None:
    """Write nested dicts and lists of tensors, numbers and strings to ``path`` (replaced in one move)."""
    tensors: dict[str, torch.Tensor] = {}
    skeleton = _flatten(state, "", tensors)
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, metadata={"skeleton": json.dumps(skeleton)})
    os.replace(temporary, path)


def load(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Read what `save` wrote."""
    with safe_open(path, framework="pt", device=device) as file:
        tensors = {name: file.get_tensor(name) for name in list(file.keys())}
        skeleton = json.loads(file.metadata()["skeleton"])
    restored: dict[str, Any] = _restore(skeleton, tensors)
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
