"""How settings are declared and checked: every value of every step, when it is made."""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from .errors import UsageError, nearest


def option(
    default: Any = MISSING,
    help: str = "",
    *,
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A dataclass field with its help text and the values that it allows."""
    metadata = {"help": help, "choices": choices, "low": low, "high": high}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """Base of all settings: checks every value when it is made."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for f in fields(self):
            checked = _check(f.name, getattr(self, f.name), hints[f.name], f.metadata)
            object.__setattr__(self, f.name, checked)


def _check(name: str, value: Any, kind: Any, limits: Mapping[str, Any]) -> Any:
    value = _cast(name, value, kind)
    if value is None:
        return None
    if limits.get("choices") and value not in limits["choices"]:
        raise UsageError(
            f"{name} is {value!r}, which is not known", hint=nearest(str(value), limits["choices"])
        )
    low, high = limits.get("low"), limits.get("high")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, float) and not math.isfinite(number):
            raise UsageError(f"{name} is {value}, expected a finite number")
        if (low is not None and number < low) or (high is not None and number > high):
            allowed = (
                f"{low if low is not None else '...'} to {high if high is not None else '...'}"
            )
            raise UsageError(f"{name} is {value}, expected {allowed}")
    return value


def _cast(name: str, value: Any, kind: Any) -> Any:
    """The value as the field's type: lists become tuples, whole numbers become floats."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in options:
        return None
    for option_type in options:
        origin = typing.get_origin(option_type) or option_type
        if origin is tuple and isinstance(value, (list, tuple)):
            inner = typing.get_args(option_type)[0]
            return tuple(_cast(name, item, inner) for item in value)
        if origin is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value) if abs(value) < 2**1000 else math.inf
        if isinstance(value, origin) and not (origin is int and isinstance(value, bool)):
            return value
    wanted = " or ".join(getattr(o, "__name__", str(o)) for o in options if o is not type(None))
    raise UsageError(f"{name} must be {wanted}, received {value!r}")


_DURATION = re.compile(r"(?:([0-9.]+)h)?(?:([0-9.]+)m)?(?:([0-9.]+)s)?")


def duration(text: str) -> float:
    """Seconds of a time as people write it: 90s, 5m, 1h, 2h30m. Raises `UsageError`."""
    found = _DURATION.fullmatch(text.strip().lower())
    try:
        parts = [float(part or 0) for part in found.groups()] if found else []
    except ValueError:  # two points in a number
        parts = []
    seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if not 0 < seconds < math.inf:
        raise UsageError(f"the time {text!r} is not known", hint="for example 90s, 5m, 1h or 2h30m")
    return seconds
