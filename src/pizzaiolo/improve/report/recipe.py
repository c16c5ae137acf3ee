"""The settings of the winner, to copy: as a command and as a recipe."""

from __future__ import annotations

import json
from dataclasses import fields

from ...config import TrainConfig
from ...evaluate.report.marks import quoted
from ...train.defaults import BY_STEPS

PLACE = {"workers", "device", "checkpoint_seconds", "time_budget"}  # of this machine, not the model


def own_settings(config: TrainConfig) -> dict[str, object]:
    """The settings that differ from the usual and that the recipe has a use for."""
    usual = TrainConfig()
    idle = (*BY_STEPS, "quality") if config.recipe == "head" else ()  # the model tells it all
    names = (f.name for f in fields(TrainConfig) if f.name not in (*PLACE, *idle))
    return {n: v for n in names if (v := getattr(config, n)) != getattr(usual, n)}


def as_toml(config: TrainConfig) -> str:
    """A recipe for `--config`."""
    lines = (
        f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in _told(config).items()
    )
    return "\n".join(["[train]", *lines])


def as_command(config: TrainConfig, dataset: str) -> str:
    """The command that trains it anew."""
    return f"pizzaiolo train {quoted(dataset)} --out RUN {' '.join(_flags(config))}".strip()


def _told(config: TrainConfig) -> dict[str, object]:
    return {key: value for key, value in own_settings(config).items() if value is not None}


def _flags(config: TrainConfig) -> list[str]:
    found = []
    for key, value in _told(config).items():
        name = key.replace("_", "-")
        if isinstance(value, bool):
            found.append(f"--{name}" if value else f"--no-{name}")
        else:
            found.append(f"--{name} {quoted(str(value))}")
    return found
