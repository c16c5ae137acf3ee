"""Features on a cluster: every worker runs the very graph that this process would, so the bits are
the same; it needs ONNX Runtime and no PyTorch."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..console import progress
from ..core.preprocess import Preprocess
from ..model.session import Engine, Features, start_onnxruntime
from ..prepare.pool import AHEAD

if TYPE_CHECKING:
    from ..model.features import Embedder

FILES = 64  # pictures that travel together: half a second of work
_ready: dict[bytes, Engine] = {}  # in a worker: the engine it made last, by its key


def compute(
    embedder: Embedder, engine: Engine, files: Sequence[Path], what: str
) -> Generator[Features]:
    """The embedding [D] of each file, in order, by the cluster that is connected.

    A backbone that is no ONNX graph, or runs on a GPU of this machine, is computed here.
    """
    import ray

    graph = embedder.engines.graph_of(engine)
    if graph is None:
        from ..model.features import compute as here

        yield from here(embedder, engine, files, what)
        return
    # In a list a reference travels as it is: a worker asks for the graph once.
    orders = ray.put((embedder.key(), engine.batch, embedder.preprocess, [ray.put(graph)]))
    task = ray.remote(num_cpus=1, max_retries=3)(_embed)
    starts = range(0, len(files), FILES)
    ahead = (
        task.remote(orders, [os.path.abspath(file) for file in files[i : i + FILES]])
        for i in starts
    )
    room = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting = deque(islice(ahead, room))
    try:
        with progress(f"features of {what}", len(files)) as advance:
            while waiting:
                features = ray.get(waiting.popleft())
                waiting.extend(islice(ahead, 1))
                yield from features
                advance(len(features))
    finally:
        for ref in waiting if ray.is_initialized() else ():
            with suppress(Exception):
                ray.cancel(ref, force=True)


def _embed(orders: tuple[bytes, int, Preprocess, list[Any]], files: Sequence[str]) -> Features:
    key, batch, preprocess, graph = orders
    if key not in _ready:
        import ray

        _ready.clear()
        _ready[key] = Engine(batch, 1, start_onnxruntime(ray.get(graph[0])))
    engine = _ready[key]
    parts = [files[i : i + batch] for i in range(0, len(files), batch)]
    return np.concatenate(
        [engine.run_some(np.stack([preprocess.load(file) for file in part])) for part in parts]
    )
