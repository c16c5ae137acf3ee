"""What a model costs where it is used: milliseconds a picture, megabytes of file."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..config import ExportConfig, TrainConfig
from ..core.bundle import write_text
from ..core.card import Card
from ..core.labels import Labels
from ..export.latency import latency
from ..model.custom import is_code
from ..model.define import Definition, define
from ..model.deployed import Deployed
from ..model.ensemble import JOIN, members_of
from ..predict import OnnxEngine
from ..train.defaults import filled


@dataclass(frozen=True)
class Cost:
    """Milliseconds that a picture takes, the median at batch 1 on this machine with reading and
    resizing left out, and megabytes of the exported file. `estimated` where members are added."""

    latency_ms: float
    megabytes: float
    estimated: bool = False


class Costs:
    """The costs of architectures, each measured once and kept in `file` (JSON).

    One is known by model, size and kind of head: training changes neither figure. The file keeps
    those of several machines apart.
    """

    def __init__(self, file: Path, labels: Labels) -> None:
        self.file, self.labels = file, labels

    def estimate(self, config: TrainConfig) -> Cost:
        """The cost of the settings' model; of a join that is not measured, the members' sum.

        Raises what `define` does, and `WorkError` for what can't be exported.
        """
        config = filled(config)
        known = self._known().get(self._key(config))
        if known is not None:
            return Cost(**known)
        if is_code(config.model) or JOIN not in (config.model or ""):
            return self.measure_exact(config)
        members = members_of(config.model or "")
        each = [self.estimate(replace(config, model=member)) for member in members]
        latency, size = sum(c.latency_ms for c in each), sum(c.megabytes for c in each)
        return Cost(latency, size, estimated=True)

    def measure_exact(self, config: TrainConfig) -> Cost:
        """The cost of the settings' model itself, exported and run."""
        config = filled(config)
        key = self._key(config)
        if (known := self._known().get(key)) is not None:
            return Cost(**known)
        cost = measured(define(config, len(self.labels.names)), self.labels)
        write_text(self.file, json.dumps(self._known() | {key: asdict(cost)}, indent=2))
        return cost

    def _known(self) -> dict[str, dict[str, Any]]:
        """The file's entries; a damaged file is measured anew."""
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
            return {key: asdict(Cost(**cost)) for key, cost in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _key(self, config: TrainConfig) -> str:
        """What the cost depends on, in words."""
        keeps = config.knowledge and config.pretrained and config.recipe != "scratch"
        facts = {
            "model": config.model,
            "size": config.size,
            "weights": config.weights,
            "knowledge": keeps and config.weights is None,
            "classes": len(self.labels.names),
            "machine": f"{platform.node()}, {os.cpu_count()} cores",
        }
        return "; ".join(f"{name} {value}" for name, value in facts.items() if value is not None)


def measured(definition: Definition, labels: Labels) -> Cost:
    """Export the network as `pizzaiolo export` does, and run the file as `predict` does."""
    from ..export.onnx import write_onnx

    preprocess = definition.preprocess
    card = Card(labels, preprocess, definition.architecture)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        write_onnx(Deployed(definition.network, preprocess, 1.0), card, file, ExportConfig().opset)
        return Cost(latency(OnnxEngine(file), preprocess.size), file.stat().st_size / 1e6)
