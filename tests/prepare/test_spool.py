"""Grey pictures are made once, however often they are asked for."""

from pathlib import Path

import numpy as np
import pytest

from pizzaiolo.prepare import spool
from pizzaiolo.prepare.spool import spooled


def test_each_picture_is_made_once_and_stays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MADE_AT_ONCE", 3)
    pictures = np.random.default_rng(0).integers(0, 256, (12, 64, 64), np.uint8)
    asked: list[int] = []

    def greys(indices: np.ndarray) -> np.ndarray:
        assert len(indices) <= 3
        asked.extend(indices.tolist())
        return pictures[indices]

    with spooled(12, greys, tmp_path) as remembered:
        for indices in ([5], [3, 5, 11, 3], [], [11, 0, 1, 2, 4, 3]):
            found = remembered(np.array(indices, np.int64))
            assert np.array_equal(found, pictures[np.array(indices, np.int64)])
    assert sorted(asked) == [0, 1, 2, 3, 4, 5, 11]
    assert not list(tmp_path.iterdir())
