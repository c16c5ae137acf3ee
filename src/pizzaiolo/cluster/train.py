"""`train --ray`: Ray Train starts the processes, which run the very loop that `torchrun` runs.

What makes it whole again after a loss is the checkpoint of that loop, RUN/.unfinished/last.ckpt:
where a process is lost Ray starts all of them again, and they go on from there. So the DATASET and
the folder of the RUN have to lie where all machines see them.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import TrainConfig, from_dict, to_dict
from ..console import log
from ..core.bundle import UNFINISHED
from ..core.manifest import Dataset
from ..errors import UsageError
from .apart import Surroundings, watched
from .session import connected, explained, loading_ray

MOST_LOSSES = 3  # of processes; then the fault is the training's own
STARTS = 1  # further tries to get the processes started
RAY = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "180",  # a busy cluster takes its time
}
CHECKPOINT, SUMMARY = "last.ckpt", "run.json"
STARTED, WORDS = "started", "words.txt"


@dataclass(frozen=True)
class Crew:
    """How many processes train, the CPUs of each, and whether it has a GPU."""

    processes: int
    cpus: int
    gpu: bool = False


@dataclass(frozen=True)
class Order:
    """What every process is told.

    `place` is a new folder beside the RUN, where the processes leave word.
    """

    dataset: str
    out: str
    settings: dict[str, Any]
    resume: bool
    place: str
    surroundings: Surroundings


def train(
    dataset: Path | str,
    out: Path | str,
    config: TrainConfig = TrainConfig(),
    *,
    ray: str,
    processes: int | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Train as `pizzaiolo.train` does, with several processes on a Ray cluster.

    `processes` is one a GPU, without GPUs one a machine, unless it is given; each takes batches of
    `config.batch_size`. Where one is lost, all start again at the last checkpoint and go on to the
    same bits. Returns and raises what `pizzaiolo.train` does, and raises what `connected` does.
    """
    if "WORLD_SIZE" in os.environ:
        raise UsageError("both torchrun and --ray start processes", hint="leave one of them out")
    Dataset.open(dataset)
    run = Path(out).absolute()
    run.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(
            prefix=f".{run.name}.ray-", dir=run.parent, ignore_cleanup_errors=True
        ) as place,
        connected(ray),
    ):
        crew = choose_crew(*_machines(), config.device, processes)
        log.info("%d processes train, with %d CPUs each", crew.processes, crew.cpus)
        if not resume:
            (run / UNFINISHED / CHECKPOINT).unlink(missing_ok=True)
        own = Surroundings.own()
        order = Order(str(dataset), str(out), to_dict(config), resume, place, own)
        words = Words(Path(place) / WORDS)
        return watched(lambda: _fit(order, crew), words.tell)


def _machines() -> tuple[list[int], int]:
    """The CPUs of each machine of the cluster, and all its GPUs."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(has.get("CPU", 0)) for has in alive]
    return [count for count in cpus if count], int(sum(has.get("GPU", 0) for has in alive))


def choose_crew(cpus: Sequence[int], gpus: int, device: str, processes: int | None) -> Crew:
    """How many processes train, and on how many of the machines' `cpus` each.

    Raises `UsageError` for more than there is room for.
    """
    gpu = gpus > 0 and device in ("auto", "cuda")
    count = processes or (gpus if gpu else len(cpus))
    room = min(sum(cpus), gpus if gpu else sum(cpus))
    if not 0 < count <= room:
        raise UsageError(
            f"{count} processes can't train on a cluster of {sum(cpus)} CPUs and {gpus} GPUs",
            hint=f"--processes {max(1, room)} or fewer",
        )
    fits = (each for each in range(max(cpus), 0, -1) if sum(n // each for n in cpus) >= count)
    return Crew(count, next(fits), gpu)


def _fit(order: Order, crew: Crew) -> dict[str, Any]:
    os.environ.update(RAY)
    with loading_ray():
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
        from ray.train.v2.api.exceptions import TrainingFailedError

        from .faults import StopAtFault, reason
    trainer = TorchTrainer(
        _work,
        train_loop_config={"order": order},
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if crew.gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=crew.processes,
            use_gpu=crew.gpu,
            resources_per_worker={"CPU": crew.cpus},
            placement_strategy="SPREAD",
        ),
        run_config=RunConfig(
            name="train",
            storage_path=order.place,
            failure_config=FailureConfig(MOST_LOSSES, controller_failure_limit=STARTS),
            callbacks=[StopAtFault()],
        ),
    )
    with explained("the training"):
        try:
            result: dict[str, Any] = trainer.fit().return_value
        except TrainingFailedError as error:
            raise reason(error) from None
    return result


def _work(told: dict[str, Any]) -> dict[str, Any]:
    return work(told["order"])


def work(order: Order) -> dict[str, Any]:
    """Take part in a training, in a process that Ray has started; returns the summary."""
    os.environ.pop("ACCELERATE_TORCH_DEVICE", None)  # ours is the one where the network lies
    order.surroundings.enter()
    from ..train.parallel import from_main, is_main
    from ..train.run import train as run_train

    if is_main():
        _speak(Path(order.place) / WORDS)
    resume = bool(from_main(order.resume or (is_main() and _goes_on(order))))
    config = from_dict(TrainConfig, order.settings)

    def on_epoch(epoch: Any) -> None:
        if epoch.train_loss is not None and epoch.lr:
            log.info("epoch %d: loss %.4f, validation loss %.4f, accuracy %.1f %%",
                     epoch.epoch, epoch.train_loss, epoch.validation_loss,
                     100 * epoch.validation_accuracy)  # fmt: skip

    return run_train(order.dataset, order.out, config, resume=resume, on_epoch=on_epoch)


def _speak(file: Path) -> None:
    """Let the log of this process go where the command reads it."""
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)


def _goes_on(order: Order) -> bool:
    """Whether these processes follow lost ones, which have left a checkpoint or the whole RUN."""
    mark, run = Path(order.place) / STARTED, Path(order.out)
    summary, checkpoint = run / SUMMARY, run / UNFINISHED / CHECKPOINT
    stamp = str(summary.stat().st_mtime_ns) if summary.is_file() else "none"
    if not mark.is_file():
        mark.write_text(stamp, encoding="utf-8")
        return False
    log.warning("a process that trained was lost; all start again at the last checkpoint")
    return checkpoint.is_file() or mark.read_text(encoding="utf-8") != stamp


class Words:
    """The lines that the processes add to a file, told as our own log once each."""

    def __init__(self, file: Path) -> None:
        self.file, self.read = file, 0

    def tell(self) -> None:
        """Log what has come since the last call, whole lines."""
        if not self.file.is_file():
            return
        with self.file.open("rb") as stream:
            stream.seek(self.read)
            whole, newline, _ = stream.read().rpartition(b"\n")
        self.read += len(whole + newline)
        for line in whole.decode(errors="replace").splitlines():
            level, _, message = line.partition(": ")
            log.log(logging.getLevelNamesMapping().get(level, logging.INFO), "%s", message or line)
