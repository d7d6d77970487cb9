import pytest
import torch

from li_env.accel.transfer import apart, compact, upload

VALUES = torch.arange(6.0).reshape(2, 3)


def test_values_arrive():
    arrived = upload(VALUES, torch.device("cpu"))
    assert torch.equal(arrived, VALUES)
    assert arrived.device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_not_waited_for():
    device = torch.device("cuda")
    busy = torch.randn(8192, 8192, device=device)
    torch.cuda.synchronize()
    upload(VALUES, device)  # the pinned memory is there from now on
    done = torch.cuda.Event()
    for _ in range(20):
        busy = busy @ busy
    done.record()
    arrived = upload(VALUES, device)
    assert not done.query()
    assert torch.equal(arrived.cpu(), VALUES)


def test_compact_values_keep_no_batch_alive():
    batch = torch.arange(12.0).reshape(3, 4)
    own = compact(batch[1])
    assert torch.equal(own, batch[1])
    assert own.untyped_storage().nbytes() == 16
    assert compact(own) is own


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_pieces_are_the_parts_and_keep_no_batch_alive(device, dtype):
    batch = torch.randint(0, 255, (7, 3, 5), generator=torch.Generator().manual_seed(0)).to(device, dtype)
    sizes = [1, 4, 2]
    pieces = apart(batch, sizes)
    for piece, part in zip(pieces, batch.split(sizes), strict=True):
        assert torch.equal(piece, part)
        assert piece.untyped_storage().nbytes() == part.numel() * part.element_size()
