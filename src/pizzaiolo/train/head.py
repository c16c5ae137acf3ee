"""Recipe head: new layers on the frozen backbone's embeddings, which are computed once."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

import torch
from torch import Tensor, nn

from ..console import Advance, progress
from ..errors import UsageError
from ..model.features import Embedder, embed
from ..model.head import KnowingHead
from .blend import choose_scale, choose_share
from .faults import not_a_score
from .job import Job
from .linear import STRENGTHS, Candidate, Features, path
from .loss import make_loss
from .plan import Epoch, Fit
from .scores import score


def head(job: Job) -> Fit:
    """Train the head on the frozen backbone's embeddings: the exact minimum, in seconds.

    A part is one linear layer whose regularisation has the lowest validation loss: one for each
    member's embedding and, where the network knows classes of its own, one for what it says of
    those. How much of both is taken and how sure the answer is are chosen on the validation data
    too. Each line of the history is one strength that was tried; the last is the whole.
    """
    target = job.definition.network.head
    if not isinstance(target, nn.Linear | KnowingHead):
        raise UsageError(
            "recipe head needs a network with a backbone and a linear head, yours has its own",
            hint="--recipe scratch",
        )
    started, training, validation = monotonic(), *_embedded(job)
    widths = target.widths if isinstance(target, KnowingHead) else [training.values.shape[1]]
    members = list(zip(training.split(widths), validation.split(widths), strict=True))
    known = []
    if isinstance(target, KnowingHead):
        known = [
            (training.mapped(own), validation.mapped(own))
            for own, (training, validation) in zip(target.readers(), members, strict=True)
        ]
    with progress("head", (len(members) + len(known)) * len(STRENGTHS)) as advance:
        search = Search(job, advance)
        new = [search.best(*pair) for pair in members]
        old = [search.best(*pair) for pair in known]
    _blend(target, new, old, validation.targets, search.result)
    return search.finish(training, validation, monotonic() - started)


def _embedded(job: Job) -> tuple[Features, Features]:
    """Embeddings [N, D] of the training and the validation pictures."""
    definition = job.definition
    rough = "bf16" if job.config.precision == "bf16" else "fp32"
    embedder = Embedder(definition.network.backbone, definition.preprocess, job.device, rough)
    training, validation = (
        Features(
            torch.from_numpy(embed(embedder, split.files, job.cache, name)),
            torch.tensor(split.targets),
        )
        for split, name in ((job.training, "train"), (job.validation, "validation"))
    )
    return training, validation


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
        return min(tried, key=lambda candidate: candidate.validation_loss)

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


def _blend(
    target: nn.Linear | KnowingHead,
    new: Sequence[Candidate],
    old: Sequence[Candidate],
    targets: Tensor,
    result: Fit,
) -> None:
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
    result.choices.update(
        regularisation=[part.strength for part in new],
        regularisation_of_known=[part.strength for part in old],
        share_of_known=share,
        scale=scale,
    )


def _mean(logits: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(logits)).mean(0)


def _side_by_side(parts: Sequence[Candidate]) -> Tensor:
    return torch.cat([part.layer.weight for part in parts], dim=1)


def _added_up(parts: Sequence[Candidate]) -> Tensor:
    biases: list[Tensor] = [part.layer.bias for part in parts]
    return torch.stack(biases).sum(0)
