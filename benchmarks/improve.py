"""Improvement: what ten minutes of search find, and whether what it says is right.

    python benchmarks/improve.py [--parts search,rate,curve,noise,suggest] [--timeout 10m]
                                 [--rate 2m] [--repeats 10]

search: settings tried in `--timeout`, and the best against the default on the test split. rate:
settings a minute of two processes against one, each for `--rate`. curve: the accuracy forecast
from half of the pictures against that with all. noise: 15 % of the labels flipped, and how many
are estimated. suggest: 50 suggested photos labelled against 50 at random, from 100 on. Only the
flagship set is looked at; the last three parts leave its test split alone.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import optuna
import torch
from common import header, interval, photos, pizzaiolo
from numpy.typing import NDArray

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.core.novelty import Novelty
from pizzaiolo.evaluate import novelty
from pizzaiolo.improve.diagnose.curve import learning_curve
from pizzaiolo.improve.diagnose.noise import label_noise
from pizzaiolo.improve.diverse import pick
from pizzaiolo.improve.folds import make_folds
from pizzaiolo.improve.heads import Roles
from pizzaiolo.improve.measure import Bench
from pizzaiolo.improve.suggest import LEAD, worth_of
from pizzaiolo.prepare.vectors import unit
from pizzaiolo.train.defaults import filled

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]

WANTED_TRIALS, WANTED_A_MINUTE, WANTED_RATE, WANTED_OFF = 100, 100, 1.7, 0.015
PLANTED, NOISE_LOW, NOISE_HIGH = 0.15, 0.10, 0.20
HELD_OUT, LABELLED, MORE = 400, 100, 50  # photos: asked, labelled at first, labelled then
VALIDATION = 5  # one in so many labelled photos


@dataclass(frozen=True)
class Place:
    """The data set, the cache of features that `prepare` left, and a folder for what is made."""

    data: Path
    cache: Path
    folder: Path
    given: argparse.Namespace

    @cached_property
    def bench(self) -> Bench:
        folds = make_folds(Dataset.open(self.data), 5)
        return Bench(folds, torch.device("cpu"), self.cache)

    def improve(self, name: str, *flags: str) -> dict[str, Any]:
        """The command as a whole, into a study of its own."""
        done = pizzaiolo(
            "improve", self.data, "--out", self.folder / name, *flags,
            PIZZAIOLO_CACHE=str(self.cache),
        )  # fmt: skip
        found: dict[str, Any] = done.json()
        return found


def tried(study: Path) -> tuple[int, float]:
    """How many settings were finished after the default, and in how many minutes (nan for none)."""
    file = optuna.storages.journal.JournalFileBackend(str(study / "study.journal"))
    storage = optuna.storages.JournalStorage(file)
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).get_trials()[1:]
    spans = [(t.datetime_start, t.datetime_complete) for t in trials]
    known = [(start, end) for start, end in spans if start and end]
    if not known:
        return 0, math.nan
    whole = max(end for _, end in known) - min(start for start, _ in known)
    return len(known), whole.total_seconds() / 60


def search(place: Place) -> None:
    started = monotonic()
    found = place.improve("search", "--timeout", place.given.timeout)
    seconds, (count, minutes) = monotonic() - started, tried(place.folder / "search")
    print(
        f"search: {count} settings ({WANTED_TRIALS} are wanted) in {seconds:.0f} s, report "
        f"included; {count / minutes:.0f} a minute while it searched ({WANTED_A_MINUTE} are wanted)"
    )
    best, test = found["best"], found["test"]
    print(f"  best: {best['setting']}; {found['stopped']} stopped early, {found['failed']} failed")
    print(f"  test: {test['sentence']}", flush=True)


def rate(place: Place) -> None:
    rates = []
    for workers in (1, 2):
        place.improve(
            f"rate{workers}", "--timeout", place.given.rate, "--workers", str(workers),
            "--no-diagnose", "--no-ablation",
        )  # fmt: skip
        count, minutes = tried(place.folder / f"rate{workers}")
        rates.append(count / minutes)
    print(
        f"rate: {rates[0]:.0f} settings a minute by one process, {rates[1]:.0f} by two: "
        f"{rates[1] / rates[0]:.2f} times ({WANTED_RATE} is wanted)",
        flush=True,
    )


def curve(place: Place) -> None:
    config, bench = filled(TrainConfig()), place.bench

    def learn(parties: Roles) -> Reals:
        return bench.learn(config, parties)

    off = []
    for seed in range(3):
        measured = learning_curve(learn, bench.folds, seed)
        told = measured.forecast(most=0.5).at(float(measured.pictures[-1]))
        assert told.value is not None and told.low is not None and told.high is not None
        off.append(abs(told.value - measured.accuracy[-1]))
        print(
            f"curve {seed}: forecast from half {told.value:.4f} ({told.low:.4f} to "
            f"{told.high:.4f}), with all {measured.accuracy[-1]:.4f}",
            flush=True,
        )
    print(f"curve: at most {max(off):.4f} off ({WANTED_OFF} is wanted)", flush=True)


def noise(place: Place) -> None:
    folds = place.bench.folds
    features = place.bench.look(filled(TrainConfig())).embeddings.numpy()
    shares = []
    for seed in range(place.given.repeats):
        flips = np.random.default_rng(seed).permutation(len(folds))[: round(PLANTED * len(folds))]
        truth = folds.truth.copy()
        truth[flips] = 1 - truth[flips]
        share = label_noise(features, truth, folds.groups, folds.labels, folds.paths, seed).share
        assert share.value is not None
        shares.append(share.value)
    inside = sum(NOISE_LOW <= share <= NOISE_HIGH for share in shares)
    mean, low, high = interval(shares)
    print(
        f"noise: of {PLANTED:.0%} planted {mean:.1%} ({low:.1%} to {high:.1%}) estimated, "
        f"{min(shares):.1%} to {max(shares):.1%}; {inside} of {len(shares)} within "
        f"{NOISE_LOW:.0%} to {NOISE_HIGH:.0%}",
        flush=True,
    )


def suggest(place: Place) -> None:
    lines = [_labelled(place.bench, seed) for seed in range(place.given.repeats)]
    first = [line["none"] for line in lines]
    print(f"suggest: {LABELLED} labelled photos: {np.mean(first):.4f} on {HELD_OUT} held out")
    for name in ("suggested", "least sure"):
        gains = [line[name] - line["random"] for line in lines]
        mean, low, high = interval(gains)
        print(
            f"  {MORE} more, {name}: {np.mean([line[name] for line in lines]):.4f}, at random "
            f"{np.mean([line['random'] for line in lines]):.4f}: {mean:+.4f} ({low:+.4f} to "
            f"{high:+.4f}); better in {sum(g > 0 for g in gains)}, worse in "
            f"{sum(g < 0 for g in gains)} of {len(gains)}",
            flush=True,
        )


def _labelled(bench: Bench, seed: int) -> dict[str, float]:
    """Held-out accuracy with the first photos labelled, and with more by each way to choose."""
    random, folds = np.random.default_rng(seed), bench.folds
    groups = np.array(folds.groups)
    held = np.isin(groups, random.permutation(np.unique(groups))[:HELD_OUT])
    asked, rest = np.flatnonzero(held), random.permutation(np.flatnonzero(~held))
    known, pool = rest[:LABELLED], rest[LABELLED:]

    def accuracy(more: Ints) -> float:
        answers = _learnt(bench, known, random.permutation(more), asked)
        return float((answers.argmax(axis=1) == folds.truth[asked]).mean())

    nothing = np.zeros(0, np.int64)
    answers, features = _learnt(bench, known, nothing, pool), _features(bench)
    new = _novelty(features, folds.truth, known, pool)
    ordered = np.sort(answers, axis=1)
    unsure = 1 - (ordered[:, -1] - ordered[:, -2])
    quality = np.array([worth_of(u, n) for u, n in zip(unsure.tolist(), new, strict=True)])
    away = unit(features[pool] - features[known].mean(axis=0))
    return {
        "none": accuracy(nothing),
        "random": accuracy(pool[random.permutation(len(pool))[:MORE]]),
        "suggested": accuracy(pool[pick(quality**LEAD, away, MORE)]),
        "least sure": accuracy(pool[np.argsort(-unsure, kind="stable")[:MORE]]),
    }


def _learnt(bench: Bench, known: Ints, more: Ints, asked: Ints) -> Reals:
    """What the default recipe answers that learns from known photos and from more."""
    validation = np.concatenate([rows[::VALIDATION] for rows in (known, more)])
    training = np.setdiff1d(np.concatenate([known, more]), validation)
    return bench.learn(filled(TrainConfig()), Roles(training, validation, asked))


def _features(bench: Bench) -> NDArray[np.float32]:
    found: NDArray[np.float32] = bench.look(filled(TrainConfig())).embeddings.numpy()
    return found


def _novelty(
    features: NDArray[np.float32], truth: Ints, known: Ints, pool: Ints
) -> list[float | None]:
    """In units of the cut that the validation photos set."""
    validation = known[::VALIDATION]
    training = np.setdiff1d(known, validation)
    facts = novelty.fit(features[training], truth[training])
    if facts is None:
        return [None] * len(pool)
    told = Novelty.from_facts(facts)
    cut = novelty.novelty_cut(told.scores(features[validation]))
    scores = replace(told, scale=told.scale * cut).scores(features[pool])
    return [float(score) for score in scores]


PARTS: dict[str, Callable[[Place], None]] = {
    "search": search, "rate": rate, "curve": curve, "noise": noise, "suggest": suggest,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--timeout", default="10m", help="of the search, as improve takes it")
    parser.add_argument("--rate", default="2m", help="of each of the two searches that are timed")
    parser.add_argument("--repeats", type=int, default=10)
    given = parser.parse_args()
    parts = given.parts.split(",")
    if unknown := [name for name in parts if name not in PARTS]:
        raise SystemExit(f"{unknown[0]} is not known, there are {', '.join(PARTS)}")
    header()
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name) / "data", Path(name) / "cache", Path(name), given)
        pizzaiolo(
            "prepare", photos("pizza_not_pizza"), "--out", place.data,
            PIZZAIOLO_CACHE=str(place.cache),
        )  # fmt: skip
        for part in parts:
            PARTS[part](place)


if __name__ == "__main__":
    main()
