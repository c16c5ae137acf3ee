"""Who does the long work of a preparation: this machine, unless another engine offers its own."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..config import PrepareConfig
from .candidate import Candidate
from .duplicates import NearPairs
from .hamming import near_pairs
from .inspect import Finding
from .pool import inspect_all

if TYPE_CHECKING:
    from ..model.features import Compute


class Inspect(Protocol):
    """Looks at every file, in order; the copies go to `staging`. Closing it ends it early."""

    def __call__(
        self, candidates: Sequence[Candidate], staging: Path, config: PrepareConfig
    ) -> Generator[Finding]: ...


@dataclass(frozen=True)
class Engine:
    """What looks at the files, what finds the hashes that are near to each other, and what
    computes the features; None is this process."""

    inspect: Inspect = inspect_all
    near: NearPairs = near_pairs
    compute: Compute | None = None
