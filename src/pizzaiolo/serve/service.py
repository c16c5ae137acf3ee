"""One model behind a gate, with its counters: what the routes of the application share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from threading import Lock

from starlette.concurrency import run_in_threadpool

from ..config import ServeConfig
from ..console import log, note
from ..core.image import Limits
from ..errors import PizzaioloError
from ..predict import Answer, Predictor
from ..predict.devices import cores
from .drift import Drift
from .explain import Looked, look
from .feedback import Feedback
from .guard import Gate
from .metrics import Metrics
from .problems import Problem
from .proof import check_alike, check_right, prove, read_proof
from .together import Together, measure

EXPLAINED = 4  # requests that may wait until theirs is explained
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
        running, ahead = config.concurrency or share, 0 if config.concurrency else share
        self.gate = Gate(running, config.queue, config.timeout, config.max_wait, ahead)
        self.threads = ThreadPoolExecutor(running)
        self.explaining = Gate(1, EXPLAINED, config.timeout)  # each costs as much as 50 answers
        self.drift = Drift(predictor.card)
        self.metrics = Metrics(lambda: self.gate.waiting, lambda: self.drift)
        self.ready = False
        self.together = 0  # pictures that are computed at once, where that pays
        self.source = source
        self.loading = Lock()
        self.proof = read_proof(Path(config.proof), predictor.labels) if config.proof else []
        self.feedback: Feedback | None = None
        if config.feedback is not None:
            folder = Path(config.feedback)
            self.feedback = Feedback(folder, predictor.labels, config.feedback_mb)

    def warm_up(self) -> None:
        """Answer first pictures, so that no person waits for it, and see whether batches pay."""
        prove(self.predictor)
        measured = measure(self.predictor, self.gate.running)
        self.gate.seconds = measured.alone / measured.pictures  # until requests tell
        if measured.pays:
            note(str(measured))
            self.together = measured.pictures
            self.predictor = self._fed(self.predictor)
            if self.config.concurrency is None:
                self.gate.widen(2 * self.together)
                self.threads = ThreadPoolExecutor(self.gate.running)
        else:
            log.debug("%s", measured)
        self.ready = True

    def _fed(self, predictor: Predictor) -> Predictor:
        """The predictor, fed with pictures of several requests at once where that pays."""
        if not self.together:
            return predictor
        engine = Together(predictor.engine, self.together, self.metrics.batches.observe)
        return Predictor(predictor.card, engine, predictor.path)

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
            fresh = self._fed(fresh)
            check_right(self.predictor, fresh, self.proof, self.limits)
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
        loop, work = asyncio.get_running_loop(), self.predictor.predict
        answer = await loop.run_in_executor(self.threads, work, data, self.limits)
        self.drift.add(answer)
        if answer.verdict is not None:
            self.metrics.verdicts.labels(answer.verdict).inc()
        if answer.error is not None:
            self.metrics.rejected.labels(answer.error["code"]).inc()
        return Answer(**{**vars(answer), "path": name})

    async def look(self, data: bytes) -> Looked:
        """One picture's answer and what the model looked at, one at a time and in a slot."""
        async with self.explaining.enter(), self.explaining.slot(), self.gate.slot():
            return await run_in_threadpool(look, self.predictor, data, self.limits)

    def refused(self, problem: Problem) -> None:
        """Count a request that got a problem for its answer; bad pictures are counted already."""
        if not problem.counted:
            self.metrics.rejected.labels(problem.code).inc()
