"""Trials of recipe head: on ready features, each layer solved once for all trials that need it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import __version__
from ..config import TrainConfig
from ..model.define import define
from ..model.features import embed_members
from ..model.head import KnowingHead
from ..train import linear
from ..train.head import Parts, Target, embedder_of, fill, head_of, lowest, parts_of
from ..train.linear import Candidate, Features
from ..train.loss import make_loss
from ..train.sampling import class_counts, class_weights
from .folds import Folds, Ints
from .memo import Kept, Layers
from .outcome import Outcome, Reals, Stopped

Better = Callable[[Outcome], bool]
LEAST_FOLDS = 2  # that a trial answers before it may be stopped


@dataclass(frozen=True)
class Named(Features):
    """Features of some pictures, with the name of what the features of all are."""

    name: str


@dataclass(frozen=True)
class Look:
    """What an architecture makes of all pictures [N]: its head and the parts that this takes."""

    head: Target
    parts: Parts
    names: tuple[str, ...]
    embeddings: Tensor
    known: Tensor | None

    def at(self, rows: Ints) -> Parts:
        """The parts of some pictures."""
        places, count = torch.from_numpy(rows), len(self.parts.members)
        whole = self.parts.members + self.parts.known
        some = [
            Named(own.values[places], own.targets[places], name)
            for own, name in zip(whole, self.names, strict=True)
        ]
        return Parts(list(some[:count]), list(some[count:]))

    def logits(self) -> Tensor:
        """What the head says of all pictures, [N, C]."""
        if not isinstance(self.head, KnowingHead):
            return self.head(self.embeddings)  # type: ignore[no-any-return]
        return self.head.linear(self.embeddings) + self.head.knowing(self.known)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Roles:
    """The pictures that one model learns from, is chosen by, and answers."""

    training: Ints
    validation: Ints
    asked: Ints


def roles(folds: Folds, fold: int) -> Roles:
    """Who does what when `fold` judges: the next one validates, the others train.

    With two folds there is one for training only, and fold 0 does both.
    """
    asked, after = folds.rows(fold), (fold + 1) % folds.count
    if folds.count == 2:
        return Roles(folds.rows(1), folds.rows(0), folds.rows(0))
    others = [other for other in range(folds.count) if other not in (fold, after)]
    return Roles(folds.rows(*others), folds.rows(after), asked)


@dataclass
class Answers:
    """What a trial has answered so far, fold by fold."""

    probabilities: Reals
    accuracies: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    choices: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=monotonic)

    def add(self, roles: Roles, logits: Tensor, targets: Tensor, choices: dict[str, Any]) -> None:
        """The answers of one model, by its logits [N, C] for all pictures."""
        chances = logits[roles.asked].double().softmax(1)
        self.probabilities[roles.asked] = chances.numpy()
        known, truth = logits[roles.training], targets[roles.training]
        self.accuracies.append(float((known.argmax(1) == truth).float().mean()))
        self.losses.append(float(functional.cross_entropy(known, truth)))
        self.choices.append(choices)

    def outcome(self) -> Outcome:
        """All answers so far."""
        accuracy, loss = float(np.mean(self.accuracies)), float(np.mean(self.losses))
        facts = {"choices": list(self.choices)}
        seconds = monotonic() - self.started
        return Outcome(self.probabilities.copy(), accuracy, loss, seconds, facts)


class HeadBench:
    """Tries settings of recipe head on the folds; `layers` keeps what was solved."""

    def __init__(self, folds: Folds, device: torch.device, cache: Path, layers: Layers) -> None:
        self.folds, self.device, self.cache, self.layers = folds, device, cache, layers
        self.targets = torch.from_numpy(folds.truth)
        self.classes = len(folds.labels.names)
        self.folded = _digest(folds.fold.tobytes(), folds.truth.tobytes())
        self.seen: Kept[tuple[Target, Tensor]] = Kept(lambda seen: _bytes(seen[1]))
        self.axes: Kept[linear.Axes] = Kept(lambda axes: 2 * _bytes(axes.scores))
        self.looks: Kept[Look] = Kept(lambda look: sum(map(_bytes, _values(look.parts))))

    def trial(self, config: TrainConfig, better: Better | None = None) -> Outcome:
        """The answers to all pictures, each by a model that has not learnt from its fold.

        After two folds, and after each that follows, `better` is asked whether to go on; `Stopped`
        is raised where it says no.
        """
        look = self.look(config)
        answers = Answers(np.full((len(self.folds), self.classes), np.nan))
        count = self.folds.count if self.folds.count > 2 else 1
        for fold in range(count):
            self._answer(look, config, fold, answers)
            last = fold + 1 == count
            if better and not last and fold + 1 >= LEAST_FOLDS and not better(answers.outcome()):
                self.layers.flush()
                told = f"clearly worse after {fold + 1} of {count} folds"
                raise Stopped(told, answers.outcome())
        self.layers.flush()
        return answers.outcome()

    def look(self, config: TrainConfig) -> Look:
        """What the architecture of the settings makes of all pictures; computed once."""
        chosen = (config.model, config.size, config.resize_mode, config.pretrained, config.weights)
        key = (*chosen, config.precision)
        head, embeddings = self.seen.get(key, lambda: self._see(config))
        plain = not config.knowledge and isinstance(head, KnowingHead) and not config.weights
        if plain:
            head = nn.Linear(embeddings.shape[1], self.classes)
        return self.looks.get((key, plain), lambda: self._parts(head, embeddings))

    def _see(self, config: TrainConfig) -> tuple[Target, Tensor]:
        """The head and the embeddings [N, D] of all pictures."""
        definition = define(replace(config, knowledge=True), self.classes)
        head, digests = head_of(definition.network), self.folds.digests
        embedder = embedder_of(definition, config, self.device)
        files, known = self.folds.pictures.files, digests if all(digests) else None
        found = embed_members(embedder, files, self.cache, "the pictures", known)
        return head.requires_grad_(False), torch.from_numpy(found)

    def _parts(self, head: Target, embeddings: Tensor) -> Look:
        parts = parts_of(head, Features(embeddings, self.targets))
        names = tuple(_digest(values.numpy().tobytes()) for values in _values(parts))
        known = torch.cat([own.values for own in parts.known], dim=1) if parts.known else None
        return Look(head, parts, names, embeddings, known)

    def _answer(self, look: Look, config: TrainConfig, fold: int, answers: Answers) -> None:
        """Solve the layers of one model, and let it answer its fold."""
        parties = roles(self.folds, fold)
        loss, balanced = self._loss(config, parties), config.balance != "none"
        asked = (self.folded, fold, config.loss, config.label_smoothing, balanced)

        def best(training: Features, validation: Features) -> Candidate:
            assert isinstance(training, Named)
            key = _digest(json.dumps([training.name, *asked, __version__, _HOW]).encode())
            return self.layers.get(bytes.fromhex(key), lambda: solve(training, validation))

        def solve(training: Named, validation: Features) -> Candidate:
            axes = self.axes.get((training.name, fold), lambda: linear.axes_of(training))
            return lowest(linear.path(training, validation, loss, self.classes, axes))

        choices = fill(look.head, look.at(parties.training), look.at(parties.validation), best)
        with torch.inference_mode():
            answers.add(parties, look.logits(), self.targets, choices)

    def _loss(self, config: TrainConfig, parties: Roles) -> nn.Module:
        counts = class_counts(self.folds.truth[parties.training].tolist(), self.classes)
        return make_loss(config, class_weights(counts) if config.balance != "none" else None)

    def learn(self, config: TrainConfig, parties: Roles) -> Reals:
        """Probabilities [A, C] of the asked pictures, by a model of any others; nothing is kept."""
        look, loss = self.look(config), self._loss(config, parties)

        def best(training: Features, validation: Features) -> Candidate:
            return lowest(linear.path(training, validation, loss, self.classes))

        fill(look.head, look.at(parties.training), look.at(parties.validation), best)
        with torch.inference_mode():
            return look.logits()[parties.asked].double().softmax(1).numpy()


_HOW = repr((linear.STRENGTHS, linear.MOST_STEPS, linear.WORSE_IN_A_ROW, linear.MOST_AXES))


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _values(parts: Parts) -> Sequence[Tensor]:
    return [own.values for own in parts.members + parts.known]


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
