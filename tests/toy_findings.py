"""Findings of made-up pictures, and `decide` with the sight of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import Row
from pizzaiolo.prepare import decide as module
from pizzaiolo.prepare.candidate import Candidate
from pizzaiolo.prepare.decide import Help
from pizzaiolo.prepare.inspect import Finding, perceptual_hash
from pizzaiolo.prepare.table import Seen

Grey = np.ndarray[Any, np.dtype[np.uint8]]
PICTURES: dict[str, Grey] = {}


class Sight:
    """The pictures of all findings that were made."""

    @contextmanager
    def greys(self, rows: Sequence[Row]) -> Iterator[Callable[[Any], Grey]]:
        yield lambda places: np.stack([PICTURES[rows[i].sha256 or ""] for i in places])

    def features(self, rows: Sequence[Row]) -> None:
        return None


def patches(content: int, twist: int = 0) -> Grey:
    """A picture [64, 64]; `twist` changes a few pixels, as saving it again would."""
    grey = np.random.default_rng(content).integers(40, 200, (8, 8), np.uint8)
    grey = grey.repeat(8, 0).repeat(8, 1)
    start = 2 * (twist % 8)
    grey[start : start + 4, :6] += np.uint8(10 * bool(twist))
    return grey


def finding(
    grey: Grey, sha256: str, path: str, label: str, *, source: dict[str, Any], **facts: Any
) -> Finding:
    """What a look at a picture [64, 64] would have found."""
    PICTURES[sha256] = grey
    small = grey.reshape(32, 2, 32, 2).mean((1, 3)).astype(np.uint8)
    return Finding(
        Candidate(Path(path), path, label, **source), sha256=sha256,
        phash=perceptual_hash(small), mirror=perceptual_hash(small[:, ::-1]), **facts,
    )  # fmt: skip


def decide(
    findings: Sequence[Finding], config: PrepareConfig, help: Help = Help()
) -> tuple[Sequence[Row], list[str]]:
    """The decision of someone who sees the pictures."""
    return module.decide(Seen(findings, config), config, replace(help, sight=Sight()))
