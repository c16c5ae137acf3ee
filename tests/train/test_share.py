"""What each of several processes reads of an epoch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from pizzaiolo.train.data import batches
from pizzaiolo.train.parallel import share


@pytest.mark.parametrize("rank", [0, 1, 2])
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("rows", [9, 16, 18, 20, 25])
def test_an_epoch_that_goes_on_midway_has_the_batches_it_would_have_had(
    monkeypatch: pytest.MonkeyPatch, rank: int, count: int, rows: int
) -> None:
    """Pain: a short end went round to where the epoch went on, not to where it had begun."""
    monkeypatch.setenv("WORLD_SIZE", str(count))
    monkeypatch.setenv("RANK", str(rank % count))
    data = TensorDataset(torch.arange(rows), torch.zeros(rows))
    loader = batches(data, 4, shuffle_seed=0)
    part = share(loader)

    def epoch(start: int) -> list[Any]:
        loader.set_epoch(3, start * count)
        return [batch.tolist() for batch, _ in part]

    whole = epoch(0)
    assert len(whole) == len(part)
    for start in range(len(whole)):
        assert epoch(start) == whole[start:]
