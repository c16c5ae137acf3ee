"""What the service counts, in Prometheus' format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counters of one service, in a registry of its own."""

    def __init__(self, waiting: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
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
        gauge = Gauge("pizzaiolo_waiting", "Requests that wait for a slot", registry=self.registry)
        gauge.set_function(waiting)

    def text(self) -> bytes:
        """All figures in the text format."""
        return generate_latest(self.registry)
