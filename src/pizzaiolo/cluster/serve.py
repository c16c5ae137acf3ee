"""`pizzaiolo serve` on Ray Serve: the same application, replicated over the machines of a cluster.

    serve run pizzaiolo.cluster.serve:app model=model.onnx

It needs `pip install 'ray[serve]'`; deploy/ray_serve.yaml is the same as a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import ServeConfig, from_dict
from ..errors import UsageError
from ..predict.devices import cores
from ..serve.access import Rules
from .predict import Model

if TYPE_CHECKING:
    from fastapi import FastAPI

OWN = ("model", "code", "device", "replicas")  # what is asked for besides the settings of `serve`
ELSEWHERE = ("host", "port", "workers")  # what Ray Serve has settings of its own for
GRACE = 10.0  # seconds that running requests may take after a stop was asked for


@dataclass(frozen=True)
class Plan:
    """What each replica serves, by which rules, and how many there are."""

    model: Model
    config: ServeConfig
    rules: Rules
    replicas: int

    @property
    def needs(self) -> dict[str, float]:
        """What a replica takes of a machine."""
        return {"num_cpus": 1.0} | ({"num_gpus": 1.0} if self.model.device == "cuda" else {})

    @property
    def ongoing(self) -> int:
        """Requests that a replica gets at once: its own limits refuse what is too much."""
        return (self.config.concurrency or 1) + self.config.queue


def app(settings: dict[str, Any]) -> Any:
    """The application that Ray Serve runs; `settings` are `model` and what else `plan` takes."""
    from ray import serve

    made = plan(settings, _processors(str(settings.get("device", "auto"))))

    def built() -> FastAPI:  # by each replica; Ray Serve knows functions only
        return build(made)

    deployed = serve.deployment(
        serve.ingress(built)(),
        name="pizzaiolo",
        num_replicas=made.replicas,
        ray_actor_options=made.needs,
        max_ongoing_requests=made.ongoing,
        graceful_shutdown_timeout_s=GRACE,
    )
    return deployed.bind()


def _processors(device: str) -> int:
    """How many replicas there is room for: on the cluster, or here where `serve run` asks first."""
    import ray

    if not ray.is_initialized():
        return 1 if device == "cuda" else cores()
    return int(ray.cluster_resources().get("GPU" if device == "cuda" else "CPU", 1))


def plan(settings: Mapping[str, Any], room: int) -> Plan:
    """The plan by `model`, a file that this machine sees; `code`, `device`, `replicas` (default:
    `room`); and the settings of `serve`, as numbers and lists or as their texts.

    Raises `UsageError` for a setting that is not known or has no place here.
    """
    told = {name: _value(value) for name, value in settings.items()}
    own = {name: told.pop(name) for name in OWN if name in told}
    if "model" not in own:
        raise UsageError("no model is named", hint="model=model.onnx")
    if elsewhere := sorted(told.keys() & set(ELSEWHERE)):
        raise UsageError(
            f"{elsewhere[0]} is set by Ray Serve",
            hint="replicas=N, or http_options in its configuration file",
        )
    replicas = max(1, int(own.get("replicas", room)))
    given = from_dict(ServeConfig, told, "the arguments of the application")
    config = replace(
        given, host="0.0.0.0", workers=replicas, concurrency=given.concurrency or 1
    )  # by `workers` each has its share of the rate
    model = Model.of(Path(str(own["model"])), own.get("code"), str(own.get("device", "auto")))
    from ..serve.run import rules_of

    return Plan(model, config, rules_of(config), replicas)


def _value(text: Any) -> Any:
    """A number or a list that came as a text."""
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text
    return tuple(value) if isinstance(value, list) else value


def build(plan: Plan) -> FastAPI:
    """The application of one replica, with a model of its own."""
    from ..serve.app import create_app

    device = "cpu" if plan.model.device == "auto" else plan.model.device
    return create_app(plan.model.open(device), plan.config, plan.rules)
