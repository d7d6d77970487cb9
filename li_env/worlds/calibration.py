"""Numbers of a world that were measured, not trained: kappa, crossovers, TeaCache's polynomial, times of model calls.

What ships stands in ``configs/calibration/WORLD.yaml``. What was measured on this machine (``li-env calibrate``) stands
in the cache folder under the same name and goes before it, key by key and device by device.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch
import yaml

from li_env.accel.costs import CostTable, tables_from
from li_env.accel.runtime.machine import device_name
from li_env.accel.world import BaseWorld
from li_env.accel.world_spec import WorldSpec
from li_env.files import atomic_write, cache_folder, read_yaml
from li_env.validation import check_keys, check_mapping, check_number, check_whole, shown

MOST_TERMS = 8
"""Most coefficients of a polynomial."""

_FILE_NAME = re.compile(r"\w[\w.-]*")
"""Names of worlds that can be the name of a file."""


@dataclass(frozen=True)
class Calibration:
    """Measured numbers of one world; what nobody has measured is missing.

    Attributes:
        window_kappa: see `WorldSpec.window_kappa`.
        step_rescale: see `WorldSpec.step_rescale`.
        sparse_min_context: by device, see `WorldSpec.sparse_min_context`. A device is ``cpu``, ``cuda``, or the name
            that `machine.device_name` gives, which goes before the other two.
        costs: times of the model's calls by `cost_name`, see `CostTable`.
    """

    window_kappa: float | None = None
    step_rescale: tuple[float, ...] | None = None
    sparse_min_context: Mapping[str, int] = field(default_factory=dict)
    costs: Mapping[str, CostTable] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str) -> Calibration:
        """Build from plain values; ``where`` names the file.

        Raises:
            ValueError: an unknown key or a value that is not allowed.
        """
        check_keys(where, data, [entry.name for entry in fields(cls)])
        kappa, rescale = data.get("window_kappa"), data.get("step_rescale")
        if kappa is not None:
            check_number(f"{where}: window_kappa", kappa, 0.0, above=True)
        if rescale is not None:
            if not isinstance(rescale, list) or not 1 <= len(rescale) <= MOST_TERMS:
                allowed = f"a list of 1 to {MOST_TERMS} numbers"
                raise ValueError(f"{where}: step_rescale={shown(rescale)} is not allowed; use {allowed}")
            rescale = tuple(float(check_number(f"{where}: step_rescale", each)) for each in rescale)
        table = check_mapping(f"{where}: sparse_min_context", data.get("sparse_min_context", {}))
        for device, least in table.items():
            check_whole(f"{where}: sparse_min_context.{device}", least, 0)
        return cls(kappa, rescale, dict(table), tables_from(f"{where}: costs", data.get("costs", {})))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values without what is missing; ``from_dict`` restores an equal calibration."""
        rescale = None if self.step_rescale is None else list(self.step_rescale)
        found: dict[str, Any] = {"window_kappa": self.window_kappa, "step_rescale": rescale}
        found["sparse_min_context"] = dict(self.sparse_min_context) or None
        found["costs"] = {name: table.to_dict() for name, table in self.costs.items()} or None
        return {key: value for key, value in found.items() if value is not None}

    def over(self, other: Calibration) -> Calibration:
        """Return this calibration, completed by ``other``."""
        return Calibration(
            other.window_kappa if self.window_kappa is None else self.window_kappa,
            other.step_rescale if self.step_rescale is None else self.step_rescale,
            {**other.sparse_min_context, **self.sparse_min_context},
            {**other.costs, **self.costs},
        )

    def applied(self, spec: WorldSpec, device: torch.device) -> WorldSpec:
        """Return the constants of a world with these numbers for ``device``; what is missing stays."""
        changes: dict[str, Any] = {}
        if self.window_kappa is not None:
            changes["window_kappa"] = float(self.window_kappa)
        if self.step_rescale is not None:
            changes["step_rescale"] = self.step_rescale
        for name in (device_name(device), device.type):
            if name in self.sparse_min_context:
                changes["sparse_min_context"] = self.sparse_min_context[name]
                break
        return replace(spec, **changes) if changes else spec


def cost_name(world: BaseWorld) -> str:
    """Return the name of a world's cost table: the device, and what else decides the model's times."""
    return ", ".join(filter(None, (device_name(world.device), world.execution_name())))


def calibration(world: str) -> Calibration:
    """Read what is known of a world: what was measured here before what ships.

    Raises:
        ValueError: a file that is damaged; names it.
    """
    if not _FILE_NAME.fullmatch(world):
        return Calibration()
    shipped = resources.files("li_env.configs") / "calibration" / f"{world}.yaml"
    found = Calibration()
    for path in (own_file(world), Path(str(shipped))):
        if path.is_file():
            found = found.over(_read(path))
    return found


def own_file(world: str) -> Path:
    """Return the file of what was measured on this machine; it need not exist."""
    return cache_folder() / "calibration" / f"{world}.yaml"


def keep(world: str, measured: Calibration, path: Path | None = None) -> Path:
    """Write measured numbers over those in a file, by default `own_file`; return its path."""
    path = own_file(world) if path is None else path
    before = _read(path) if path.is_file() else Calibration()
    text = yaml.safe_dump(measured.over(before).to_dict(), sort_keys=False)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _read(path: Path) -> Calibration:
    data = read_yaml(path, "calibration", "a file that li-env calibrate wrote")
    return Calibration.from_dict(check_mapping(str(path), {} if data is None else data), path.name)
