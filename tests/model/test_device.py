"""Where training runs, and the one seed."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from pizzaiolo.errors import UsageError
from pizzaiolo.model.device import choose_device, one_thread, own_mode, seed_everything


def test_the_cpu_is_always_there() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cuda", "mps", "cpu")


def test_auto_prefers_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


def test_a_device_that_is_not_here_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no cuda device") as caught:
        choose_device("cuda")
    assert "cpu" in (caught.value.hint or "")


def test_one_seed_for_python_numpy_and_torch() -> None:
    def draw(seed: int) -> tuple[float, float, float]:
        with own_mode():
            seed_everything(seed)
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    assert draw(1) == draw(1)
    assert all(a != b for a, b in zip(draw(1), draw(2), strict=True))


@pytest.mark.usefixtures("three_threads")
def test_the_number_of_threads_is_put_back_by_the_last_who_wanted_one() -> None:
    """It stayed at one where two had wanted it and the first to come was the first to go."""
    first_in, second_in = threading.Event(), threading.Event()

    def first() -> None:
        with one_thread():
            first_in.set()
            second_in.wait(10)

    def second() -> int:
        first_in.wait(10)
        with one_thread():
            second_in.set()
            done.result(10)
            return torch.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        done = pool.submit(first)
        assert pool.submit(second).result(10) == 1, "one of both still wants it"
    with one_thread(), one_thread(wanted=False):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)
