"""A wrapper hands on every part of a world, those that are added later too."""

from __future__ import annotations

import inspect

import numpy as np
import torch

from li_env.accel.world import BaseWorld
from li_env.accel.world_wrapper import WorldWrapper
from tests.analytic_world import AnalyticWorld


def parts(cls: type) -> set[str]:
    """Public methods and attributes of a class, those of its annotations too."""
    annotated = {name for each in cls.__mro__ for name in inspect.get_annotations(each)}
    return {name for name in {*dir(cls), *annotated} if not name.startswith("_")}


def test_every_member_of_a_world_is_handed_on():
    methods = {name for name in parts(BaseWorld) if callable(getattr(BaseWorld, name, None))}
    assert methods <= set(vars(WorldWrapper)), methods - set(vars(WorldWrapper))
    world = AnalyticWorld()
    marks = {name: object() for name in parts(BaseWorld) - methods}
    for name, mark in marks.items():
        setattr(world, name, mark)
    wrapped = WorldWrapper(world)
    assert {name: getattr(wrapped, name) for name in marks} == marks


def test_every_method_reaches_the_world_inside():
    calls = []

    class Listening(AnalyticWorld):
        def __getattribute__(self, name):
            if not name.startswith("_") and callable(getattr(BaseWorld, name, None)):
                return lambda *arguments: calls.append((name, arguments)) or (name, arguments)
            return super().__getattribute__(name)

    wrapped = WorldWrapper(Listening())
    for name in parts(WorldWrapper):
        method = getattr(wrapped, name, None)
        if inspect.ismethod(method):
            count = len(inspect.signature(method).parameters)
            method(*[object() for _ in range(count)])
            assert calls[-1][0] == name
            assert len(calls[-1][1]) == count


def test_nobody_gets_around_what_a_wrapper_changes():
    class Dark(WorldWrapper):
        def decode(self, latents, streams):
            frames, following = self.world.decode(latents, streams)
            return [np.zeros_like(each) for each in frames], following

        def generate(self, requests):
            return [torch.zeros_like(each) for each in self.world.generate(requests)]

    dark = Dark(AnalyticWorld())
    frames, _ = dark.decode_on_device([torch.rand(4, 4, 6, 8)], [None])
    assert not frames[0].any()
    assert dark.generate_stream([]) == []
