"""Facts of a made-up evaluation, with every part that the test report can show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.evaluate.intervals import wilson
from pizzaiolo.evaluate.mistakes import HARD, UNLIKE, WRONG_LABEL
from pizzaiolo.evaluate.report import (
    Against,
    Calibration,
    Decision,
    Facts,
    Leak,
    Neighbour,
    Novelty,
    Shown,
)
from pizzaiolo.evaluate.report.marks import Marks
from pizzaiolo.evaluate.robustness import CORRUPTIONS, Panel, Point
from pizzaiolo.evaluate.slices import Slice

HOSTILE = (
    "<img src=x onerror=boom()>.png",
    "\u202egnp.azzip.png",
    "two\nlines, 'one' \"name\" | `x` \U0001f355.png",
    "</script><script>boom()</script>.png",
    "100%#1?&amp; {{ 7 * 7 }}.png",
)
LABELS = Labels(("not_pizza", "pizza"), positive="pizza", threshold=0.5, reject_band=(0.5, 0.95))
CARD = Card(
    LABELS,
    Preprocess(),
    {"kind": "timm", "name": "tf_efficientnet_lite0"},
    data={"splits": {"train": 987, "validation": 211, "test": 202}, "train_per_class": [499, 488]},
    training={"recipe": "head", "quality": "quick", "balance": "none", "workers": 0},
    versions={"pizzaiolo": "0.1.0"},
    weights_licence="Apache-2.0",
)


def figure(value: float, half: float = 0.02) -> dict[str, float]:
    return {"value": value, "low": max(0.0, value - half), "high": min(1.0, value + half)}


def photo(seed: int, side: int = 256, cells: int = 24) -> Image.Image:
    """A picture with about as much detail as a photo."""
    colours = np.random.default_rng(seed).integers(0, 256, (cells, cells * 4 // 3, 3), np.uint8)
    image = Image.fromarray(colours).resize((side * 4 // 3, side), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(seed).normal(0, 6, (side, side * 4 // 3, 1))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


def mistake(number: int, path: str | None = None, bucket: str | None = None) -> Shown:
    """A wrong answer with all that a card can show."""
    truth, predicted = (LABELS.names if number % 2 else LABELS.names[::-1])[:2]
    sure = 0.99 - 0.004 * number
    near = [Neighbour(photo(900 + i, 128), (predicted, truth)[i % 4 == 3]) for i in range(5)]
    return Shown(
        path=path or f"{truth}/{number}.png",
        truth=truth,
        predicted=predicted,
        probabilities={truth: 1 - sure, predicted: sure},
        picture=photo(number),
        heat=photo(1000 + number),
        near=near,
        bucket=bucket or (WRONG_LABEL, UNLIKE, HARD)[number % 3],
        why="4 of the 5 nearest training pictures say otherwise",
        sha256=f"{number:064x}",
    )


def result(mistakes: int = 5, n: int = 200, **facts: Any) -> dict[str, Any]:
    """What metrics.json holds."""
    right = n // 2 - np.array([mistakes // 2, mistakes - mistakes // 2])
    wrong = n // 2 - right
    counts = [[int(right[0]), int(wrong[0])], [int(wrong[1]), int(right[1])]]
    share = 1 - mistakes / n
    per_class = {
        name: {"precision": figure(share), "recall": figure(share), "f1": share, "support": n // 2}
        for name in LABELS.names
    }
    names = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc")
    matrix = {"labels": list(LABELS.names), "counts": counts}
    return {
        "split": "test", "n": n, **{name: figure(share) for name in names},
        "ece": figure(0.012, 0.009), "log_loss": {"value": 1.3, "low": 1.1, "high": 1.6},
        "per_class": per_class, "confusion_matrix": matrix,
        "not_sure": 19, "mistakes": mistakes, "leaks": 0, "same_data": True, **facts,
    }  # fmt: skip


def calibration() -> Calibration:
    said = np.linspace(0.55, 0.99, 10)
    before = [(float(p), float(p - 0.06), 20.0) for p in said]
    after = [(float(p), float(min(1, p + 0.01)), 20.0) for p in said]
    return Calibration(1.4, figure(0.06), figure(0.012, 0.009), before, after)


def decision() -> Decision:
    recalls = np.linspace(0.0, 1.0, 300)
    thresholds = np.linspace(0.0, 1.0, 101)
    coverages = np.linspace(0.4, 1.0, 80)
    return Decision(
        threshold=0.5,
        band=(0.5, 0.95),
        aim="the highest F1",
        precision_recall=[
            {"threshold": 1 - r, "recall": float(r), "precision": float(1 - 0.3 * r**12)}
            for r in recalls
        ],
        cost=[(float(t), float(0.05 + (t - 0.4) ** 2)) for t in thresholds],
        risk_coverage=[(float(c), float(1 - 0.05 * c**6)) for c in coverages],
        answered=figure(0.989, 0.01),
        coverage=figure(0.905, 0.03),
    )


def novelty() -> Novelty:
    random = np.random.default_rng(0)
    return Novelty(
        31.0, random.normal(20, 4, 200).tolist(), random.normal(21, 5, 200).tolist(),
        "Distance to the tenth nearest training picture.",
    )  # fmt: skip


def robustness() -> Panel:
    curves = {
        name: tuple(
            Point(s, kind.amounts[s - 1], share, *wilson(100 * share, 100))
            for s in range(1, 6)
            if (share := 0.97 - 0.02 * s * (i + 1))
        )
        for i, (name, kind) in enumerate(CORRUPTIONS.items())
    }
    return Panel(100, 200, 12.0, Point(0, 0.0, 0.97, 0.92, 0.99), curves)


def slices() -> list[Slice]:
    return [
        Slice("class", "Pizza", 100, 0.97, 0.91, 0.99, 0.96, 0.9),
        Slice("brightness", "dark, up to 0.31", 50, 0.82, 0.69, 0.91, 0.99, 0.001, worse=True),
        Slice("brightness", "bright, over 0.6", 50, 0.98, 0.9, 0.99, 0.95, None),
        Slice("folder", HOSTILE[0], 21, 0.95, 0.77, 0.99, 0.96, 1.0),
    ]


def against() -> Against:
    """Another model, which is right on one picture and wrong on two."""
    said = "the other says Not pizza, 71.0 %"
    gained = [replace(mistake(600 + i), predicted="pizza", truth="pizza", heat=None, near=(),
                      bucket="", why=said, probabilities={"not_pizza": 0.1, "pizza": 0.9})
              for i in range(2)]  # fmt: skip
    lost = replace(mistake(2), path=HOSTILE[3], heat=None, near=(), bucket="", why=said)
    sentence = "Within noise of old run: +0.5 points of accuracy (95 % interval -1.0 to 2.0)"
    return Against(sentence, gained, [lost])


def facts(mistakes: int = 5, **changes: Any) -> Facts:
    """Everything that a report can show; `changes` are fields of `Facts`."""
    paths = dict(enumerate(HOSTILE))
    wrong = [mistake(i, paths.get(i)) for i in range(mistakes)]
    unsure = [
        replace(mistake(500 + i), truth="pizza", predicted="pizza", near=(), heat=None, bucket="",
                probabilities={"not_pizza": 0.4, "pizza": 0.6}, verdict="Not sure")
        for i in range(4)
    ]  # fmt: skip
    made = Facts(
        result=result(mistakes),
        card=CARD,
        model="run",
        dataset="my data",
        out="report",
        calibration=calibration(),
        decision=decision(),
        novelty=novelty(),
        mistakes=wrong,
        unsure=unsure,
        against=against(),
        slices=slices(),
        robustness=robustness(),
        roc=[(0.0, 0.0), (0.02, 0.9), (0.1, 0.98), (1.0, 1.0)],
        marks=Marks((), "f1ngerpr1nt", "pizzaiolo prepare photos --out 'my data'"),
    )
    return replace(made, **changes)


def doubtful() -> Facts:
    """Everything, and everything that can be wrong with the data."""
    leak = Leak(HOSTILE[1], "pizza/copy.png", photo(1), photo(2), "3 of 64 bits differ")
    return facts(
        result=result(leaks=2, split="validation"),
        warnings=("the test split is looked at for the 3rd time with this RUN",),
        leaks=(leak, leak),
    )


def plain_facts(folder: Path) -> Facts:
    """What is known without any optional part."""
    return Facts(result(0), CARD, dataset=str(folder))
