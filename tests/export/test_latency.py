"""The time of one picture."""

import numpy as np
import pytest

from pizzaiolo.export import latency as module
from pizzaiolo.export.latency import latency


def test_the_latency_is_the_median_of_single_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: set[tuple[int, ...]] = set()
    clock = iter(np.cumsum([0.0, *([0.001, 0.0] * 29), 0.5, *([0.02, 0.0] * 1000)]).tolist())

    def engine(picture):
        shapes.add((*picture.shape, str(picture.dtype)))

    monkeypatch.setattr(module, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(module, "SECONDS", 0.0)
    assert latency(engine, 48) == pytest.approx(1.0)
    assert shapes == {(1, 48, 48, 3, "uint8")}
