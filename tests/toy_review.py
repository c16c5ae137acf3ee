"""A small data set with everything that a person may have to review, and its sheet."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import Dataset, Row
from pizzaiolo.prepare.decisions import Decision
from pizzaiolo.prepare.review.sheet import replay_command, write_review
from pizzaiolo.prepare.run import prepare

CONFIG = PrepareConfig(workers=1, features=False, size=64)
HOSTILE = (
    "<img src=x onerror=boom()>.png",
    "</script>".replace("/", "\u2215") + ".png",
    "\u202egnp.azzip.png",
    "two\nlines, 'one' \"name\" \U0001f355.png",
    "100%#1?&amp;.png",
)
MARKED: dict[str, dict[str, Any]] = {
    "pizza/2.png": {"label_suspect": 0.95, "suggested": "not_pizza"},
    "pizza/3.png": {"label_suspect": 0.75, "suggested": "not_pizza"},
    "not_pizza/2.png": {"label_suspect": 0.85, "suggested": "pizza", "quality": "blurry, dark"},
    "not_pizza/3.png": {"outlier": 0.9},
    "not_pizza/4.png": {"quality": "dark"},
}

SERVE = """import sys
from pizzaiolo.prepare.review.server import serve_review
serve_review(sys.argv[1], command="pizzaiolo prepare photos --out data")
"""


@dataclass(frozen=True)
class Reviewable:
    """A folder of photos and the data set made of it."""

    source: Path
    root: Path


def picture(seed: int, size: tuple[int, int] = (80, 64)) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC)


def write_photos(source: Path) -> Path:
    """Two classes of twelve good pictures, and what is wrong with others."""
    for place, name in enumerate(("pizza", "not_pizza")):
        (source / name).mkdir(parents=True)
        for i in range(12):
            picture(1000 * place + i).save(source / name / f"{i}.png")
    for i, name in enumerate(HOSTILE):
        picture(500 + i).save(source / "pizza" / name)
    for name in ("pizza/argued.png", "not_pizza/argued.png"):
        picture(600).save(source / name)
    picture(1).resize((160, 128)).save(source / "pizza/twin of 1.jpg", quality=80)
    shutil.copy(source / "pizza/4.png", source / "pizza/copy of 4.png")
    Image.new("RGB", (64, 64), "grey").save(source / "not_pizza/blank.png")
    (source / "pizza/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    return source


def marked(row: Row) -> Row:
    """The row with the flags of `MARKED` and no others."""
    none = dict.fromkeys(("quality", "outlier", "label_suspect", "suggested"))
    return replace(row, **none | MARKED.get(row.path, {}))


def make_reviewable(folder: Path) -> Reviewable:
    """The photos, prepared; flags are set as if the features had been looked at."""
    source = write_photos(folder / "photos")
    prepare(source, folder / "data", CONFIG)
    show(source, folder / "data")
    return Reviewable(source, folder / "data")


def show(source: Path, root: Path, decisions: Sequence[Decision] = ()) -> None:
    """Write the sheet of a data set whose pictures get their flags."""
    dataset = Dataset.open(root)
    dataset = replace(dataset, rows=tuple(marked(row) for row in dataset.rows))
    summary = {"dataset": str(root), **counts(dataset)}
    files = {row.path: source / row.path for row in dataset.rows}
    write_review(dataset, summary, decisions, files, replay_command([source], root, CONFIG))


def counts(dataset: Dataset) -> dict[str, int]:
    status = Counter(row.status for row in dataset.rows)
    return {"found": status.total(), "kept": status["kept"]}


def sheet_data(root: Path) -> dict[str, Any]:
    """What the page knows: items, sections, classes, decisions."""
    page = (root / "review.html").read_text(encoding="utf-8")
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


@contextmanager
def served(root: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The sheet's server in a process of its own; it must end cleanly at Ctrl-C."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(root)], text=True, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr
        address = re.search(r"http://\S+", process.stderr.readline())
        assert address, process.stderr.read()
        try:
            yield address[0], process
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
