"""What the service counts, in Prometheus' format."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from .drift import Drift
from .workers import FIGURES

PICTURES = (1, 2, 4, 8, 16, 32, 100, 1000, 10_000)  # upper ends of the histogram's buckets


class Metrics:
    """Counters of one service, in a registry of its own; several processes share what they count.

    `waiting` and `drift` are asked when figures are, for what goes up and down.
    """

    def __init__(self, waiting: Callable[[], int], drift: Callable[[], Drift]) -> None:
        self.registry = CollectorRegistry()
        self.now = waiting, drift
        self.requests = Counter(
            "pizzaiolo_requests_total", "Requests by path and status", ["path", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "pizzaiolo_request_seconds", "Time from request to answer", ["path"],
            registry=self.registry,
        )  # fmt: skip
        self.verdicts = Counter(
            "pizzaiolo_verdicts_total", "Answers by verdict", ["verdict"], registry=self.registry
        )
        self.rejected = Counter(
            "pizzaiolo_rejected_total", "Requests and pictures refused, by the problem's code",
            ["code"], registry=self.registry,
        )  # fmt: skip
        self.pictures = Histogram(
            "pizzaiolo_request_pictures", "Pictures in a request", buckets=PICTURES,
            registry=self.registry,
        )  # fmt: skip
        self.batches = Histogram(
            "pizzaiolo_batch_pictures", "Pictures that were computed at once, where batches pay",
            buckets=PICTURES, registry=self.registry,
        )  # fmt: skip
        self.stages = Histogram(
            "pizzaiolo_stage_seconds", "Time of a request in each stage: read, wait, answer",
            ["stage"], registry=self.registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "pizzaiolo_waiting", "Requests that wait for a slot", registry=self.registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self.drift = Gauge(
            "pizzaiolo_drift",
            "Population stability index of the last answers against those the model was judged on",
            ["what"], registry=self.registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self.confidence = Gauge(
            "pizzaiolo_confidence_mean", "Mean confidence of the last answers",
            registry=self.registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip

    def refresh(self) -> None:
        """Set what goes up and down to what it is now in this process."""
        waiting, drift = self.now[0](), self.now[1]()
        self.waiting.set(waiting)
        for what, index in drift.indices().items():
            self.drift.labels(what).set(index)
        if drift.confidence is not None:
            self.confidence.set(drift.confidence)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage of a request, whatever becomes of it."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.stages.labels(name).observe(time.perf_counter() - started)

    def text(self) -> bytes:
        """All figures in the text format, those of the other processes too."""
        self.refresh()
        if FIGURES not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
