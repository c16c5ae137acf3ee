"""STUDY: the folder of a search, and what it is a search of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import ImproveConfig
from ..core.bundle import new_folder, write_text
from ..core.locks import locked
from ..core.manifest import Dataset
from ..errors import StorageError, UsageError
from .space import Space

FILE, SPACE = "study.json", "space.toml"


def open_study(out: Path, data: Dataset, space: Space, config: ImproveConfig) -> Path:
    """The folder of a search, a new one or that of the same search begun before.

    Raises `UsageError` for that of another search and `StorageError` for any other folder.
    """
    identity = {
        "data set": data.fingerprint,
        "aim": config.aim,
        "folds": config.folds,
        "seed": config.seed,
        **{f"space {name}": domain for name, domain in space.to_dict().items()},
    }
    lock = out / ".claims.lock"
    # Another process may be making the same folder: what it has begun is no stranger's.
    if not lock.exists() and not (out.is_dir() and not any(out.glob("[!.]*"))):
        new_folder(out, "study", FILE)
    with locked(lock):
        if (out / FILE).is_file():
            _check(_read(out / FILE), identity, out)
        else:
            facts = {"identity": identity, "dataset": str(data.root.resolve())}
            write_text(out / FILE, json.dumps(facts, indent=2, ensure_ascii=False))
        if not (out / SPACE).is_file():
            write_text(out / SPACE, space.to_toml())
    return out


def _read(file: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        return dict(facts["identity"])
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{file} is damaged: {error}", hint="choose another --out") from None


def _check(was: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    now = json.loads(json.dumps(now))
    keys = [key for key in {**was, **now} if was.get(key) != now.get(key)]
    if keys:
        shown = "; ".join(f"{k}: was {was.get(k)}, is {now.get(k)}" for k in keys)
        own = f", --space {out / SPACE}" if any(k.startswith("space ") for k in keys) else ""
        raise UsageError(
            f"{out} is of another search: {shown}",
            hint=f"bring back what it was{own}, or choose another --out",
        )
