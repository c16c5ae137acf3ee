"""Recipe head: new layers on the frozen backbone's embeddings, which are computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from ..config import TrainConfig
from ..console import Advance, progress
from ..errors import UsageError
from ..model.define import Definition
from ..model.features import Embedder, embed_members
from ..model.head import KnowingHead
from ..model.network import Recogniser
from .blend import choose_scale, choose_share
from .faults import not_a_score
from .job import Job
from .linear import STRENGTHS, Candidate, Features, path
from .loss import make_loss
from .parallel import divided
from .plan import Epoch, Fit
from .scores import score

Target = nn.Linear | KnowingHead


def head(job: Job) -> Fit:
    """Train the head on the frozen backbone's embeddings: the exact minimum, in seconds.

    A part is one linear layer whose regularisation has the lowest validation loss: one for each
    member's embedding and, where the network knows classes of its own, one for what it says of
    those. How much of both is taken and how sure the answer is are chosen on the validation data
    too. Each line of the history is one strength that was tried; the last is the whole.
    """
    target = head_of(job.definition.network)
    started, training, validation = monotonic(), *_embedded(job)
    taught, asked = parts_of(target, training), parts_of(target, validation)
    with progress("head", len(taught.members + taught.known) * len(STRENGTHS)) as advance:
        search = Search(job, advance)
        search.result.choices.update(fill(target, taught, asked, search.best))
    return search.finish(training, validation, monotonic() - started)


def head_of(network: Recogniser) -> Target:
    """The network's head, which this recipe can train; raises `UsageError` for another."""
    if not isinstance(network.head, nn.Linear | KnowingHead):
        raise UsageError(
            "recipe head needs a network with a backbone and a linear head, yours has its own",
            hint="--recipe scratch",
        )
    return network.head


def embedder_of(definition: Definition, config: TrainConfig, device: torch.device) -> Embedder:
    """What looks at the pictures for this recipe."""
    rough = "bf16" if config.precision == "bf16" else "fp32"
    return Embedder(definition.network.backbone, definition.preprocess, device, rough)


def _embedded(job: Job) -> tuple[Features, Features]:
    """Embeddings [N, D] of the training and the validation pictures."""
    embedder = embedder_of(job.definition, job.config, job.device)
    look = partial(embed_members, embedder, cache=job.cache)
    training, validation = (
        Features(
            torch.from_numpy(divided(split.files, partial(look, what=name))),
            torch.tensor(split.targets),
        )
        for split, name in ((job.training, "train"), (job.validation, "validation"))
    )
    return training, validation


@dataclass(frozen=True)
class Parts:
    """What the layers of a head learn from, each for one member of the network: its embedding and,
    in `known`, what it says of its own classes."""

    members: list[Features]
    known: list[Features]


def parts_of(target: Target, embeddings: Features) -> Parts:
    """The parts of whole embeddings."""
    if not isinstance(target, KnowingHead):
        return Parts([embeddings], [])
    members = embeddings.split(target.widths)
    pairs = zip(target.readers(), members, strict=True)
    return Parts(members, [own.mapped(read) for read, own in pairs])


def fill(
    target: Target,
    training: Parts,
    validation: Parts,
    best: Callable[[Features, Features], Candidate],
) -> dict[str, Any]:
    """Fill the head with the layers that `best` finds for each part; returns what was chosen."""
    new = [best(*pair) for pair in zip(training.members, validation.members, strict=True)]
    old = [best(*pair) for pair in zip(training.known, validation.known, strict=True)]
    return _blend(target, new, old, validation.members[0].targets)


class Search:
    """The layers that were tried, as lines of the history."""

    def __init__(self, job: Job, advance: Advance) -> None:
        self.job, self.advance, self.result = job, advance, Fit()
        self.loss = make_loss(job.config, job.loss_weights(sampled=False))

    def best(self, training: Features, validation: Features) -> Candidate:
        """The layer whose regularisation has the lowest validation loss."""
        tried: list[Candidate] = []
        for candidate in path(training, validation, self.loss, self.job.classes):
            tried.append(candidate)
            self._add(candidate.train_loss, candidate.logits, validation.targets, candidate.seconds)
            self.advance()
        self.advance(len(STRENGTHS) - len(tried))
        return lowest(tried)

    def finish(self, training: Features, validation: Features, seconds: float) -> Fit:
        """The whole head as the last line and the best one, with the network's weights."""
        network = self.job.definition.network.cpu().eval()
        with torch.inference_mode():
            loss = float(self.loss(network.head(training.values), training.targets))
            logits = network.head(validation.values)
        self.result.best = self._add(loss, logits, validation.targets, seconds)
        self.result.state = network.state_dict()
        return self.result

    def _add(self, train_loss: float, logits: Tensor, targets: Tensor, seconds: float) -> Epoch:
        number = len(self.result.history) + 1
        line = Epoch(number, train_loss, *score(logits, targets), lr=0.0, seconds=seconds)
        if not torch.tensor([train_loss, line.validation_loss]).isfinite().all():
            raise not_a_score(number, None)
        self.result.history.append(line)
        self.job.on_epoch(line)
        return line


def lowest(tried: Iterable[Candidate]) -> Candidate:
    """The layer with the lowest validation loss: how strong its regularisation has to be."""
    return min(tried, key=lambda candidate: candidate.validation_loss)


def _blend(
    target: Target,
    new: Sequence[Candidate],
    old: Sequence[Candidate],
    targets: Tensor,
) -> dict[str, Any]:
    """Fill the head with the mean of the members' layers, blended and scaled as validation says."""
    logits = _mean([part.logits for part in new])
    share = 0.0
    if old:
        said = _mean([part.logits for part in old])
        share = choose_share(logits, said, targets)
        logits = (1 - share) * logits + share * said
    scale = choose_scale(logits, targets)
    with torch.no_grad():
        plain = target.linear if isinstance(target, KnowingHead) else target
        factor = scale / len(new)
        plain.weight.copy_(factor * (1 - share) * _side_by_side(new))
        plain.bias.copy_(factor * (1 - share) * _added_up(new))
        if isinstance(target, KnowingHead):
            target.knowing.weight.copy_(factor * share * _side_by_side(old))
            plain.bias.add_(factor * share * _added_up(old))
    return {
        "regularisation": [part.strength for part in new],
        "regularisation_of_known": [part.strength for part in old],
        "share_of_known": share,
        "scale": scale,
    }


def _mean(logits: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(logits)).mean(0)


def _side_by_side(parts: Sequence[Candidate]) -> Tensor:
    return torch.cat([part.layer.weight for part in parts], dim=1)


def _added_up(parts: Sequence[Candidate]) -> Tensor:
    biases: list[Tensor] = [part.layer.bias for part in parts]
    return torch.stack(biases).sum(0)
