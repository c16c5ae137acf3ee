"""95 % intervals hold the true figure 93 to 97 times in a hundred: 2,000 simulated data sets each.

The pictures come in groups: a fifth of the groups has two to four near-copies, which share their
class and most of their score. The true figure is that of a population of 400,000 groups.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from pizzaiolo.core.labels import Labels
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.evaluate import metrics
from pizzaiolo.evaluate.compare import difference_interval
from pizzaiolo.evaluate.figures import (
    Table,
    _areas,
    _counted,
    _means,
    average_figures,
    calibration_error,
)
from pizzaiolo.evaluate.intervals import wilson

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
TIMES, MANY = 2000, 400_000


@dataclass(frozen=True)
class World:
    """How pictures come about: shares of the classes, and how far their scores lie apart."""

    shares: tuple[float, ...]
    apart: float
    groups: int

    def draw(self, groups: int, generator: Any) -> Predictions:
        sizes = 1 + (generator.random(groups) < 0.2) * generator.integers(1, 4, groups)
        code = np.repeat(np.arange(groups), sizes)
        truth = generator.choice(len(self.shares), groups, p=self.shares)[code]
        shape = (groups, len(self.shares))
        shared = generator.normal(0, np.sqrt(0.8), shape)[code]
        scores = shared + generator.normal(0, np.sqrt(0.2), (len(code), shape[1]))
        scores[np.arange(len(code)), truth] += self.apart
        names = tuple(map(str, range(len(self.shares))))
        labels = Labels(names, positive="1" if len(names) == 2 else None)
        return Predictions(
            labels, "test", tuple(map(str, range(len(code)))), truth, softmax(3 * scores, axis=1),
            tuple(map(str, code)),
        )  # fmt: skip


WORLDS = {
    "flagship": World((0.5, 0.5), 2.4, 200),
    "harder": World((0.5, 0.5), 1.2, 200),
    "rare": World((0.85, 0.15), 2.2, 400),
    "many": World((0.25,) * 4, 2.4, 200),
}


@cache
def truths(world: str) -> dict[str, float]:
    """The true figures of a world."""
    drawn = WORLDS[world].draw(MANY, np.random.default_rng(0))
    table = Table.of(drawn)
    positive = table.positive
    pairs = (table.truth, table.probabilities)
    weighted = metrics.averages(table.matrix)["weighted"]
    found = metrics.headline(table.matrix, positive) | {
        **{f"weighted_{name}": value for name, value in weighted.items()},
        "auroc": metrics.auroc(*pairs, positive),
        "average_precision": metrics.average_precision(*pairs, positive),
        "log_loss": metrics.log_loss(*pairs),
        "brier": metrics.brier(*pairs),
    }
    return {name: value for name, value in found.items() if value is not None}


@cache
def coverage(world: str) -> dict[str, float]:
    """Per figure: the share of the intervals that hold the true one."""
    generator, expected = np.random.default_rng(1), truths(world)
    held = dict.fromkeys(expected, 0)
    for _ in range(TIMES):
        drawn = WORLDS[world].draw(WORLDS[world].groups, generator)
        table = Table.of(drawn)
        found = dict(_counted(table)) | dict(_areas(table)) | dict(_means(table))
        weighted = average_figures(drawn)["weighted"]
        found |= {f"weighted_{name}": figure for name, figure in weighted.items()}
        for name, value in expected.items():
            figure = found[name]
            assert figure.low is not None and figure.high is not None
            held[name] += figure.low <= value <= figure.high
    return {name: count / TIMES for name, count in held.items()}


FIGURES = ["accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc",
           "average_precision", "log_loss", "brier", "weighted_precision",
           "weighted_f1"]  # fmt: skip


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("figure", FIGURES)
def test_the_interval_holds_the_true_figure(world: str, figure: str) -> None:
    assert 0.93 <= coverage(world)[figure] <= 0.97


@pytest.mark.parametrize(("share", "count"), [(0.5, 50), (0.8, 200), (0.95, 200), (0.98, 300)])
def test_wilsons_interval_holds_the_true_share(share: float, count: int) -> None:
    right = np.random.default_rng(2).binomial(count, share, TIMES)
    held = [low <= share <= high for low, high in (wilson(int(r), count) for r in right)]
    assert 0.93 <= np.mean(held) <= 0.97


def gaps(slope: float, count: int, generator: Any) -> tuple[Any, Any, Any]:
    """Confidence [N] like a good model's, the chance of being right [N], group numbers [N]."""
    copies = 1 + (generator.random(count) < 0.2) * generator.integers(1, 4, count)
    code = np.repeat(np.arange(count), copies)
    confidence = (0.5 + 0.5 * generator.beta(1.6, 0.25, count))[code].clip(0.5, 1 - 1e-6)
    return confidence, expit(slope * logit(confidence)), code


def true_gap(slope: float) -> float:
    confidence, chance, _ = gaps(slope, MANY, np.random.default_rng(0))
    return float(metrics.ece(chance, confidence) or 0.0)


@pytest.mark.parametrize("count", [80, 200, 600])
@pytest.mark.parametrize("slope", [1.0, 0.7, 0.4, 1.6])
def test_the_interval_holds_the_true_calibration_error(slope: float, count: int) -> None:
    """It may be conservative: a calibrated model's error is never less than zero."""
    generator, expected, held = np.random.default_rng(3), true_gap(slope), 0
    for seed in range(TIMES):
        confidence, chance, code = gaps(slope, count, generator)
        right = (generator.random(count)[code] < chance).astype(np.int64)
        both = np.stack([1 - confidence, confidence], axis=1)
        predicted = np.ones(len(code), dtype=np.int64)
        figure = calibration_error(Table(right, predicted, both, code, 1), 200, seed)
        held += (figure.low or 0) <= expected <= (figure.high or 0)
    assert held / TIMES >= 0.93


@pytest.mark.parametrize(("first", "second"), [(0.95, 0.95), (0.93, 0.97), (0.8, 0.85)])
def test_the_interval_holds_the_true_difference(first: float, second: float) -> None:
    generator, held = np.random.default_rng(4), 0
    for _ in range(TIMES):
        copies = 1 + (generator.random(200) < 0.2) * generator.integers(1, 4, 200)
        code = np.repeat(np.arange(200), copies)
        hard = 0.7 * generator.normal(size=200) + 0.7 * generator.normal(size=(2, 200))
        levels = _levels()
        right, other = (
            hard[i] < np.quantile(levels, share) for i, share in enumerate((first, second))
        )
        low, high = difference_interval(right[code], other[code], code)
        held += low <= second - first <= high
    assert 0.93 <= held / TIMES <= 0.97


@cache
def _levels() -> Any:
    return np.random.default_rng(5).normal(0, np.sqrt(0.98), MANY)
