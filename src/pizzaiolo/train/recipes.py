"""The recipes by name: a head on frozen features, fine-tuning of all layers, or a random start."""

from __future__ import annotations

from collections.abc import Callable

from .head import head
from .job import Job
from .pictures import finetune, scratch
from .plan import Fit

RECIPES: dict[str, Callable[[Job], Fit]] = {"head": head, "finetune": finetune, "scratch": scratch}
