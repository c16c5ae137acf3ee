"""One model behind a gate, with its counters: what the routes of the application share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from threading import Lock

import numpy as np
from starlette.concurrency import run_in_threadpool

from ..config import ServeConfig
from ..core.image import Limits
from ..errors import ModelFileError, PizzaioloError
from ..predict import Answer, Predictor
from ..predict.devices import cores
from .drift import Drift
from .feedback import Feedback
from .guard import Gate
from .metrics import Metrics
from .problems import Problem

Source = Callable[[], Predictor]  # loads the model's file anew


class Service:
    """One model behind a gate, with its counters."""

    def __init__(
        self, predictor: Predictor, config: ServeConfig, source: Source | None = None
    ) -> None:
        self.predictor = predictor
        self.config = config
        self.limits = Limits(config.max_bytes, config.max_pixels)
        share = max(1, cores() // config.workers)
        self.gate = Gate(config.concurrency or share, config.queue, config.timeout)
        self.drift = Drift(predictor.card)
        self.metrics = Metrics(lambda: self.gate.waiting, lambda: self.drift)
        self.ready = False
        self.source = source
        self.loading = Lock()
        self.feedback: Feedback | None = None
        if config.feedback is not None:
            folder = Path(config.feedback)
            self.feedback = Feedback(folder, predictor.labels, config.feedback_mb)

    def warm_up(self) -> None:
        """Answer one grey picture, so that the first person does not wait."""
        prove(self.predictor)
        self.ready = True

    def reload(self) -> Predictor:
        """Take the model file as it is now, if it answers as it should; else the old one stays.

        Requests go on meanwhile, each with one of both. Raises `Problem` 409 with the reason.
        """
        if self.source is None:
            raise Problem(409, "not_taken", "this model comes from no file that could change")
        if not self.loading.acquire(blocking=False):
            raise Problem(409, "not_taken", "a model is being loaded already")
        try:
            fresh = self.source()
            check_alike(self.predictor, fresh)
            prove(fresh)
        except PizzaioloError as error:
            raise Problem(409, "not_taken", f"{error.message}; the old model stays") from None
        finally:
            self.loading.release()
        self.predictor, self.drift = fresh, Drift(fresh.card)
        return fresh

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot of the gate while the block runs; the time before it is that of waiting."""
        async with AsyncExitStack() as held:
            with self.metrics.stage("wait"):
                await held.enter_async_context(self.gate.slot())
            yield

    async def answer(self, name: str | None, data: bytes) -> Answer:
        """One picture's answer; decoding and inference run in a thread."""
        answer = await run_in_threadpool(self.predictor.predict, data, self.limits)
        self.drift.add(answer)
        if answer.verdict is not None:
            self.metrics.verdicts.labels(answer.verdict).inc()
        if answer.error is not None:
            self.metrics.rejected.labels(answer.error["code"]).inc()
        return Answer(**{**vars(answer), "path": name})

    def refused(self, problem: Problem) -> None:
        """Count a request that got a problem for its answer; bad pictures are counted already."""
        if not problem.counted:
            self.metrics.rejected.labels(problem.code).inc()


def prove(predictor: Predictor) -> None:
    """Raise `ModelFileError` unless a grey and a black picture get probabilities."""
    size = predictor.card.preprocess.size
    for level in (128, 0):
        chances, _ = predictor.run(np.full((1, size, size, 3), level, np.uint8))
        wanted = (1, len(predictor.labels.names))
        if chances.shape != wanted or not np.allclose(chances.sum(axis=1), 1, atol=1e-3):
            raise ModelFileError("what the model answers are no probabilities of its classes")


def check_alike(old: Predictor, new: Predictor) -> None:
    """Raise `ModelFileError` where clients of the old model would not understand the new one."""
    names = [sorted(predictor.labels.names) for predictor in (old, new)]
    positive = [predictor.labels.positive for predictor in (old, new)]
    if names[0] != names[1] or positive[0] != positive[1]:
        raise ModelFileError(
            f"the new model has the classes {names[1]} with {positive[1]} asked for, the old one "
            f"{names[0]} with {positive[0]}"
        )
