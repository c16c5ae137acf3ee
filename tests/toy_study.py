"""A made-up search: settings of different skill that answer the same pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.manifest import Row
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.evaluate.figures import Figure, main_figures
from pizzaiolo.evaluate.influence import group_codes
from pizzaiolo.improve.ablation import MEMBER, PUT_BACK, Effect
from pizzaiolo.improve.aim import Aim, Difference
from pizzaiolo.improve.diagnose.balance import find_balance
from pizzaiolo.improve.diagnose.curve import Curve
from pizzaiolo.improve.diagnose.fit import Remedy, Tried, find_gap
from pizzaiolo.improve.diagnose.noise import Noise, Suspect
from pizzaiolo.improve.diagnose.run import Diagnosis
from pizzaiolo.improve.diagnose.weak import find_weak
from pizzaiolo.improve.folds import Folds
from pizzaiolo.improve.leaderboard import Limits, leaderboard
from pizzaiolo.improve.outcome import Outcome
from pizzaiolo.improve.report import Facts
from pizzaiolo.improve.trial import DONE, FAILED, STOPPED, Study, Trial
from pizzaiolo.improve.winner import Crowned, sentence, verdict_of
from pizzaiolo.train.data import Split

LITE = tuple(f"tf_efficientnet_lite{i}" for i in range(3))
MODELS = (*LITE, "+".join((LITE[0], LITE[2])), "+".join(LITE))
COSTS = {MODELS[0]: (6.1, 13.5), MODELS[1]: (8.7, 17.3), MODELS[2]: (11.9, 19.4),
         MODELS[3]: (18.2, 33.1), MODELS[4]: (26.8, 50.5)}  # fmt: skip
SKILL = {MODELS[0]: 0.0, MODELS[1]: 0.05, MODELS[2]: 0.2, MODELS[3]: 0.62, MODELS[4]: 0.7}
DEFAULT = TrainConfig(model=MODELS[0], recipe="head", quality="quick")
LABELS = Labels(("not_pizza", "pizza"), positive="pizza")
CHOICES: dict[str, tuple[Any, ...]] = {
    "model": MODELS,
    "loss": ("cross_entropy", "focal", "bce"),
    "balance": ("none", "weights"),
    "knowledge": (True, False),
}


def make_folds(count: int = 1190, labels: Labels = LABELS, files: tuple[Path, ...] = ()) -> Folds:
    """Folds of `count` pictures; the classes alternate, and some pictures share a group."""
    truth = np.arange(count) % len(labels.names)
    paths = tuple(f"{labels.names[c]}/photo_{i:05}.jpg" for i, c in enumerate(truth))
    groups = tuple(f"g{i - (i % 10 == 9)}" for i in range(count))
    pictures = Split(files or tuple(map(Path, paths)), tuple(int(c) for c in truth))
    return Folds(labels, pictures, paths, paths, groups, np.arange(count) % 5)


def answer(folds: Folds, skill: float, seed: int, rows: np.ndarray | None = None) -> Outcome:
    """Answers that are right where the skill is over the picture's difficulty, and some luck."""
    count, classes = len(folds), len(folds.labels.names)
    hard = np.random.default_rng(99).normal(0, 1.6, count)
    luck = np.random.default_rng(seed).normal(0, 0.35, count)
    margin = 2.5 + skill - hard + luck
    p_truth = 1 / (1 + np.exp(-margin))
    chances = np.zeros((count, classes))
    other = (folds.truth + 1 + np.arange(count) % (classes - 1)) % classes
    chances[np.arange(count), other] = 1 - p_truth
    chances[np.arange(count), folds.truth] = p_truth
    if rows is not None:
        chances[np.setdiff1d(np.arange(count), rows)] = np.nan
    return Outcome(chances, train_accuracy=0.99, train_loss=0.05, seconds=0.4)


def suggest(random: np.random.Generator) -> dict[str, Any]:
    """The parameters of a setting."""
    found: dict[str, Any] = {
        name: choices[random.integers(len(choices))] for name, choices in CHOICES.items()
    }
    return found | {"label_smoothing": round(float(random.uniform(0, 0.2)), 3)}


def make_trial(folds: Folds, aim: Aim, default: Outcome, number: int) -> Trial:
    """A setting with its answers; each seventeenth is stopped early, each fortieth fails."""
    params = suggest(np.random.default_rng(number))
    config = replace(DEFAULT, **params)
    cost = COSTS[config.model or MODELS[0]]
    started = f"2026-07-01T10:{number // 60 % 60:02}:{number % 60:02}"
    trial = Trial(number, config, params, DONE, None, None, 0.6, *cost, None, started)
    if number % 40 == 39:
        reason = "the training diverged: the loss is not a number in epoch 3"
        return replace(trial, state=FAILED, reason=reason, latency_ms=None, megabytes=None)
    skill = SKILL[config.model or MODELS[0]] + 0.2 * (config.loss == "focal")
    skill += 0.25 * config.knowledge - 2 * abs(config.label_smoothing - 0.05)
    stopped = number % 17 == 16
    rows = folds.rows(0, 1) if stopped else None
    outcome = answer(folds, skill - 0.8 * stopped, number, rows)
    value = aim.comparable(folds, default, outcome)
    made = replace(trial, outcome=outcome, value=value, seconds=0.3 + 0.1 * (number % 5))
    return replace(made, state=STOPPED, reason="clearly worse after 2 folds") if stopped else made


