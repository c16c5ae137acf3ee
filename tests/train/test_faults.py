"""What goes wrong while training is named, with the way out."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

from pizzaiolo.train.data import batches
from pizzaiolo.train.faults import batch_names, is_out_of_memory, not_a_number, too_large


def needs(most: int) -> list[int]:
    return [n for n in (64, 32, 16, 8, 4, 2, 1) if n <= most]


@pytest.mark.parametrize(("size", "most", "fits"), [(64, 20, 16), (7, 3, 3), (2, 1, 1)])
def test_the_batch_that_fits_is_found_by_halving(size: int, most: int, fits: int) -> None:
    tried = []

    def attempt(count: int) -> None:
        tried.append(count)
        if count > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    error = too_large(size, attempt)
    assert f"a batch of {size} pictures; a batch of {fits} fits" in error.message
    assert error.hint == f"--batch-size {fits}" and tried[-1] == fits


def test_where_nothing_fits_a_smaller_model_is_advised() -> None:
    def attempt(count: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    error = too_large(4, attempt)
    assert "not even one picture fits" in error.message and "--size" in (error.hint or "")
    assert "not even one" in too_large(1, attempt).message


def test_another_fault_of_the_attempt_is_not_hidden() -> None:
    def attempt(count: int) -> None:
        raise RuntimeError("no kernel image")

    with pytest.raises(RuntimeError, match="no kernel image"):
        too_large(4, attempt)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("shape mismatch"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_a_full_memory_is_told_from_other_faults(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_the_pictures_of_a_batch_are_those_that_training_took() -> None:
    rows = TensorDataset(torch.arange(10).float()[:, None], torch.zeros(10))
    loader = batches(rows, 4, shuffle_seed=3)
    loader.set_epoch(2)
    taken = [pictures[:, 0].int().tolist() for pictures, _ in loader]
    named = [batch_names(loader, 2, number) for number in range(3)]
    assert named == [[f"row {place}" for place in batch] for batch in taken]


def test_the_message_says_where_and_what_is_kept(tmp_path: Path) -> None:
    rows = TensorDataset(torch.zeros(10, 1), torch.zeros(10))
    error = not_a_number(batches(rows, 8, shuffle_seed=0), 3, 0, tmp_path / "last.ckpt")
    assert "at epoch 3, step 1 (pictures row" in error.message and "and 4 more" in error.message
    assert str(tmp_path / "last.ckpt") in (error.hint or "") and "--lr" in (error.hint or "")
