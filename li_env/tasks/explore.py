"""Explore: see as much of the world as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from li_env.accel.runtime.chunk import PlannedChunk
from li_env.accel.world_spec import WorldSpec
from li_env.tasks.seen_area import SeenArea, ViewWedge
from li_env.tasks.task import Opening, Task


@dataclass(frozen=True)
class ExploreState:
    """Seen area, and the number of cells first seen in the last step."""

    seen: SeenArea
    new_cells: int


class Explore(Task):
    """The reward is newly seen area in units of one full view; no goal, no end, no sensor beside the camera.

    Args:
        spec: of the world; its field of view and view distance say what a view covers.
    """

    name = "explore"
    needs_frames = False

    def __init__(self, spec: WorldSpec) -> None:
        self.wedge = ViewWedge(spec.fov[0], spec.view_distance)

    def begin(self, opening: Opening, pose: np.ndarray, generator: np.random.Generator) -> ExploreState:
        """Begin with the view of the start frame seen."""
        return ExploreState(SeenArea(self.wedge).look(pose[None])[0], 0)

    def advance(self, state: ExploreState, result: PlannedChunk | None) -> ExploreState:
        """Add the views of a chunk."""
        assert result is not None, "Explore has no stop"
        return ExploreState(*state.seen.look(result.poses))

    def advance_all(self, states: Sequence[ExploreState], results: Sequence[PlannedChunk]) -> list[ExploreState]:
        """Advance many episodes at a fraction of the time of `advance`."""
        if type(self).advance is not Explore.advance:  # a subclass advances otherwise
            return super().advance_all(states, results)
        canvases = self.wedge.canvases_of([result.poses for result in results])
        return [ExploreState(*state.seen.add(each)) for state, each in zip(states, canvases, strict=True)]

    def reward(self, state: ExploreState) -> float:
        """Return cells first seen in the last step / cells of one view wedge."""
        return state.new_cells / self.wedge.cells

    def metrics(self, state: ExploreState) -> dict[str, Any]:
        """Return ``seen_area`` in square length units and ``new_cells``."""
        return {"seen_area": state.seen.area, "new_cells": state.new_cells}
