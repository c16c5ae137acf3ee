"""The best setting trained anew and tested once, beside the default recipe."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import EvaluateConfig, TrainConfig, to_dict
from ..core.bundle import UNFINISHED, write_text
from ..core.manifest import Dataset
from ..core.predictions import Predictions
from ..errors import InputError, UsageError
from ..evaluate.compare import verdict
from ..evaluate.looks import looks_warning
from ..evaluate.run import evaluate
from ..model.custom import is_code
from ..train.defaults import filled
from ..train.plan import Fit
from ..train.run import keep, train
from .aim import Aim, Difference
from .scale import Scale, chance
from .soup import SOUP
from .steps import read_fit

FILE = "tested.json"
SAME = "the default"
# The default is only compared with: its report needs no maps and no spoilt pictures.
PLAIN = EvaluateConfig(explain=False, robustness_seconds=0.0)


@dataclass(frozen=True)
class Crowned:
    """The winner on the test split against the default recipe.

    `best` and `default` are what `evaluate --json` prints; `default` and `gain` are None where
    the winner is the default recipe itself. `gain` is over 0 where the winner is better.
    `verdict` is better, within noise, worse or the default, and `sentence` says it in words.
    """

    verdict: str
    sentence: str
    best: dict[str, Any]
    default: dict[str, Any] | None = None
    gain: Difference | None = None

    @property
    def looks(self) -> int:
        """How often the test split was looked at with a winner of this study."""
        return int(self.best.get("looks", 1))

    def to_dict(self) -> dict[str, Any]:
        """The test as JSON-ready values."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "looks": self.looks,
            "gain": vars(self.gain).copy() if self.gain else None,
            "best": self.best,
            "default": self.default,
        }


def crown(
    study: Path,
    data: Dataset,
    winner: TrainConfig,
    aim: Aim,
    default: TrainConfig = TrainConfig(),
    config: EvaluateConfig = EvaluateConfig(),
    soup: Path | None = None,
) -> Crowned:
    """Train the winner and the default recipe, and look at the test split once with each.

    The weights of a `soup` are taken as they are.

    The RUNs are `study`/best and `study`/default, the reports `study`/evaluation and
    `study`/evaluation-default. What is there already, of the same settings and the same pictures,
    is neither trained nor evaluated again; the looks at the test split are counted in each RUN.
    """
    winner, default = filled(winner), filled(default)
    same = winner == default and soup is None
    own = None if same else _Side(study, "default", "evaluation-default", default)
    side = _Side(study, "best", "evaluation", winner, read_fit(soup) if soup else None)
    baseline = own.tested(data, PLAIN) if own else None
    best = side.tested(data, config, own)
    if own is None or baseline is None:
        said = f"The default recipe is the best found: {_figure(aim, side.predictions)}"
        return Crowned(SAME, _with_looks(f"{said} on the test split.", best), best)
    gain = aim.gain(own.predictions, side.predictions)
    said = sentence(aim, own.predictions, side.predictions, gain)
    return Crowned(verdict_of(gain), _with_looks(said, best), best, baseline, gain)


def verdict_of(gain: Difference) -> str:
    """Whether a difference is more than chance, and to which side."""
    return verdict(gain.value, gain.low, gain.high, gain.p_value)


def sentence(aim: Aim, default: Predictions, best: Predictions, gain: Difference) -> str:
    """The comparison in words, with its interval and p-value."""
    scale = Scale.of(aim)
    return (
        f"{_figure(aim, best)} on {gain.pictures:,} test pictures against "
        f"{scale.value(aim.value(default))} of the default recipe: {scale.gain(gain.value)} "
        f"{scale.units} ({scale.between(gain)}), {chance(gain.p_value)}: {verdict_of(gain)}."
    )


def _figure(aim: Aim, predictions: Predictions) -> str:
    scale = Scale.of(aim)
    return f"{scale.name} {scale.value(aim.value(predictions))}"


def _with_looks(said: str, result: dict[str, Any]) -> str:
    warning = looks_warning(int(result.get("looks", 1)))
    return said if warning is None else f"{said} But {warning}."


@dataclass(frozen=True)
class _Side:
    """A RUN of a study and its report."""

    study: Path
    name: str
    report: str
    config: TrainConfig
    soup: Fit | None = None

    @property
    def run(self) -> Path:
        return self.study / self.name

    @property
    def predictions(self) -> Predictions:
        """What the RUN said of the test pictures."""
        return Predictions.read(self.study / self.report / "predictions.parquet")

    def tested(
        self, data: Dataset, config: EvaluateConfig, other: _Side | None = None
    ) -> dict[str, Any]:
        """What `evaluate` says of the RUN, against another; it is trained where it is not there."""
        if not self._is_trained(data):
            self._train(data)
        stamps, stamp = self._stamps(), _stamp(self.run)
        report = self.study / self.report
        if stamps.get(self.name) == stamp and (report / "metrics.json").is_file():
            return dict(json.loads((report / "metrics.json").read_text(encoding="utf-8")))
        against = other.study / other.report if other else None
        code = self.config.model if is_code(self.config.model) else None
        result = evaluate(self.run, data.root, report, config, code=code, against=against)
        write_text(self.study / FILE, json.dumps(stamps | {self.name: stamp}, indent=2))
        return result

    def _stamps(self) -> dict[str, str]:
        """Which trainings were evaluated, by the name of the RUN."""
        try:
            found = json.loads((self.study / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return dict(found) if isinstance(found, dict) else {}

    def _is_trained(self, data: Dataset) -> bool:
        """Whether the RUN is of these settings and these pictures."""
        try:
            card = json.loads((self.run / "run.json").read_text(encoding="utf-8"))["card"]
            settings, pictures = card["training"], card["data"]["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        wanted = json.loads(json.dumps(to_dict(self.config)))
        known = {name: settings.get(name) for name in wanted}
        alike = known == wanted and bool(pictures == data.fingerprint)
        return alike and settings.get("choices", {}).get(SOUP) == self._members and self._is_whole()

    @property
    def _members(self) -> list[int] | None:
        """The trials that are stirred into the soup, None where it is none."""
        return self.soup.choices[SOUP] if self.soup else None

    def _is_whole(self) -> bool:
        return (self.run / "model.pt").is_file() and not (self.run / UNFINISHED).exists()

    def _train(self, data: Dataset) -> None:
        if self.soup is not None:
            keep(data, self.run, self.config, self.soup)
            return
        cut_off = (self.run / UNFINISHED).is_dir()
        try:
            train(data, self.run, self.config, resume=cut_off)
        except (UsageError, InputError):
            if not cut_off:
                raise
            train(data, self.run, self.config)  # what was cut off was another training


def _stamp(run: Path) -> str:
    """A hash that every training has of its own."""
    return hashlib.sha256((run / "run.json").read_bytes()).hexdigest()