def make_study(trials: int = 112, aim: str = "accuracy", folds: Folds | None = None) -> Study:
    """A finished search of so many settings, the default first."""
    folds, chosen = folds or make_folds(), Aim.of(aim)
    outcome = answer(folds, 0.25, 0)
    value = chosen.value(outcome.predictions(folds))
    params = {name: getattr(DEFAULT, name) for name in (*CHOICES, "label_smoothing")}
    default = Trial(
        0, DEFAULT, params, DONE, value, outcome, 1.2, *COSTS[MODELS[0]], None,
        "2026-07-01T09:59:58",
    )  # fmt: skip
    rest = (make_trial(folds, chosen, outcome, number) for number in range(1, trials))
    return Study(folds, chosen, (default, *rest), default)


ADVICE = (
    {
        "what": "Add photos",
        "why": "The learning curve still rises: about 1,100 more would bring 98.5 %",
        "command": "pizzaiolo prepare photos MORE_PICTURES --out 'my data'",
    },
    {
        "what": "Look at the labels that look wrong",
        "why": "About 2 of 100 are",
        "command": "pizzaiolo review 'my data' --suspects",
    },
    {"what": "Label the unsure ones next", "why": "They teach most", "command": ""},
    {"what": "Serve it", "why": "It is ready", "command": "pizzaiolo serve --model study/best"},
)  # fmt: skip


def make_curve(folds: Folds) -> Curve:
    """A head that learns from 10 to 100 % of the pictures."""
    shares = np.array([0.1, 0.2, 0.35, 0.5, 0.7, 1.0])
    skills = 1.0 - 0.5 * shares**-0.45
    answers = [answer(folds, skill, 7).predictions(folds) for skill in skills]
    right = np.array([(a.predicted == a.truth).astype(float) for a in answers])
    return Curve(shares, shares * 0.8 * len(folds), right, group_codes(folds.groups))


def make_effects(study: Study) -> list[Effect]:
    """What four settings bring, one of them not measured."""
    base = answer(study.folds, 0.9, 1)
    told = [
        ("model", MODELS[3], "only lite0", MEMBER, 0.3),
        ("loss", "focal", "cross entropy", PUT_BACK, 0.8),
        ("label_smoothing", "label smoothing 0.05", "label smoothing 0", PUT_BACK, 1.0),
    ]
    found = [
        Effect(name, "lite2" if kind == MEMBER else value, other, kind, DEFAULT,
               study.aim.gain_of(study.folds, answer(study.folds, skill, 1), base))
        for name, value, other, kind, skill in told
    ]  # fmt: skip
    late = Effect("balance", "balanced by weights", "not balanced", PUT_BACK, DEFAULT,
                  reason="no time was left")  # fmt: skip
    return [*found, late]


def make_test(study: Study) -> Crowned:
    """The winner and the default on 204 test pictures."""
    tables = [answer(study.folds, s, 3, np.arange(204)).predictions(study.folds) for s in (0.5, 1)]
    results = [
        {name: figure.to_dict() for name, figure in main_figures(table).items()} | {"looks": 1}
        for table in tables
    ]
    gain = study.aim.gain(*tables)
    return Crowned(verdict_of(gain), sentence(study.aim, *tables, gain), *results[::-1], gain)


def make_rows(folds: Folds) -> list[Row]:
    """Manifest rows of the pictures, with looks that some slices go by."""
    random = np.random.default_rng(5)
    return [
        Row(path, folds.labels.names[c], sha256=path, group=group, split="train", file=path,
            width=int(random.integers(200, 900)), height=400, brightness=float(random.random()),
            contrast=0.3, sharpness=float(random.uniform(1, 9)))
        for path, c, group in zip(folds.paths, folds.truth, folds.groups, strict=True)
    ]  # fmt: skip


def make_diagnosis(study: Study, table: Predictions, outcome: Outcome) -> Diagnosis:
    """Everything that a diagnosis can find."""
    curve, paths = make_curve(study.folds), study.folds.paths
    remedy = Remedy("soften the labels", {"label_smoothing": 0.1}, DEFAULT)
    names = study.folds.labels.names
    suspects = [Suspect(paths[i], names[0], names[1], 0.97 - i / 100) for i in range(20)]
    return Diagnosis(
        find_gap(outcome, table, 800),
        find_balance(table),
        find_weak(table, make_rows(study.folds)),
        Noise(Figure(0.021, 0.013, 0.036), {names[0]: 0.034}, tuple(suspects)),
        curve,
        curve.forecast(),
        "a layer on the frozen features of lite0+lite2",
        (Tried(remedy, Difference(0.001, -0.004, 0.006, 0.7, len(paths))),),
    )


def make_facts(study: Study, limits: Limits = Limits(), **changes: Any) -> Facts:
    """Everything that a report can show; `changes` are fields of `Facts`."""
    board = leaderboard(study, limits)
    best = board.best or board.rows[0]
    assert best.trial.outcome is not None
    table = best.trial.outcome.predictions(study.folds)
    made = Facts(
        study,
        board,
        dataset="my data",
        out="study",
        seconds=74.2,
        wish=0.99,
        advice=ADVICE,
        test=make_test(study),
        diagnosis=make_diagnosis(study, table, best.trial.outcome),
        ablation=make_effects(study),
    )
    return replace(made, **changes)


def write_pictures(folder: Path, count: int) -> tuple[Path, ...]:
    """Small pictures on disk, each of its own colours."""
    folder.mkdir(parents=True, exist_ok=True)
    files = tuple(folder / f"{i:04}.jpg" for i in range(count))
    for i, file in enumerate(files):
        cells = np.random.default_rng(i).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(cells).resize((240, 180), Image.Resampling.BICUBIC).save(file)
    return files
