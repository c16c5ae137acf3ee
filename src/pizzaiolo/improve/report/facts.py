"""What the report of a search is made of: most of it optional, shown where it is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..ablation import Effect
from ..diagnose.run import Diagnosis
from ..leaderboard import Leaderboard
from ..trial import Study
from ..winner import Crowned


@dataclass(frozen=True)
class Facts:
    """All that is known of a search.

    `dataset` and `out` are as a person typed them, for the commands; `seconds` is what the search
    took, `wish` the accuracy that is wished for, `advice` what to do next as `what`, `why` and
    `command`. What is None or empty is left out of the report; `interrupted` says so in it.
    """

    study: Study
    board: Leaderboard
    dataset: str = "DATA"
    out: str = "STUDY"
    seconds: float | None = None
    wish: float | None = None
    advice: Sequence[Mapping[str, Any]] = ()
    diagnosis: Diagnosis | None = None
    ablation: Sequence[Effect] = ()
    test: Crowned | None = None
    interrupted: bool = False
