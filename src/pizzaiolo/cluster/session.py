"""A connection to Ray: a cluster's address, or `local` for this machine's own cores."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO

from ..console import log
from ..errors import InputError, PizzaioloError, UsageError, WorkError, extras_explained

LOCAL = "local"
WAIT = 20  # seconds for an address to answer
QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # of what else Ray would print on stdout of lost workers
    "RAY_TQDM": "0",
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anyone
    "RAY_gcs_server_request_timeout_seconds": "10",
}


@dataclass(frozen=True)
class Cluster:
    """What is there to work with: machines, processors, GPUs."""

    address: str
    nodes: int
    cpus: int
    gpus: int


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Ray, while the block runs: `local`, `auto`, `host:port` or `ray://host:port`.

    Raises `MissingExtraError` without Ray, `UsageError` for what is no address, `InputError` for
    one that doesn't answer, and `WorkError` where Ray can't start here.
    """
    _check(address)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with extras_explained():
        import ray
    if ray.is_initialized():  # a program that has its own connection keeps it
        yield _cluster(address)
        return
    said = StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            _start(address)
        found = _cluster(address)
        log.info("Ray %s: %d machines, %d CPUs, %d GPUs",
                 address, found.nodes, found.cpus, found.gpus)  # fmt: skip
        yield found
    finally:
        with suppress(Exception):
            ray.shutdown()


@contextmanager
def loading_ray() -> Iterator[None]:
    """Stands around imports of Ray's libraries, which warn of settings of their own."""
    with extras_explained(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.data import DataContext

        DataContext.get_current()
        yield


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what Ray raises into one of our errors; one of ours from a worker comes as it was.

    `what` is the work that failed.
    """
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, PizzaioloError):
            raise error.cause from None
        why = f"{type(error.cause).__name__}: {error.cause}"
        raise WorkError(f"{what} failed on a worker: {why[:300]}") from None
    except RayError as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WorkError(
            f"{what} failed on the cluster: {why[:300]}", hint="look at the cluster: ray status"
        ) from None


def _check(address: str) -> None:
    """Raise `UsageError` for what can't be an address."""
    if address in (LOCAL, "auto"):
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(
            f"{address!r} is no address of a Ray cluster, expected local, auto or HOST:PORT",
            hint="--ray local uses this machine's cores",
        )


def _start(address: str) -> None:
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == LOCAL:
            ray.init(address=LOCAL, num_cpus=os.cpu_count(), include_dashboard=False, **quiet)
        else:
            _knock(address)
            ray.init(address=address, **quiet)
    except InputError:
        raise
    except Exception as error:  # Ray raises a dozen kinds here
        why = (str(error).splitlines() or [type(error).__name__])[0][:300]
        if address == LOCAL:
            raise WorkError(f"Ray can't start on this machine: {why}") from None
        raise _silent(address, why) from None


def _knock(address: str) -> None:
    """Raise `InputError` where nobody listens: Ray itself would try for minutes."""
    import socket

    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=WAIT).close()
    except OSError as error:
        raise _silent(address, error.strerror or str(error)) from None


def _silent(address: str, why: str) -> InputError:
    return InputError(
        f"no Ray cluster answers at {address}: {why}",
        hint="`ray start --head` starts one; --ray local uses this machine's cores",
    )


def _cluster(address: str) -> Cluster:
    import ray

    has = ray.cluster_resources()
    nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    return Cluster(address, nodes, int(has.get("CPU", 0)), int(has.get("GPU", 0)))
