"""The settings that a search may take, read from a TOML file that people change."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any, Protocol, get_type_hints

from ..config import TrainConfig
from ..errors import InputError, UsageError, nearest
from ..train.defaults import BY_STEPS, filled

LEADING = ("recipe", "model", "pretrained", "weights")  # what says which of the others matter
NOT_SEARCHED = {
    "device": "give --device to improve",
    "workers": "it changes no result",
    "checkpoint_seconds": "it changes no result",
    "time_budget": "give --timeout to improve",
}
ONLY_FINETUNE = ("backbone_lr_factor", "drop_path")
FORM = "a list of choices, {low, high} with step or log, or one value"


class Suggests(Protocol):
    """What picks a value of each setting, as a trial of Optuna does."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int: ...


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, in steps or not; whole ones where both are."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def pick(self, trial: Suggests, name: str) -> float:
        """One of its numbers."""
        if self.whole:
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(name, low, high, step=step, log=self.log)
        number = trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)
        return _plain(number)

    def values(self) -> tuple[float, ...] | None:
        """All its numbers, None where there is no end to them."""
        step = 1 if self.whole and self.step is None else self.step
        if step is None:
            return None
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        return tuple(_plain(self.low + i * step) for i in range(count))

    def holds(self, value: Any) -> bool:
        """Whether it reaches over the value, steps aside."""
        return isinstance(value, int | float) and self.low <= value <= self.high


Domain = tuple[Any, ...] | Range


def _plain(number: float) -> float:
    """Without the last digits, in which two ways to the same number may differ."""
    return number if isinstance(number, int) else float(f"{number:.12g}")


@dataclass(frozen=True)
class Space:
    """The values that each setting of `TrainConfig` may take; one alone is fixed.

    `text` is the file that it was read from.
    """

    domains: Mapping[str, Domain]
    text: str

    @classmethod
    def read(cls, file: Path | str | None = None) -> Space:
        """The space in a TOML file, or the usual one. Raises `InputError` or `UsageError`."""
        where = str(file or "space.toml")
        source = Path(file) if file else files(__package__).joinpath("space.toml")
        try:
            text = source.read_text(encoding="utf-8-sig")
            content = tomllib.loads(text)
        except FileNotFoundError:
            raise InputError(f"no space at {where}", hint="see recipes/search_*.toml") from None
        except OSError as error:
            raise InputError(f"can't read {where}: {error.strerror or error}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{where} is not TOML: {error}") from None
        if content.keys() != {"space"} or not isinstance(content["space"], dict):
            raise UsageError(
                f"{where} has the sections {sorted(content)}, expected [space] alone",
                hint="settings of improve itself go into --config",
            )
        return cls({k: _domain(k, v, where) for k, v in content["space"].items()}, text)

    def to_toml(self) -> str:
        """The file that it was read from, to be changed and read again."""
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """The space as JSON-ready values: two files that say the same give the same."""
        return {
            name: vars(domain) if isinstance(domain, Range) else list(domain)
            for name, domain in sorted(self.domains.items())
        }

    def suggest(self, trial: Suggests) -> TrainConfig:
        """The settings that a trial picks, filled in as `train` does.

        A parameter that the recipe has no use for is not asked for, nor is a fixed one.
        """
        values: dict[str, Any] = {}
        for name in (n for n in LEADING if n in self.domains):
            values[name] = self._pick(trial, name)
        for name in self._rest(values):
            values[name] = self._pick(trial, name)
        return filled(TrainConfig(**values))

    def params(self, config: TrainConfig) -> dict[str, Any] | None:
        """What a trial would have picked to get these settings, None where it can't."""
        lead = {name: getattr(config, name) for name in LEADING if name in self.domains}
        names = [*lead, *self._rest(lead)]
        values = {name: getattr(config, name) for name in names}
        for name, value in values.items():
            domain = self.domains[name]
            if not (domain.holds(value) if isinstance(domain, Range) else value in domain):
                return None
        return {name: value for name, value in values.items() if not self._fixed(name)}

    def every(self) -> Iterator[TrainConfig]:
        """All settings there are, one after the other; none where a range has no steps."""
        for lead, names, choices in self._parts():
            if choices is not None:
                for values in product(*choices):
                    given = dict(zip(names, values, strict=True))
                    yield filled(TrainConfig(**lead, **given))

    def only(self, allowed: Callable[[TrainConfig], bool]) -> Space | None:
        """The part in which every choice of recipe and model has allowed settings, if any has.

        `allowed` is asked about the leading settings, the others as usual.
        """
        leads = [lead for lead, _, _ in self._parts() if allowed(filled(TrainConfig(**lead)))]
        kept = {
            name: tuple(dict.fromkeys(lead[name] for lead in leads))
            for name in LEADING
            if name in self.domains
        }
        return self.narrowed(kept) if leads else None

    def leading(self) -> dict[str, list[Any]]:
        """The choices of the leading settings."""
        return {name: list(self._values(name) or ()) for name in LEADING if name in self.domains}

    def narrowed(self, leading: Mapping[str, Sequence[Any]]) -> Space:
        """The space with these choices of the leading settings."""
        kept = {name: tuple(choices) for name, choices in leading.items()}
        return Space({**self.domains, **kept}, self.text)

    def size(self) -> int | None:
        """How many settings there are, None where a range has no steps."""
        total = 0
        for _, _, choices in self._parts():
            if choices is None:
                return None
            total += math.prod(map(len, choices))
        return total

    def recipes(self) -> set[str]:
        """The recipes that it may come to."""
        return {str(filled(TrainConfig(**lead)).recipe) for lead, _, _ in self._parts()}

    def _parts(self) -> Iterator[tuple[dict[str, Any], list[str], list[tuple[Any, ...]] | None]]:
        """Each choice of the leading settings, with the others and all that those may be."""
        leading = [name for name in LEADING if name in self.domains]
        for values in product(*(self._values(name) or () for name in leading)):
            lead = dict(zip(leading, values, strict=True))
            names = self._rest(lead)
            choices = [self._values(name) for name in names]
            whole = [c for c in choices if c is not None]
            yield lead, names, whole if len(whole) == len(choices) else None

    def _rest(self, lead: Mapping[str, Any]) -> list[str]:
        recipe = filled(TrainConfig(**lead)).recipe
        idle: tuple[str, ...] = ()
        if recipe == "head":
            idle = (*BY_STEPS, *(("quality",) if "model" in lead else ()))
        elif recipe == "scratch":
            idle = (*ONLY_FINETUNE, "knowledge")
        return [name for name in self.domains if name not in LEADING and name not in idle]

    def _values(self, name: str) -> tuple[Any, ...] | None:
        domain = self.domains[name]
        return domain.values() if isinstance(domain, Range) else domain

    def _fixed(self, name: str) -> bool:
        domain = self.domains[name]
        return not isinstance(domain, Range) and len(domain) == 1

    def _pick(self, trial: Suggests, name: str) -> Any:
        domain = self.domains[name]
        if isinstance(domain, Range):
            return domain.pick(trial, name)
        return domain[0] if len(domain) == 1 else trial.suggest_categorical(name, domain)


