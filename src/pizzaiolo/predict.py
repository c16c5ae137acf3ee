"""The Predictor: a model file and a picture become an answer.

An ONNX model runs on onnxruntime and needs no PyTorch; a `.pt` model runs on PyTorch, imported
only then. Pictures are decoded in threads while the model answers the batch before.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .console import track
from .core.bundle import CARD_KEY, find_model
from .core.card import Card
from .core.image import Limits
from .core.novelty import Novelty
from .errors import DatasetError, ImageError, InputError, ModelFileError

if TYPE_CHECKING:
    from .core.labels import Labels
    from .model.quick import Quick

Source = Path | str | bytes
Pixels = NDArray[np.uint8]
Embedding = NDArray[np.float32]
NOTHING: Embedding = np.zeros(0, np.float32)
BATCH = 8
DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Answer:
    """What the model says of one picture; `error` tells why where it says nothing.

    `confidence` is the probability of `label`, 0 to 1; `verdict` is what a person reads, and
    `reason` says why it is "Not sure". `novelty` is how unlike all training pictures this one is,
    over 1 where it is unlike nearly all that are usual; None where the model file doesn't know.
    """

    path: str | None
    label: str | None = None
    confidence: float | None = None
    verdict: str | None = None
    probabilities: dict[str, float] | None = None
    novelty: float | None = None
    reason: str | None = None
    error: dict[str, str] | None = None

    @property
    def sure(self) -> str:
        """The confidence for people: what is only nearly certain is never called 100 %."""
        if self.confidence is None:
            return ""
        if self.confidence >= 0.9995:
            return ">99.9%"
        return f"{self.confidence:.1%}"

    @property
    def line(self) -> str:
        """The answer for people, on one line."""
        if self.error is not None:
            return f"{'-':<12} {'':>6}  {self.path}: {self.error['message']}"
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.verdict:<12} {self.sure:>6}  {self.path}{why}"

    def to_json(self) -> dict[str, Any]:
        """The answer as the CLI and the HTTP API give it."""
        return asdict(self)


class Engine(Protocol):
    """Runs the deployed graph: uint8 [N, H, W, 3] -> probabilities [N, C], embedding [N, D]."""

    def __call__(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...


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
        sources: Iterable[Source],
        workers: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Iterator[Answer]:
        """Answers in input order; at most a few batches are in memory, however many come."""
        return (answer for answer, _ in self.look_many(sources, workers, limits))

    def look_many(
        self,
        sources: Iterable[Source],
        workers: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Iterator[tuple[Answer, Embedding]]:
        """Answers as `predict_many` gives them, each with its embedding [D]; [0] where unread."""
        with ThreadPoolExecutor(workers or min(4, os.cpu_count() or 1)) as pool:
            waiting: deque[Future[_Decoded]] = deque()
            stream = iter(sources)
            while True:
                for source in islice(stream, 3 * BATCH - len(waiting)):
                    waiting.append(pool.submit(_decode, self.card, source, limits))
                if not waiting:
                    return
                ready = [waiting.popleft().result() for _ in range(min(BATCH, len(waiting)))]
                yield from self._answer(ready)

    def run(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities [N, C] and embeddings [N, D] of preprocessed uint8 [N, H, W, 3]."""
        return self.engine(pixels)

    def run_many(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `run`, where nothing hangs on the last bits: faster, after a second's preparation."""
        return self._quick(pixels) if self._quick else self.run(pixels)

    def embed(self, files: Sequence[Path], what: str) -> NDArray[np.float32]:
        """The embeddings [N, D] of prepared pictures, to compare with: rounded as in `run_many`.

        What training has computed already comes from the cache. Raises `DatasetError` for a picture
        that can't be read.
        """
        if self._quick:
            embeddings: NDArray[np.float32] = self._quick.embed(files, what)
            return embeddings
        pairs = track(self.look_many(files), f"features of {what}", len(files))
        return np.stack([_seen(answer, embedding) for answer, embedding in pairs])

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


def _seen(answer: Answer, embedding: Embedding) -> Embedding:
    if answer.error:
        raise DatasetError(
            f"{answer.path} can't be read: {answer.error['message']}", hint="run prepare again"
        )
    return embedding


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


class OnnxEngine:
    """A session of onnxruntime on the CPU."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Threads that spin between calls slow down everything else on a small machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.intra_op_num_threads = _threads()
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises many kinds, none of them exported
            reason = str(error).splitlines()[0][:200]
            raise ModelFileError(
                f"{path} is not an ONNX model that onnxruntime can open: {reason}",
                hint="expected what `pizzaiolo export RUN --out model.onnx` wrote",
            ) from None

    def card(self, path: Path) -> Card:
        """The card inside the file."""
        text = self.session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
        if text is None:
            raise ModelFileError(
                f"{path} is an ONNX model without a card, so its classes are unknown",
                hint="expected what `pizzaiolo export RUN --out model.onnx` wrote",
            )
        return Card.from_json(text)

    def __call__(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        probabilities, embedding = self.session.run(
            ["probabilities", "embedding"], {"image": pixels}
        )
        return probabilities, embedding


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class TorchEngine:
    """The deployed graph of a `.pt` model file, run by PyTorch.

    Several pictures are shared out to threads that compute on one core each: that is faster than
    all cores on one layer after the other (95 pictures a second against 62 on 2 quiet cores), and
    on a busy machine no layer waits for the core that is taken away.
    """

    def __init__(self, network: Any) -> None:
        self.network = network

    def __call__(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if len(pixels) < 2:
            return self._run(pixels)
        from .model.device import one_thread

        with one_thread():
            parts = np.array_split(pixels, min(_threads(), len(pixels)))
            probabilities, embeddings = zip(*self._workers.map(self._run, parts), strict=True)
        return np.concatenate(probabilities), np.concatenate(embeddings)

    @cached_property
    def _workers(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_threads())

    def _run(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        with torch.inference_mode():
            probabilities, embedding = self.network(torch.tensor(pixels))
        return probabilities.numpy(), embedding.numpy()

    def quick(self, card: Card) -> Quick | None:
        """The same graph for many pictures; None where it has no parts that are known."""
        from .model.quick import quick

        return quick(self.network, card.preprocess)


def load_file(model: Path | str, code: str | None = None) -> Predictor:
    """A Predictor from a RUN folder or a model file.

    `code` ("path/to/file.py:Class") names the source of a `.pt` model of a person's own module.
    Raises `ModelFileError` for another kind or version of file.
    """
    path = find_model(Path(model))
    if path.suffix == ".onnx":
        engine = OnnxEngine(path)
        return Predictor(engine.card(path), engine, path)
    from .model.deployed import load_deployed

    card, network = load_deployed(path, code)
    return Predictor(card, TorchEngine(network), path)


def expand(inputs: Iterable[str]) -> Iterator[Path]:
    """Pictures behind the arguments: files as they are, folders and globs searched, sorted.

    Raises `InputError` for an empty name and for a folder or glob without pictures.
    """
    from glob import glob

    from .core.image import SUFFIXES

    for text in inputs:
        if not text:
            raise InputError("a name is empty", hint="expected a picture, a folder or a glob")
        path = Path(text)
        if os.path.isdir(text):
            files = (p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            found = sorted(p for p in files if not p.is_dir())
        elif any(c in text for c in "*?[") and not os.path.exists(text):
            found = sorted(Path(p) for p in glob(text, recursive=True) if Path(p).is_file())
        else:
            found = [path]
        if not found:
            raise InputError(
                f"{text} holds no pictures", hint=f"known: {' '.join(sorted(SUFFIXES))}"
            )
        yield from found
