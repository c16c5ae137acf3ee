"""What goes wrong in Ray's processes, as one of our errors."""

from __future__ import annotations

from typing import Any

from ray.exceptions import RayActorError
from ray.train import UserCallback
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from ..errors import PizzaioloError, WorkError

SHOWN = 300  # characters of Ray's own words


class StopAtFault(UserCallback):  # type: ignore[misc]
    """Ends a training at an error of ours: with the same data and settings it would come again."""

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raise the first error of ours, which ends it; Ray goes on after all others."""
        for error in worker_exceptions.values():
            if isinstance(error, PizzaioloError):
                raise error


def reason(error: Exception) -> PizzaioloError:
    """The reason for which Ray gave a training up."""
    if isinstance(error, ControllerError):
        why = error.controller_failure
        if isinstance(why, PizzaioloError):
            return why
        return WorkError(
            f"Ray could not start the processes that train: {_first_line(why)}",
            hint="`ray status` shows what the cluster is busy with; --processes asks for fewer",
        )
    if not isinstance(error, WorkerGroupError):
        return WorkError(f"Ray gave the training up: {_first_line(error)}")
    failures = list(error.worker_failures.values())
    if any(isinstance(why, RayActorError | WorkerHealthCheckFailedError) for why in failures):
        return WorkError(
            "the processes that train were lost again and again (out of memory?)",
            hint="fewer --processes or a smaller --batch-size; --resume goes on",
        )
    why = failures[0] if failures else error
    return WorkError(f"the training failed: {type(why).__name__}: {_first_line(why)}")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:SHOWN]
