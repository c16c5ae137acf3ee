"""The Predictor: a model file and a picture become an answer.

An ONNX model runs on onnxruntime and needs no PyTorch; a `.pt` model runs on PyTorch, imported
only then. Each thread decodes a picture and runs it, so none waits for another, and a picture gets
the same bits whatever stands beside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..console import track
from ..core.bundle import find_model
from ..core.card import Card
from ..core.cards import check_labels
from ..core.image import Limits
from ..core.novelty import Novelty
from ..core.shards import shown
from ..errors import DatasetError
from .answer import Answer
from .devices import check_device, cores
from .engines import Engine, Outputs, Pixels, TorchEngine, torch_device
from .given import Given, Source, each, take
from .graphs import open_graph

if TYPE_CHECKING:
    from ..core.labels import Labels
    from ..model.quick import Quick

Embedding = NDArray[np.float32]
NOTHING: Embedding = np.zeros(0, np.float32)
BATCH = 8  # a good number of pictures to give to `run` at once
AHEAD = 4  # batches of the engine that wait or run, for each worker
DEFAULT_LIMITS = Limits()
Looked = tuple[Answer, Embedding]


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
        self._batch: int = getattr(engine, "batch", 1)
        self._workers: int = getattr(engine, "workers", cores())

    @property
    def labels(self) -> Labels:
        """The classes in the order of the probabilities."""
        return self.card.labels

    @property
    def where(self) -> str:
        """What it computes on, in words."""
        return getattr(self.engine, "where", "the CPU")

    def predict(self, source: Source, limits: Limits = DEFAULT_LIMITS) -> Answer:
        """The answer for one picture; a bad one gives `Answer.error`.

        A picture is a path, a file's bytes, a Pillow picture or a NumPy array, uint8
        [height, width, 3] (RGB) or [height, width] (grey).
        """
        return self._look([take(source, self.card.preprocess, limits)], limits)[0][0]

    def predict_many(
        self,
        sources: Iterable[Source | None] | Source,
        workers: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Iterator[Answer]:
        """Answers in input order: of a list, of a generator, of a folder or a glob.

        Each source is what `predict` takes; only a few for each of the `workers` (default: cores)
        are in memory, however many come. Paths and bytes are decoded by the workers, Pillow
        pictures and arrays made small where they come in: they may be changed or closed after. A
        None among the sources says that the next may take long: those before it are answered.
        Raises `InputError` for a folder without pictures.
        """
        return (answer for answer, _ in self.look_many(sources, workers, limits))

    def look_many(
        self,
        sources: Iterable[Source | None] | Source,
        workers: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Iterator[Looked]:
        """Answers as `predict_many` gives them, each with its embedding [D]; [0] where unread."""
        workers = workers or self._workers
        pool = ThreadPoolExecutor(workers)
        waiting: deque[Future[list[Looked]]] = deque()
        try:
            for batch in self._batches(each(sources), limits):
                if batch:
                    waiting.append(pool.submit(self._look, batch, limits))
                room = AHEAD * workers if batch else 1
                while waiting and (len(waiting) >= room or waiting[0].done()):
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _batches(
        self, sources: Iterable[Source | None], limits: Limits
    ) -> Iterator[list[Given] | None]:
        """As many pictures as the engine takes at once; None where the next may take long."""
        batch: list[Given] = []
        for source in sources:
            if source is not None:
                batch.append(take(source, self.card.preprocess, limits))
            if batch and (source is None or len(batch) == self._batch):
                yield batch
                batch = []
            if source is None:
                yield None
        if batch:
            yield batch

    def run(self, pixels: Pixels) -> Outputs:
        """Probabilities [N, C] and embeddings [N, D] of preprocessed uint8 [N, H, W, 3]."""
        starts = range(0, max(1, len(pixels)), self._batch)
        parts = [pixels[start : start + self._batch] for start in starts]
        if len(parts) == 1:
            return self._run_some(pixels)
        with ThreadPoolExecutor(self._workers) as pool:
            probabilities, embeddings = zip(*pool.map(self._run_some, parts), strict=True)
        return np.concatenate(probabilities), np.concatenate(embeddings)

    def _run_some(self, pixels: Pixels) -> Outputs:
        """At most a batch, which is filled up: the size decides how the engine rounds."""
        missing = self._batch - len(pixels)
        if missing <= 0 or not len(pixels):
            return self.engine(pixels)
        filled = np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)])
        probabilities, embeddings = self.engine(filled)
        return probabilities[: len(pixels)], embeddings[: len(pixels)]

    def run_many(self, pixels: Pixels) -> Outputs:
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

    def _look(self, batch: list[Given], limits: Limits) -> list[Looked]:
        """What a worker does: decode at most a batch, run it, decide."""
        read = [given.read(self.card.preprocess, limits) for given in batch]
        good = [given.pixels for given in read if given.pixels is not None]
        rows = iter(self._figures(np.stack(good)) if good else ())
        return [self._answer(given, rows) for given in read]

    def _answer(
        self, given: Given, rows: Iterator[tuple[list[float], float | None, Embedding]]
    ) -> Looked:
        if given.pixels is None:
            return Answer(given.path, error=given.error), NOTHING
        probabilities, novelty, embedding = next(rows)
        return self._decide(given.path, probabilities, novelty), embedding

    def _figures(self, pixels: Pixels) -> Iterator[tuple[list[float], float | None, Embedding]]:
        probabilities, embeddings = self._run_some(pixels)
        return zip(probabilities.tolist(), self.scores(embeddings), embeddings, strict=True)

    def _decide(
        self, path: str | None, probabilities: list[float], novelty: float | None
    ) -> Answer:
        decision = self.labels.decide(probabilities, novelty)
        named = dict(zip(self.labels.names, probabilities, strict=True))
        label, sure, verdict = decision.label, decision.confidence, decision.verdict
        return Answer(path, label, sure, verdict, named, novelty, decision.reason)


def _seen(
    labels: Labels, answer: Answer, embedding: Embedding
) -> tuple[NDArray[np.float64], Embedding]:
    if answer.probabilities is None:
        why = answer.error["message"] if answer.error else "no answer"
        path = shown(answer.path or "a picture")
        raise DatasetError(f"{path} can't be read: {why}", hint="run prepare again")
    return np.array([answer.probabilities[name] for name in labels.names]), embedding


def load_file(
    model: Path | str,
    code: str | None = None,
    device: str = "cpu",
    labels: Sequence[str] | None = None,
) -> Predictor:
    """A Predictor from a RUN folder or a model file.

    `code` ("path/to/file.py:Class") names the source of a `.pt` model of a person's own module,
    `device` is one of `DEVICES`, `labels` are the classes of an ONNX model that has no card. Raises
    `ModelFileError` for another kind or version of file, and `UsageError` for a device that is
    not there.
    """
    check_device(device)
    path = find_model(Path(model))
    if path.suffix != ".pt":
        return Predictor(*open_graph(path, device, labels), path)
    from ..model.deployed import load_deployed

    where = torch_device(device)
    card, network = load_deployed(path, code)
    check_labels(card, labels, path)
    return Predictor(card, TorchEngine(network, where), path)
