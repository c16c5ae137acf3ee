"""A setting in a few words: only what differs from the default recipe."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ..config import BACKBONE, TrainConfig
from ..model.ensemble import JOIN
from ..train.defaults import BY_STEPS

if TYPE_CHECKING:
    from .trial import Trial

UNSAID = {"quality", "time_budget", "seed", "workers", "device", "checkpoint_seconds", "sure"}
NAMES = {
    "batch_size": "batch", "weight_decay": "decay", "backbone_lr_factor": "backbone rate ×",
    "clip_grad": "clip", "lr": "rate", "resize_mode": "resize by", "size": "size",
    "find_lr": "rate found", "drop_path": "drop path", "cutmix": "CutMix", "ema": "EMA",
    "optimizer": "optimiser",
}  # fmt: skip
SAID = {  # values that need no name, or another
    ("knowledge", False): "without ImageNet's knowledge",
    ("knowledge", True): "with ImageNet's knowledge",
    ("pretrained", False): "random start",
    ("pretrained", True): "pretrained",
    ("balance", "none"): "not balanced",
    ("balance", "weights"): "balanced by weights",
    ("balance", "sampling"): "balanced by sampling",
    ("augment", "none"): "no augmentation",
}
BARE = {"recipe", "loss", "optimizer", "schedule"}  # whose values say what they are
FIRST = ("model", "recipe")


def trial_setting(trial: Trial, default: Trial) -> str:
    """What differs from the default in a trial; of a soup, whose mean it is and its best's."""
    said = setting(trial.config, default.config)
    return f"soup of {' + '.join(map(str, trial.soup))} ({said})" if trial.soup else said


def setting(config: TrainConfig, default: TrainConfig) -> str:
    """What differs from the default: `lite0+lite2, focal, label smoothing 0.1`."""
    said = [part(name, getattr(config, name)) for name in changed(config, default)]
    return ", ".join(said) if said else f"default ({short_model(default.model)})"


def changed(config: TrainConfig, default: TrainConfig) -> list[str]:
    """The settings that differ and that the recipe has a use for; the model and recipe first."""
    idle = BY_STEPS if config.recipe == "head" else ()
    names = [f.name for f in fields(TrainConfig) if f.name not in UNSAID and f.name not in idle]
    names.sort(key=lambda name: name not in FIRST)
    return [name for name in names if getattr(config, name) != getattr(default, name)]


def part(name: str, value: Any) -> str:
    """One setting with its value: `focal`, `label smoothing 0.1`."""
    if name == "model":
        return short_model(value)
    if (name, value) in SAID:
        return SAID[name, value]
    if name in BARE:
        return str(value).replace("_", " ")
    if name == "epochs":
        return f"{value} epochs"
    if isinstance(value, bool):
        return f"{spoken(name)} {'on' if value else 'off'}"
    return f"{spoken(name)} {written(value)}"


def spoken(name: str) -> str:
    """A setting's name as a person says it: `label_smoothing` -> `label smoothing`."""
    return NAMES.get(name, name.replace("_", " "))


def written(value: Any) -> str:
    """A setting's value, numbers to three digits."""
    if value is None:
        return "by default"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def short_model(name: str | None) -> str:
    """An architecture without what all have: `tf_efficientnet_lite0+...lite2` -> `lite0+lite2`."""
    members = (name or BACKBONE).split(JOIN)
    return JOIN.join(_short(member.strip()) for member in members)


def _short(member: str) -> str:
    if ".py:" in member:
        return PurePath(member).name
    lite = re.fullmatch(r"tf_efficientnet_(lite\d)(\..*)?", member)
    return lite[1] if lite else member.partition(".")[0]