def _domain(name: str, given: Any, where: str) -> Domain:
    """One line of the file, checked as `TrainConfig` checks its values."""
    known = TrainConfig.__dataclass_fields__
    if name not in known:
        raise UsageError(f"unknown key {name!r} in [space] of {where}", hint=nearest(name, known))
    if name in NOT_SEARCHED:
        raise UsageError(f"{name} is not searched, but is in {where}", hint=NOT_SEARCHED[name])
    if isinstance(given, dict):
        return _range(name, given, where)
    choices = given if isinstance(given, list) else [given]
    if not choices:
        raise UsageError(f"{name} in {where} has no choices, expected {FORM}")
    return tuple(dict.fromkeys(_checked(name, choice, where) for choice in choices))


def _range(name: str, given: dict[str, Any], where: str) -> Range:
    for key in given:
        if key not in ("low", "high", "step", "log"):
            hint = nearest(key, ("low", "high", "step", "log"))
            raise UsageError(f"unknown key {key!r} of {name} in {where}", hint=hint)
    if not {"low", "high"} <= given.keys() or name in LEADING:
        raise UsageError(f"{name} in {where} is {given}, expected {FORM}")
    low, high = (_checked(name, given[key], where) for key in ("low", "high"))
    step, log = given.get("step"), given.get("log", False)
    numbers = [n for n in (low, high, step) if n is not None]
    if any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise UsageError(f"{name} in {where} is {given}, expected numbers")
    whole = int in (kind := get_type_hints(TrainConfig)[name], *getattr(kind, "__args__", ()))
    bad_step = step is not None and (step <= 0 or log or (whole and not isinstance(step, int)))
    if low >= high or bad_step or not isinstance(log, bool) or (log and low <= 0):
        raise UsageError(
            f"{name} in {where} is {given}, expected low < high, and a positive step or "
            "log = true with low above 0, not both"
        )
    return Range(low, high, step, log)


def _checked(name: str, value: Any, where: str) -> Any:
    try:
        return getattr(TrainConfig(**{name: value}), name)
    except UsageError as error:
        raise UsageError(f"{error.message}, in [space] of {where}", hint=error.hint) from None
