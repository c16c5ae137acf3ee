"""Writes docs/reference/settings.md from the dataclasses: python docs/make_reference.py"""

from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

from pizzaiolo.config import SECTIONS
from pizzaiolo.settings import Config

TARGET = Path(__file__).parent / "reference" / "settings.md"
HEAD = """# Settings

Every setting is a flag (`--batch-size 64`) and a key of a TOML recipe (`batch_size = 64` below
`[train]`, given with `--config recipe.toml`); a flag overrides the recipe. The settings that a
model was trained with stand in `RUN/config.toml`, which is itself a recipe. An unknown key is an
error that names the nearest one. The folder `recipes/` holds examples.

This page is made from the code by `python docs/make_reference.py`.
"""


def page() -> str:
    """The page's text."""
    return "\n".join([HEAD, *(_section(name, kind) for name, kind in SECTIONS.items())])


def _section(name: str, kind: type[Config]) -> str:
    hints = get_type_hints(kind)
    lines = [f"## `[{name}]`, flags of `pizzaiolo {name}`\n"]
    lines += ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for field in fields(kind):
        cells = (
            f"`{field.name}`",
            _type(hints[field.name]),
            "" if field.default in (None, ()) else f"`{_shown(field.default)}`",
            _meaning(field.metadata),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _type(hint: object) -> str:
    words = str(getattr(hint, "__name__", hint)) if isinstance(hint, type) else str(hint)
    words = (
        words.replace(" | None", "")
        .replace("tuple[float, ...]", "numbers")
        .replace("tuple[str, ...]", "texts")
    )
    return {"str": "text", "int": "whole number", "float": "number", "bool": "yes or no"}.get(
        words, words
    )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _meaning(limits: dict[str, object]) -> str:
    text = str(limits["help"])
    if limits["choices"]:
        text += ": " + ", ".join(f"`{choice}`" for choice in limits["choices"])
    low, high = limits["low"], limits["high"]
    if low is not None or high is not None:
        given = (("at least", low), ("at most", high))
        text += f" ({', '.join(f'{word} {bound}' for word, bound in given if bound is not None)})"
    return text


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
