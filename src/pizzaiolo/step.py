"""Makes a step's folder callable, so that `pizzaiolo.prepare(...)` is the verb and the place."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from .errors import extras_explained


class Step(ModuleType):
    """A package whose call is the function of the same name in its module `run`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        verb = self.__name__.rpartition(".")[2]
        with extras_explained():
            with loading():
                module = import_module(f"{self.__name__}.run")
            return getattr(module, verb)(*args, **kwargs)


def make_callable(package: str) -> None:
    """Let the package `package` be called as its own verb."""
    sys.modules[package].__class__ = Step


@contextmanager
def loading() -> Iterator[None]:
    """Loads modules without the garbage collector: they make a million objects, and all stay.

    Its looks at them took a fifth of the time that importing torch and timm takes.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
