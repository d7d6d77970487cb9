import numpy as np
import pytest
import torch

from li_env.accel.device import on_device, on_host, own_storage, to_device, unbatch

VALUES = torch.arange(6.0).reshape(2, 3)


def test_values_arrive():
    arrived = to_device(VALUES, torch.device("cpu"))
    assert torch.equal(arrived, VALUES)
    assert arrived.device.type == "cpu"


def test_the_host_and_the_device_take_arrays_and_tensors():
    array, cpu = VALUES.numpy(), torch.device("cpu")
    array.setflags(write=False)
    assert on_host(array) is array
    assert on_device(VALUES, cpu) is VALUES
    assert np.array_equal(on_host(VALUES), array)
    assert torch.equal(on_device(array, cpu), VALUES)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_not_waited_for():
    device = torch.device("cuda")
    busy = torch.randn(8192, 8192, device=device)
    torch.cuda.synchronize()
    to_device(VALUES, device)  # the pinned memory is there from now on
    done = torch.cuda.Event()
    for _ in range(20):
        busy = busy @ busy
    done.record()
    arrived = to_device(VALUES, device)
    assert not done.query()
    assert torch.equal(arrived.cpu(), VALUES)


def test_compact_values_keep_no_batch_alive():
    batch = torch.arange(12.0).reshape(3, 4)
    own = own_storage(batch[1])
    assert torch.equal(own, batch[1])
    assert own.untyped_storage().nbytes() == 16
    assert own_storage(own) is own


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize(
    "layout",
    [
        lambda batch: batch,
        lambda batch: batch.to(memory_format=torch.channels_last),
        lambda batch: batch.transpose(0, 3),
        lambda batch: batch.permute(0, 2, 1, 3),
        lambda batch: batch[..., ::2],
        lambda batch: batch[:, :1].expand(-1, 3, -1, -1),
    ],
    ids=["contiguous", "channels last", "first dimension last", "permuted", "strided", "expanded"],
)
def test_pieces_are_the_parts_and_keep_no_batch_alive(device, dtype, layout):
    batch = torch.randint(0, 255, (7, 3, 5, 7), generator=torch.Generator().manual_seed(0)).to(device, dtype)
    batch = layout(batch)
    sizes = [1, 4, 2]
    pieces = unbatch(batch, sizes)
    for piece, part in zip(pieces, batch.split(sizes), strict=True):
        assert torch.equal(piece, part)
        assert piece.is_contiguous()
        assert piece.untyped_storage().nbytes() == part.numel() * part.element_size()
