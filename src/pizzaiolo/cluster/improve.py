"""`improve --ray`: Ray Tune tries the settings, side by side on all CPUs or GPUs of a cluster.

The STUDY's own journal stays the only record: Optuna's TPE proposes from it and its successive
halving (ASHA) stops by it, so a search goes on, in the same folder, on one machine what began on a
cluster and the other way round. Tune would keep a second record that could contradict it; here it
finds room for the processes, runs a trial for each setting, and starts anew those that are lost.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import ImproveConfig
from ..console import Advance, log
from ..core.manifest import Dataset
from ..errors import UsageError
from ..improve.run import improve as run_improve
from ..improve.search import Search
from ..improve.space import Space
from ..improve.workers import Task
from .apart import Surroundings, watched
from .session import Cluster, connected, explained, loading_ray

if TYPE_CHECKING:
    from .setting import Order

MOST_LOSSES = 3  # of processes in one trial of Tune
QUIET = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}


def improve(
    dataset: Path | str,
    out: Path | str,
    config: ImproveConfig = ImproveConfig(),
    *,
    ray: str,
    space: Path | str | Space | None = None,
    suggest: Path | str | None = None,
) -> dict[str, Any]:
    """Search as `pizzaiolo.improve` does, the settings tried by the processes of a Ray cluster.

    Each has a CPU, and where the cluster has GPUs one of those. The STUDY has to lie where all
    machines see it. Returns and raises what `pizzaiolo.improve` does, raises what `connected` does.
    """
    if config.workers > 1:
        raise UsageError(
            f"--workers {config.workers} is for searching without --ray: on a cluster as many "
            "processes search as it has CPUs or GPUs",
            hint="leave --workers out",
        )
    data = Dataset.open(dataset)
    with connected(ray) as cluster:
        crew = partial(on_cluster, cluster)
        return run_improve(data, out, config, space=space, suggest=suggest, crew=crew)


def on_cluster(cluster: Cluster, search: Search, task: Task, advance: Advance) -> None:
    """Search with the processes of a cluster, then try here what they have left over."""
    with loading_ray():
        from .setting import GRACE, Order
    study = search.journal.folder.absolute()
    with tempfile.TemporaryDirectory(
        prefix=".ray-", dir=study, ignore_cleanup_errors=True
    ) as place:
        told = replace(task, study=str(study), dataset=str(Path(task.dataset).absolute()))
        stop = Path(place) / "stop"
        order = Order(told, search.journal.life.name, str(stop), Surroundings.own())
        left = None if search.most is None else search.most - (search.journal.count() - 1)
        standing = Standing(search, advance)
        if left is None or left > 0:
            watched(partial(_tune, cluster, order, left), standing.tell, stop.touch, 2 * GRACE)
    search.run(advance)


class Standing:
    """Tells of what the processes have written into the journal."""

    def __init__(self, search: Search, advance: Advance) -> None:
        self.search, self.advance = search, advance
        self.told, self.failed = search.journal.count(), search.journal.failed()

    def tell(self) -> None:
        """Tell of what is finished since the last call, to the progress bar and in the log."""
        count = self.search.journal.count()
        if count == self.told:
            return
        self.advance(count - self.told, self.search.standing())
        for number, reason in (failed := self.search.journal.failed()).items():
            if number not in self.failed:
                log.warning("setting %d failed: %s", number, reason)
        self.told, self.failed = count, failed


def _tune(cluster: Cluster, order: Order, left: int | None) -> None:
    """Run a trial of Tune for each setting; raises an error of ours that a process met."""
    os.environ.update(QUIET)
    from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner, with_resources

    from .setting import FAULT, Ending, Setting

    gpu = cluster.gpus > 0 and order.task.settings["device"] in ("auto", "cuda")
    at_once = cluster.gpus if gpu else cluster.cpus
    log.info("settings are tried %d at a time", at_once)
    tuner = Tuner(
        with_resources(Setting, {"cpu": 1, "gpu": int(gpu)}),
        param_space={"order": order},
        tune_config=TuneConfig(
            num_samples=left or -1,
            max_concurrent_trials=at_once,
            reuse_actors=True,
        ),
        run_config=RunConfig(
            name="improve",
            storage_path=str(Path(order.stop).parent),
            stop=Ending(order.task.end),
            failure_config=FailureConfig(MOST_LOSSES),
            verbose=0,
        ),
    )
    with explained("the search"):
        results = tuner.fit()
    for result in results:
        if (fault := (result.metrics or {}).get(FAULT)) is not None:
            raise fault
