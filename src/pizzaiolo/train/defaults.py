"""What is trained where the settings leave it open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..config import BACKBONE, TrainConfig
from ..model.custom import is_code
from ..model.ensemble import JOIN

LITE1, LITE2 = "tf_efficientnet_lite1", "tf_efficientnet_lite2"
# Joined networks for the head on frozen features. Test accuracy on ten splits of 1,400 photos:
# 0.969, 0.975 and 0.976.
MODELS = {
    "quick": BACKBONE,
    "good": JOIN.join((BACKBONE, LITE2)),
    "best": JOIN.join((BACKBONE, LITE1, LITE2)),
}
COSTS = {"quick": 1, "good": 4, "best": 7}  # computing for a picture, of that of the first
SHARE = 0.5  # of a time budget, for looking at the pictures


def filled(
    config: TrainConfig, own_network: bool = False, most: Callable[[], str] = lambda: "quick"
) -> TrainConfig:
    """The settings with a recipe, a quality and a model; `most` is the quality for recipe head."""
    own = own_network or is_code(config.model)
    recipe = config.recipe or _recipe(config, own)
    quality = config.quality or (most() if recipe == "head" else "good")
    published = recipe == "head" and config.pretrained and config.weights is None
    model = config.model or (MODELS[quality] if published else BACKBONE)
    return replace(config, recipe=recipe, quality=quality, model=model)


# Settings that a training by steps of an optimiser has and recipe head has no use for.
BY_STEPS = (
    "epochs", "batch_size", "optimizer", "lr", "find_lr", "backbone_lr_factor", "schedule",
    "warmup", "momentum", "weight_decay", "clip_grad", "ema", "augment", "mixup", "cutmix",
    "erase", "dropout", "drop_path", "patience", "shuffle_buffer",
)  # fmt: skip


def unused(config: TrainConfig) -> list[str]:
    """The settings that differ from the usual and that the recipe has no use for."""
    usual = TrainConfig()
    names = BY_STEPS if config.recipe == "head" else ()
    return [name for name in names if getattr(config, name) != getattr(usual, name)]


def affordable(each: float, pictures: int, seconds: float) -> str:
    """The highest quality for which there is time, if the first takes `each` seconds a picture."""
    most = SHARE * seconds / (each * pictures)
    return [quality for quality, cost in COSTS.items() if cost <= max(most, 1)][-1]


def _recipe(config: TrainConfig, own: bool) -> str:
    if config.weights is not None:
        return "finetune" if own else "head"
    return "scratch" if own or config.model == "cnn" or not config.pretrained else "head"
