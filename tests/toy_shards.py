"""Any small DATASET once more, its pictures in shards."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import Dataset, Row
from pizzaiolo.core.shards import Place, find_place
from pizzaiolo.prepare import shards
from pizzaiolo.prepare.write import STAGING, store_copies


def place_of(row: Row) -> Place:
    """Where a row's picture lies in its shard."""
    place = find_place(row.file or "")
    assert place is not None
    return place


def sharded(data: Dataset, root: Path, kind: str = "webdataset", kilobytes: int = 40) -> Dataset:
    """The same pictures, labels and splits in a DATASET of shards of about so many kilobytes."""
    staging, rows = root / STAGING, []
    staging.mkdir(parents=True)
    for row in data.rows:
        content = data.picture(row).read_bytes()
        (staging / f"{row.sha256}.png").write_bytes(content)
        rows.append(replace(row, file=None, copy_sha256=hashlib.sha256(content).hexdigest()))
    config = PrepareConfig(format="png", shards=kind, shard_mb=kilobytes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "MEGABYTE", 1000)
        placed = store_copies(root, rows, data.labels.names, config)
    made = replace(data, root=root, rows=tuple(placed))
    made.save({})
    return made
