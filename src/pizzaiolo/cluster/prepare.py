"""`prepare --ray`: the same data set, the looks at the files and at the hashes by a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import PrepareConfig
from ..errors import UsageError, extras_explained
from ..step import loading
from .session import connected, explained


def prepare(
    sources: Path | str | Sequence[Path | str],
    out: Path | str,
    config: PrepareConfig = PrepareConfig(),
    decisions: Path | str | None = None,
    *,
    ray: str,
) -> dict[str, Any]:
    """As `prepare`, by the Ray cluster at the address `ray`, or `local`: rows and split are the
    same. Pictures and `out` must lie where all its machines see them.

    Raises as `prepare` does, `InputError` for a cluster that doesn't answer, and `WorkError` for
    a machine that can't see the pictures.
    """
    if config.workers is not None:
        raise UsageError(
            f"workers is {config.workers}, which is for one machine",
            hint="leave it out: with --ray all processors of the cluster look at the files",
        )
    with extras_explained(), loading():
        from ..prepare.engine import Engine
        from ..prepare.run import prepare as run
    with connected(ray) as cluster:
        from .duplicates import near_pairs_on
        from .embed import compute
        from .inspect import inspect_all

        with explained("the preparation"):
            engine = Engine(inspect_all, near_pairs_on(cluster), compute)
            return run(sources, out, config, decisions, engine)
