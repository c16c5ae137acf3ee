"""`pizzaiolo improve`: a search, what would help, and the winner tested once; into a STUDY."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config import ImproveConfig, to_dict
from ..console import Advance, log, progress
from ..core.bundle import write_text
from ..core.locks import locked
from ..core.manifest import Dataset
from ..errors import GateError, InputError, UsageError
from ..settings import duration
from .clock import PRICES, SEARCH, Clock
from .conclude import Ending, conclude
from .part import searched_part
from .search import Search, take_part
from .soup import add_soups
from .space import Space
from .study import open_study
from .workers import Task, on_this_machine

Crew = Callable[[Search, Task, Advance], None]
TRIALS = 100  # that are searched where neither trials nor a timeout is given


def improve(
    dataset: Path | str | Dataset,
    out: Path | str,
    config: ImproveConfig = ImproveConfig(),
    *,
    space: Path | str | Space | None = None,
    suggest: Path | str | None = None,
    crew: Crew = on_this_machine,
) -> dict[str, Any]:
    """Search for better settings of `train`, and say what else would help.

    Every setting of `space` (a TOML file, see recipes/search_*.toml) is judged by the pictures of
    the train and the validation split that it had not learnt from, and compared with the default
    recipe on the same pictures. The winner is then trained into `out`/best and meets the test
    split once. Run again with the same `out`, it goes on; several processes may at once. `suggest`
    is a folder of unlabelled photos: which of them to label next. `crew` is who tries the settings,
    this process and `config.workers` - 1 others unless it is given. Returns what `improve --json`
    prints; `interrupted` is True where Ctrl-C ended the search early.
    Raises `DatasetError`, `UsageError`, `InputError`, `WorkError` or `StorageError`.
    """
    clock = Clock(time.monotonic(), duration(config.timeout) if config.timeout else None)
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    if suggest is not None and not Path(suggest).is_dir():
        raise InputError(f"{suggest} is no folder, expected one of unlabelled photos")
    if config.trials is None and clock.seconds is None:
        done = suggest is not None and (Path(out) / "best" / "model.pt").is_file()
        config = replace(config, trials=1 if done else TRIALS)
    asked = space if isinstance(space, Space) else Space.read(space)
    folder = open_study(Path(out), data, asked, config)
    with closing(take_part(folder, data, asked, config)) as search:
        interrupted = _search(search, data, config, clock, crew, usual=space is None)
        ending = Ending(folder, data, config, search, Path(suggest) if suggest else None)
        with locked(folder / ".conclusion.lock"):
            result = conclude(ending, clock, interrupted)
    write_text(folder / "improve.json", json.dumps(result, indent=2, ensure_ascii=False))
    if result["best"] is None:
        raise GateError(
            f"none of the {result['trials']} settings keeps to the limits, see {result['report']}",
            hint="a larger --max-latency-ms or --max-mb, or --space with smaller models",
        )
    return result


def _search(
    search: Search, data: Dataset, config: ImproveConfig, clock: Clock, crew: Crew, usual: bool
) -> bool:
    """Try the default recipe, then settings; whether Ctrl-C ended it."""
    search.first()
    clock.keep(search.default.seconds)
    search.deadline = clock.at(SEARCH)
    try:
        search.part = searched_part(search, config, usual)
        with progress("settings", config.trials) as advance:
            crew(search, _task(search, data, config), advance)
        add_soups(search, clock.at(PRICES))
    except KeyboardInterrupt:
        log.info("interrupted: what is finished is kept, the same command goes on")
        return True
    _check_tried(search, config)
    return False


def _task(search: Search, data: Dataset, config: ImproveConfig) -> Task:
    """What other processes of the search are told."""
    left = None if search.deadline is None else search.deadline - time.monotonic()
    return Task(
        study=str(search.journal.folder),
        dataset=str(data.root),
        settings=to_dict(config),
        leading=(search.part or search.journal.space).leading(),
        end=None if left is None else time.time() + left,
    )


def _check_tried(search: Search, config: ImproveConfig) -> None:
    """Raise `UsageError` where the time was too short for a single setting."""
    trials = search.journal.trials()
    if len(trials) == 1 and search.over:
        needed = 3 * trials[0].seconds / SEARCH
        raise UsageError(
            f"the timeout of {config.timeout} was over before one setting was tried; "
            f"the default recipe alone took {trials[0].seconds:.0f} s",
            hint=f"--timeout {max(60, round(needed))}s or more",
        )
