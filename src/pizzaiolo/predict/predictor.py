"""The Predictor: a model file and a picture become an answer.

An ONNX model runs on onnxruntime and needs no PyTorch; a `.pt` model runs on PyTorch, imported
only then. Pictures are decoded in threads while the model answers the batch before.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..console import track
from ..core.bundle import find_model
from ..core.card import Card
from ..core.image import Limits
from ..core.novelty import Novelty
from ..errors import DatasetError, ImageError
from .answer import Answer
from .engines import Engine, OnnxEngine, Pixels, TorchEngine

if TYPE_CHECKING:
    from ..core.labels import Labels
    from ..model.quick import Quick

Source = Path | str | bytes
Embedding = NDArray[np.float32]
NOTHING: Embedding = np.zeros(0, np.float32)
BATCH = 8
AHEAD = 3 * BATCH  # pictures decoded or being decoded while a batch is answered
DEFAULT_LIMITS = Limits()


class Predictor:
    """A loaded model that answers pictures.

    Example:
        >>> predictor = pizzaiolo.load("m.onnx")            # doctest: +SKIP
        >>> predictor.predict("dinner.jpg").verdict         # doctest: +SKIP
        'Pizza'
    """

    def __init__(self, card: Card, engine: Engine, path: Path | None = None) -> None:
        self.card = card
        self.engine = engine
        self.path = path
        self.novelty = None if card.novelty is None else Novelty.from_facts(card.novelty)

    @property
    def labels(self) -> Labels:
        """The classes in the order of the probabilities."""
        return self.card.labels

    def predict(self, source: Source, limits: Limits = DEFAULT_LIMITS) -> Answer:
        """The answer for one path or one file's bytes; a bad picture gives `Answer.error`."""
        return next(self._answer([_decode(self.card, source, limits)]))[0]

    def predict_many(
        self,
        sources: Iterable[Source | None],
        workers: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Iterator[Answer]:
        """Answers in input order; at most a few batches are in memory, however many come.

        A None among the sources says that the next may take long: those before it are answered.
        """
        return (answer for answer, _ in self.look_many(sources, workers, limits))

    def look_many(
        self,
        sources: Iterable[Source | None],
        workers: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Iterator[tuple[Answer, Embedding]]:
        """Answers as `predict_many` gives them, each with its embedding [D]; [0] where unread."""
        with ThreadPoolExecutor(workers or min(4, os.cpu_count() or 1)) as pool:
            waiting: deque[Future[_Decoded]] = deque()
            for source in sources:
                if source is not None:
                    waiting.append(pool.submit(_decode, self.card, source, limits))
                while len(waiting) >= (1 if source is None else AHEAD):
                    yield from self._answer(_next(waiting))
            while waiting:
                yield from self._answer(_next(waiting))

    def run(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities [N, C] and embeddings [N, D] of preprocessed uint8 [N, H, W, 3]."""
        return self.engine(pixels)

    def run_many(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `run`, where nothing hangs on the last bits: faster, after a second's preparation."""
        return self._quick(pixels) if self._quick else self.run(pixels)

    def figures(
        self,
        files: Sequence[Path],
        what: str,
        *,
        exact: bool = True,
        digests: Sequence[str] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Probabilities [N, C] and embeddings [N, D] of prepared pictures.

        `exact` ones come by the path that `predict` takes. Others are rounded as in `run_many`:
        what training has computed already comes from the cache, by the files' `digests` (SHA-256)
        where those are given. Raises `DatasetError` for a picture that can't be read.
        """
        if self._quick and not exact:
            embeddings = self._quick.embed(files, what, digests)
            return self._quick.answers(embeddings).astype(np.float64), embeddings
        pairs = track(self.look_many(files), f"answering {what}", len(files))
        rows, seen = zip(*(_seen(self.labels, *pair) for pair in pairs), strict=True)
        return np.stack(rows), np.stack(seen)

    @cached_property
    def _quick(self) -> Quick | None:
        return self.engine.quick(self.card) if isinstance(self.engine, TorchEngine) else None

    def scores(self, embeddings: NDArray[np.float32]) -> list[float | None]:
        """The novelty of each of the embeddings [N, D]; None where the model file has no facts."""
        if self.novelty is None:
            return [None] * len(embeddings)
        return list(self.novelty.scores(embeddings).tolist())

    def _answer(self, decoded: list[_Decoded]) -> Iterator[tuple[Answer, Embedding]]:
        good = [d.pixels for d in decoded if d.pixels is not None]
        rows = iter(self._figures(np.stack(good)) if good else ())
        for item in decoded:
            if item.pixels is None:
                yield Answer(item.path, error=item.error), NOTHING
            else:
                probabilities, novelty, embedding = next(rows)
                yield self._decide(item.path, probabilities, novelty), embedding

    def _figures(self, pixels: Pixels) -> Iterator[tuple[list[float], float | None, Embedding]]:
        probabilities, embeddings = self.run(pixels)
        return zip(probabilities.tolist(), self.scores(embeddings), embeddings, strict=True)

    def _decide(
        self, path: str | None, probabilities: list[float], novelty: float | None
    ) -> Answer:
        decision = self.labels.decide(probabilities, novelty)
        named = dict(zip(self.labels.names, probabilities, strict=True))
        label, sure, verdict = decision.label, decision.confidence, decision.verdict
        return Answer(path, label, sure, verdict, named, novelty, decision.reason)


def _next(waiting: deque[Future[_Decoded]]) -> list[_Decoded]:
    """The decoded pictures of the next batch."""
    return [waiting.popleft().result() for _ in range(min(BATCH, len(waiting)))]


def _seen(
    labels: Labels, answer: Answer, embedding: Embedding
) -> tuple[NDArray[np.float64], Embedding]:
    if answer.probabilities is None:
        why = answer.error["message"] if answer.error else "no answer"
        raise DatasetError(f"{answer.path} can't be read: {why}", hint="run prepare again")
    return np.array([answer.probabilities[name] for name in labels.names]), embedding


@dataclass(frozen=True)
class _Decoded:
    path: str | None
    pixels: Pixels | None = None
    error: dict[str, str] | None = None


def _decode(card: Card, source: Source, limits: Limits) -> _Decoded:
    path = None if isinstance(source, bytes) else str(source)
    try:
        return _Decoded(path, card.preprocess.load(source, limits))
    except ImageError as error:
        return _Decoded(path, error={"code": error.code, "message": error.message})


def load_file(model: Path | str, code: str | None = None) -> Predictor:
    """A Predictor from a RUN folder or a model file.

    `code` ("path/to/file.py:Class") names the source of a `.pt` model of a person's own module.
    Raises `ModelFileError` for another kind or version of file.
    """
    path = find_model(Path(model))
    if path.suffix == ".onnx":
        engine = OnnxEngine(path)
        return Predictor(engine.card(path), engine, path)
    from ..model.deployed import load_deployed

    card, network = load_deployed(path, code)
    return Predictor(card, TorchEngine(network), path)
