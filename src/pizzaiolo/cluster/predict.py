"""`predict --ray`: the same answers in the same order, by the processors or GPUs of a cluster.

Actors that hold the model, and not Ray Data: its blocks have to be known before it starts, and
here pictures are found while others are answered; and a picture that kills its worker each time
would be tried for ever.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import log
from ..core.bundle import find_model
from ..core.stores import is_store
from ..predict import Answer, Predictor, load_file
from ..predict.devices import devices_here
from .answering import Kind, Pool
from .session import Cluster, connected, explained

if TYPE_CHECKING:
    from ..predict.job import Answering
    from ..predict.sources import Place


@dataclass(frozen=True)
class Model:
    """What a worker needs: the bytes of the model's files by name, how to open them, and where the
    names of pictures start from."""

    files: dict[str, bytes]
    name: str
    code: str | None = None
    device: str = "auto"
    labels: tuple[str, ...] = ()
    folder: str = "."

    @classmethod
    def of(
        cls, file: Path, code: str | None = None, device: str = "auto", labels: Sequence[str] = ()
    ) -> Model:
        """The model of a RUN or a file, for whoever can't see it."""
        path = find_model(file)
        parts = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
        own = None
        if code is not None:
            source, colon, name = code.rpartition(":")
            parts.append(Path(source))
            own = f"{Path(source).name}{colon}{name}"
        files = {part.name: part.read_bytes() for part in parts if part.is_file()}
        return cls(files, path.name, own, device, tuple(labels), os.getcwd())

    def open(self, device: str) -> Predictor:
        """The model on a device of this machine."""
        with tempfile.TemporaryDirectory(prefix="pizzaiolo-model-") as name:
            folder = Path(name)
            for file, data in self.files.items():
                (folder / file).write_bytes(data)
            code = None if self.code is None else str(folder / self.code)
            return load_file(folder / self.name, code, device, self.labels or None)


class Worker:
    """An actor: opens the model, answers pictures."""

    def __init__(self, model: Model, device: str, threads: int) -> None:
        self.model, self.device, self.threads = model, device, threads
        self.base = ""
        self.predictor: Predictor | None = None

    def open(self) -> None:
        """Be ready to answer."""
        try:
            os.chdir(self.model.folder)
        except OSError:  # this machine can't see it: whole names say so, picture by picture
            self.base = self.model.folder
        self.predictor = self.model.open(self.device)

    def answer(self, paths: Sequence[str]) -> list[Answer]:
        """Answers in the order of the paths, which are as a plain job has them."""
        assert self.predictor is not None
        whole = (path if is_store(path) else os.path.join(self.base, path) for path in paths)
        found = self.predictor.predict_many(whole, self.threads)
        return [replace(answer, path=path) for answer, path in zip(found, paths, strict=True)]


@contextmanager
def answering_on(address: str, model: Model) -> Iterator[Answering]:
    """What answers pictures on the cluster at `address`; it is asked for with the first picture.

    Raises as `connected` does, what opening the model raises on a worker, and `WorkError` where
    no worker can be started.
    """
    with ExitStack() as stack:

        def answers(places: Iterator[Place | None]) -> Iterator[Answer]:
            cluster = stack.enter_context(connected(address))
            with explained("the prediction"):
                pool = stack.enter_context(closing(Pool(Worker, model, _kind(cluster, model))))
                yield from pool.answers(places)

        yield answers


def _kind(cluster: Cluster, model: Model) -> Kind:
    """GPU workers where GPUs are wanted and there and can be used, else one for each processor."""
    device = model.device
    on_cpu = Kind("cpu" if device == "auto" else device, 0, 1, cluster.cpus)
    if not cluster.gpus or device not in ("auto", "cuda"):
        return on_cpu
    if device == "auto" and not _gpus_serve(Path(model.name).suffix):
        log.warning("nothing on the cluster's machines runs this model on their GPUs")
        return on_cpu
    import ray

    return Kind("cuda", 1, _for_each_gpu([node["Resources"] for node in ray.nodes()]), cluster.gpus)


def _for_each_gpu(machines: Sequence[Mapping[str, float]]) -> int:
    """The processors that every machine with GPUs has for each of them: they read the pictures."""
    shares = [has.get("CPU", 1) / has["GPU"] for has in machines if has.get("GPU", 0) >= 1]
    return max(1, int(min(shares, default=1)))


def _gpus_serve(suffix: str) -> bool:
    import ray

    return bool(ray.get(ray.remote(num_gpus=1, num_cpus=0)(_gpu_serves).remote(suffix)))


def _gpu_serves(suffix: str) -> bool:
    """Whether a model of this kind runs on the GPU of this machine."""
    if suffix != ".pt":
        return suffix == ".onnx" and "cuda" in devices_here()
    from torch import cuda

    return cuda.is_available()
