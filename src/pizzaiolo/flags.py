"""Command-line flags made from the settings' dataclasses, so that both can't drift apart."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from .config import load_config
from .errors import UsageError
from .settings import Config

RecipeFlag = Annotated[
    Path | None, typer.Option("--config", help="TOML recipe; flags override it", metavar="FILE")
]


def with_flags(kind: type[Config]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command one flag per field of `kind`, plus `--config`; it receives `config`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        names = [f.name for f in fields(kind)]
        own = inspect.signature(command, eval_str=True)

        @wraps(command)
        def run(**given: Any) -> Any:
            chosen = {name: _parsed(kind, name, given.pop(name)) for name in names}
            config = load_config(kind, given.pop("recipe_file"), chosen)
            return command(config=config, **given)

        recipe = inspect.Parameter(
            "recipe_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=RecipeFlag
        )
        kept = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for p in own.parameters.values()
            if p.name != "config"
        ]
        run.__signature__ = own.replace(parameters=[*kept, *_flags(kind), recipe])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [*kept, *_flags(kind), recipe]}
        return run

    return decorate


def _flags(kind: type[Config]) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(kind)
    return [
        inspect.Parameter(
            f.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                _flag_type(hints[f.name]), typer.Option(help=_help(f.metadata, f.default))
            ],
        )
        for f in fields(kind)
    ]


def _flag_type(hint: Any) -> Any:
    """The flag's type: str, int, float or bool. Several texts are a flag that may be repeated,
    several numbers are one text with commas."""
    if hint == tuple[str, ...]:
        return list[str] | None
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    plain = next(option for option in options if option is not type(None))
    plain = str if typing.get_origin(plain) is tuple else plain
    return plain | None


def _help(metadata: Any, default: Any) -> str:
    text = str(metadata["help"])
    if metadata["choices"]:
        text += f" ({', '.join(metadata['choices'])})"
    if default is None or default is False or default == ():
        return text
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    return f"{text} [default: {shown}]"


def _parsed(kind: type[Config], name: str, value: Any) -> Any:
    hint = typing.get_type_hints(kind)[name]
    if value is None or typing.get_origin(hint) is not tuple:
        return value
    if hint == tuple[str, ...]:
        return tuple(value) or None
    try:
        return tuple(float(part) for part in str(value).split(","))
    except ValueError:
        raise UsageError(
            f"{name} is {value!r}, expected numbers separated by commas", hint="for example 1,2,3"
        ) from None
