"""What the report is made of: figures and pictures, most of them optional.

The report shows what is there and leaves out what is not. A figure is a mapping with `value`,
`low` and `high` (its 95 % interval), as in metrics.json; value or ends may be None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from ...core.card import Card
from ...core.plot import Point
from ..robustness import Panel
from ..slices import Slice
from .marks import Marks

Figure = Mapping[str, float | None]
Picture = Path | Image.Image
Bins = Sequence[tuple[float, float, float]]  # mean confidence, share right, pictures
Curve = Sequence[Mapping[str, float] | Point]


@dataclass(frozen=True)
class Neighbour:
    """A training picture that lies near: what it shows, its label, the distance."""

    picture: Picture
    label: str
    path: str = ""
    distance: float | None = None


@dataclass(frozen=True)
class Shown:
    """A picture of the report, its label and the answer.

    `path` and `source_label` are those of the source (without the latter, `truth` is);
    `probabilities` has each class. `heat` shows on the picture what the answer is due to. `bucket`
    is one of `wrong_label`, `unlike` (training) and `hard`, or empty; `why` says it in words.
    """

    path: str
    truth: str
    predicted: str
    probabilities: Mapping[str, float]
    picture: Picture | None = None
    heat: Image.Image | None = None
    near: Sequence[Neighbour] = ()
    bucket: str = ""
    why: str = ""
    verdict: str = ""
    source_label: str | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Calibration:
    """How far confidence lies from the share that is right, before and after it was calibrated.

    `before` and `after` are the bins of the reliability diagram, on the pictures of the report.
    `method` is temperature, vector (a scale and an offset for each class) or none; `note` says
    why.
    """

    temperature: float
    ece_before: Figure
    ece_after: Figure
    before: Bins = ()
    after: Bins = ()
    method: str = "temperature"
    note: str = ""


@dataclass(frozen=True)
class Decision:
    """How a probability becomes an answer, and what that costs.

    `aim` says in words what the threshold was chosen for, on the validation split. Points of the
    curves are pairs or mappings: recall and precision; threshold and cost (per picture); coverage
    and accuracy (of what is answered).
    `answered` is the accuracy on what is answered, `coverage` the share of pictures that are.
    """

    threshold: float
    band: tuple[float, float] | None = None
    aim: str = ""
    precision_recall: Curve = ()
    cost: Curve = ()
    risk_coverage: Curve = ()
    answered: Figure | None = None
    coverage: Figure | None = None


@dataclass(frozen=True)
class Novelty:
    """How unlike training each picture is; over `cut` it is told apart. `method` in words."""

    cut: float
    validation: Sequence[float] = ()
    tested: Sequence[float] = ()
    method: str = ""

    @property
    def flagged(self) -> float:
        """The share of the tested pictures over the cut."""
        return sum(score > self.cut for score in self.tested) / max(1, len(self.tested))


@dataclass(frozen=True)
class Leak:
    """A tested picture and its near-copy in training; `how` says by what it was found."""

    path: str
    trained: str
    picture: Picture | None = None
    copy: Picture | None = None
    how: str = ""


@dataclass(frozen=True)
class Against:
    """The difference to another model in words, and the pictures that only one of both gets right.

    `gained` are those that this one gets right; `why` of each says what the other answers.
    """

    sentence: str
    gained: Sequence[Shown] = ()
    lost: Sequence[Shown] = ()


@dataclass(frozen=True)
class Facts:
    """All that is known of a model on one split.

    `result` is what metrics.json holds; `more` has figures beyond its headline. `model`, `dataset`
    and `out` are as a person typed them, for the commands. `warnings` are sentences about data
    that make the figures doubtful. `mistakes` and `unsure` (right, but only just) are shown in
    their order, up to what the page has room for.
    """

    result: Mapping[str, Any]
    card: Card
    model: str = "MODEL"
    dataset: str = "DATASET"
    out: str = "REPORT"
    more: Mapping[str, Figure] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    calibration: Calibration | None = None
    decision: Decision | None = None
    novelty: Novelty | None = None
    mistakes: Sequence[Shown] = ()
    unsure: Sequence[Shown] = ()
    leaks: Sequence[Leak] = ()
    against: Against | None = None
    slices: Sequence[Slice] = ()
    robustness: Panel | None = None
    reliability: Bins = ()
    roc: Sequence[Point] = ()
    marks: Marks = field(default_factory=Marks)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in order."""
        return self.card.labels.names

    @property
    def figures(self) -> dict[str, Figure]:
        """Every figure that has a value, those of the headline first."""
        found = {**self.result, **self.more}
        return {
            name: figure
            for name, figure in found.items()
            if isinstance(figure, Mapping) and figure.get("value") is not None
        }


def number_of(value: Any) -> float | None:
    """The number of a figure, or the number itself."""
    found = value.get("value") if isinstance(value, Mapping) else value
    return None if found is None else float(found)
