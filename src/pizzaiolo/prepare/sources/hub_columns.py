"""Which columns of a hub data set hold the pictures and the labels, and what a label says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import ClassLabel, Image, Value

from ...errors import SourceError, nearest


def find_columns(
    features: Mapping[str, Any] | None, columns: Sequence[str], source: str
) -> tuple[str, str]:
    """The column of pictures and the column of labels: by type, or as `columns` names them.

    A label is a `ClassLabel`, or a text where there is none. Raises `SourceError` naming the
    columns where there is none or more than one of a kind.
    """
    features = features or {}
    for name in columns:
        if name not in features:
            raise SourceError(f"{source} has no column {name!r}", hint=nearest(name, features))
    pictures = _of_type(features, Image)
    plain = _of_type(features, ClassLabel | Value)
    texts = [name for name in plain if features[name].dtype in ("string", "large_string")]
    labels = _of_type(features, ClassLabel) or texts
    return (
        _one([n for n in columns if n in pictures] or pictures, "pictures", features, source),
        _one([n for n in columns if n in plain] or labels, "labels", features, source),
    )


def _of_type(features: Mapping[str, Any], kind: Any) -> list[str]:
    return [name for name, feature in features.items() if isinstance(feature, kind)]


def _one(fitting: Sequence[str], what: str, features: Mapping[str, Any], source: str) -> str:
    if len(fitting) == 1:
        return fitting[0]
    number = f"{len(fitting)} columns of {what}: {', '.join(fitting)}"
    types = ", ".join(f"{n} ({type(f).__name__})" for n, f in features.items())
    raise SourceError(
        f"{source} has {number if fitting else f'no column of {what}'}, expected one",
        hint=f"its columns are {types or 'of unknown type'}"
        + ("; name one: hf:owner/name#COLUMN" if fitting else ""),
    )


def class_names(feature: Any) -> tuple[str, ...] | None:
    """All classes that a column of labels can hold; None where only its rows can tell."""
    return tuple(feature.names) if isinstance(feature, ClassLabel) else None


def label_text(value: Any, names: Sequence[str] | None) -> str | None:
    """What a label says; None for one that is missing, as the test pictures of contests have."""
    if value is None or value != value:
        return None
    if names is not None:
        known = isinstance(value, int) and 0 <= value < len(names)
        return names[value] if known else None
    text = str(value).strip()
    return text if text and "\0" not in text else None
