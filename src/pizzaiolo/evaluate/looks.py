"""How often the test split was looked at: figures that choices were made by are too good.

The counter is a small file in the RUN, and stays there when a training is done again in the same
folder: that is when it tells most.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..console import log
from ..core.bundle import write_text
from ..errors import PizzaioloError

FILE = "looks.json"
FORMAT_VERSION = 1
MOST_BYTES = 1_000_000  # a larger file is not ours
MOSTLY = 0.5  # the share of a split that makes it training data


def run_of(model: Path | str) -> Path | None:
    """The RUN folder of a MODEL argument (the folder, or its model.pt); None for any other file."""
    path = Path(model)
    folder = path if path.is_dir() else path.parent
    inside = path.is_dir() or path.name == "model.pt"
    return folder if inside and (folder / "run.json").is_file() else None


def count_look(run: Path | None, fingerprint: str) -> int:
    """Count one more look at the test split of a DATASET; how many there were, with this one.

    1 where there is no RUN to count in. A RUN that can't be written stops nothing: the look is
    told but not kept.
    """
    if run is None:
        return 1
    known = _read(run / FILE)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    earlier = known.get(fingerprint, {"looks": 0, "first": now})
    looks = int(earlier["looks"]) + 1
    known[fingerprint] = {"looks": looks, "first": earlier["first"], "last": now}
    facts = {"format_version": FORMAT_VERSION, "test": known}
    try:
        write_text(run / FILE, json.dumps(facts, indent=2))
    except (PizzaioloError, OSError) as error:
        log.warning("this look at the test split can't be counted: %s", error)
    return looks


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """What was counted so far, by fingerprint; nothing where the file is absent or damaged."""
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return {}
        counted = json.loads(path.read_bytes())["test"]
        return {str(key): value for key, value in counted.items() if _sound(value)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _sound(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    looks, first = value.get("looks"), value.get("first")
    return type(looks) is int and 0 <= looks < 2**31 and isinstance(first, str)


def looks_warning(looks: int) -> str | None:
    """What to say of so many looks at the test split; None for the first."""
    if looks <= 1:
        return None
    return (
        f"the test split is looked at for the {_ordinal(looks)} time with this RUN: what was "
        "chosen by its figures makes them too good; choose by the validation split"
    )


def _ordinal(number: int) -> str:
    teen = 10 < number % 100 < 20
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def training_warning(split: str, pictures: int, trained: int) -> str | None:
    """What to say where training data are looked at as if they were test data, else None.

    `trained` of the `pictures` looked at are copies of training pictures.
    """
    if split == "train":
        return "the model has learned from the train split: its figures say nothing of new pictures"
    if pictures and trained >= MOSTLY * pictures:
        return (
            f"{trained} of {pictures} pictures are copies of training pictures: these are "
            "training data, and the figures say nothing of new pictures"
        )
    return None
