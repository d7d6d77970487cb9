from __future__ import annotations

import gc

import pytest
import torch

from li_env.worlds.registry import load_world, register_world, resolve_device, world_entry, world_names
from tests.analytic_world import AnalyticWorld


def load_small(device: str, weights: str | None) -> AnalyticWorld:
    return AnalyticWorld(device)


class CountingLoader:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None, dict]] = []

    def __call__(self, device: str, weights: str | None, **kwargs) -> AnalyticWorld:
        self.calls.append((device, weights, kwargs))
        return AnalyticWorld(device)


def test_built_in_worlds_are_described_without_loading_them():
    entry = world_entry("freedoom")
    assert entry.loader == "li_env.worlds.freedoom.world:load"
    assert entry.frame_size == (96, 128)
    assert entry.licence == "Apache-2.0"


def test_a_world_is_loaded_once_while_somebody_holds_it():
    loader = CountingLoader()
    register_world("counted", loader, "for this test")
    assert "counted" in world_names()
    one = load_world("counted", device="cpu")
    assert load_world("counted", device="cpu") is one
    other = load_world("counted", device="cpu", weights="/elsewhere")
    assert other is not one
    assert loader.calls == [("cpu", None, {}), ("cpu", "/elsewhere", {})]
    del one, other
    gc.collect()
    load_world("counted", device="cpu")
    assert len(loader.calls) == 3, "the registry must not keep weights that nobody uses"


def test_registering_again_replaces_the_loader():
    register_world("replaced", CountingLoader(), "first")
    first = load_world("replaced", device="cpu")
    register_world("replaced", CountingLoader(), "second")
    assert load_world("replaced", device="cpu") is not first
    assert world_entry("replaced").description == "second"


def test_loaders_by_name_are_imported_when_needed():
    register_world("by_name", f"{__name__}:load_small", "by name")
    assert load_world("by_name", device="cpu").spec.name == "analytic"


def test_unknown_names_list_the_known_ones():
    with pytest.raises(
        ValueError, match=r"world='freedom' is unknown \(did you mean 'freedoom'\?\); allowed: .*freedoom"
    ):
        load_world("freedom")


def test_arguments_that_a_world_does_not_take_are_named():
    with pytest.raises(ValueError, match="random_weights=True is not an argument of world 'freedoom'"):
        load_world("freedoom", device="cpu", random_weights=True)


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    with pytest.raises(
        ValueError, match="device='cuda' is not available: PyTorch sees no GPU; allowed here: auto, cpu"
    ):
        resolve_device("cuda")
    with pytest.raises(ValueError, match="device='gpu' is unknown.*allowed: auto, cpu, cuda"):
        resolve_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == "cuda"


def test_a_description_with_an_unknown_key_is_refused(tmp_path, monkeypatch):
    from li_env.worlds import registry

    (tmp_path / "worlds").mkdir()
    (tmp_path / "worlds" / "odd.yaml").write_text("name: odd\nlodaer: x:y\ndescription: d\n")
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registry.resources, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"odd.yaml: key='lodaer' is unknown \(did you mean 'loader'\?\)"):
        registry.world_names()
