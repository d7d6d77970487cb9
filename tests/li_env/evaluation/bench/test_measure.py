from __future__ import annotations

from li_env.accel.runtime.engine import Engine
from li_env.evaluation.bench import measure as module
from li_env.evaluation.bench.measure import measure
from li_env.evaluation.bench.run import paths_of
from li_env.evaluation.bench.settings import BenchSettings
from li_env.evaluation.drive import drive
from tests.analytic_world import AnalyticWorld


def test_presets_take_turns_and_the_first_rollouts_do_not_count(monkeypatch):
    settings = BenchSettings(
        presets=("off", "cache"), trajectories=("left-right", "square"), seeds=(0,), repeats=3, chunks=4
    )
    world, driven = AnalyticWorld(), []

    def recorded(engine: Engine, paths, on_chunk):
        driven.append((engine.config.name, paths[0].trajectory))
        return drive(engine, paths, on_chunk)

    paths = paths_of(world, settings, game=False)
    monkeypatch.setattr(module, "drive", recorded)
    measured = measure(world, paths, settings)
    off, cache = "off", "cache"
    assert [name for name, _ in driven] == [off, cache] + [off, cache] * 2 + [cache, off] * 2 + [off, cache] * 2
    assert [name for _, name in driven[2:6]] == ["left-right", "left-right", "square", "square"]
    assert [entry.milliseconds.shape for entry in measured] == [(3, 2, 4, 4)] * 2
    assert all((entry.milliseconds > 0).any(-1).all() for entry in measured)
    assert all(len(entry.quality) == len(entry.work) == 2 for entry in measured), "rated once"
    assert not any(any(entry.degenerated) for entry in measured)


def test_degenerated_rollouts_are_told():
    class BrokenWorld(AnalyticWorld):
        def generate(self, requests):
            return [latents * float("nan") for latents in super().generate(requests)]

    settings = BenchSettings(presets=("off",), trajectories=("square",), seeds=(0,), repeats=1, chunks=4)
    world = BrokenWorld()
    (measured,) = measure(world, paths_of(world, settings, game=False), settings)
    assert measured.degenerated == [True]
