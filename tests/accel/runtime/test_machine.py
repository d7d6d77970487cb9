import torch

from li_env.accel.runtime.machine import device_name, peak_memory


def test_the_machine_has_a_name_and_a_peak() -> None:
    cpu = torch.device("cpu")
    assert 20 < peak_memory(cpu)["process"] < 1_000_000  # MiB
    assert "gpu" not in peak_memory(cpu)
    assert "threads" in device_name(cpu)
