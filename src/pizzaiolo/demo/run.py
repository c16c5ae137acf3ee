"""`pizzaiolo demo`: the whole workflow on pictures that it renders itself."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..console import progress, say
from ..core.bundle import new_folder, write_text
from ..core.manifest import Dataset
from ..evaluate.run import evaluate
from ..export.run import export
from ..predict import Predictor, load_file
from ..prepare.run import prepare
from ..starter import load as load_starter
from ..train.run import train
from .sample import PlantedFaults, write_sample_folder

MARK = "demo.txt"


def demo(out: Path, per_class: int = 150, seed: int = 0) -> None:
    """Render sample pictures into `out` and run prepare, train, evaluate, export and predict."""
    new_folder(out, "demo", MARK)
    write_text(out / MARK, "Everything in this folder was made by `pizzaiolo demo`.\n")
    say("These pictures are rendered by pizzaiolo itself, with faults planted on purpose.")
    say("They show the workflow; figures on them say nothing about photos.")
    started = time.monotonic()
    for earlier in (out / "photos", out / "run"):  # more pictures, and looks at the test split
        if earlier.exists():
            shutil.rmtree(earlier)
    planted = _render(out / "photos", per_class, seed)
    with _step("prepare photos --out data"):
        found = prepare(out / "photos", out / "data")
        _tell_faults(planted, found)
    with _step("train data --out run"):
        _tell_training(train(out / "data", out / "run"))
    with _step("evaluate run data --out report"):
        _tell_evaluation(evaluate(out / "run", out / "data", out / "report"))
    with _step("export run --out model.onnx"):
        _tell_export(export(out / "run", out / "model.onnx"))
    with _step("predict --model model.onnx photos/..."):
        _tell_answers(load_file(out / "model.onnx"), _test_pictures(out), "the trained model")
    with _step(
        "predict photos/...   (no --model: the starter, which never saw a rendered picture)"
    ):
        _tell_answers(load_starter(), _test_pictures(out), "the starter")
        say("  (it knows photos, and these are drawings: try it on a photo of yours)")
    _tell_where(out, time.monotonic() - started)


@contextmanager
def _step(command: str) -> Iterator[None]:
    say(f"\n$ pizzaiolo {command}")
    started = time.monotonic()
    yield
    say(f"  ({time.monotonic() - started:.1f} s)")


def _render(folder: Path, per_class: int, seed: int) -> PlantedFaults:
    with progress("rendering", 2 * per_class) as advance:
        return write_sample_folder(folder, per_class, seed, lambda done, total: advance())


def _tell_faults(planted: PlantedFaults, found: dict[str, Any]) -> None:
    rejected = found["rejected"]
    say(f"  {found['found']} files found, {found['kept']} kept")
    pairs = (
        ("exact copies", len(planted.exact_copies), rejected.get("exact_duplicate", 0)),
        ("unreadable", len(planted.unreadable), rejected.get("unreadable", 0)),
        ("no picture", len(planted.not_images), rejected.get("not_an_image", 0)),
        ("blank", len(planted.blank), rejected.get("blank", 0)),
        ("under both labels", len(planted.conflicts), rejected.get("conflict", 0)),
    )
    for name, put, got in pairs:
        say(f"  {name:<18} planted {put}, rejected {got}")
    rows = {row.path: row for row in Dataset.open(found["dataset"]).rows}
    sizes = Counter(row.group for row in rows.values())
    grouped = sum(sizes[rows[path].group] > 1 for path in planted.near_copies)
    flagged = sum(rows[path].label_suspect is not None for path in planted.wrong_labels)
    say(f"  near copies        planted {len(planted.near_copies)}, grouped {grouped}")
    say(f"  wrong labels       planted {len(planted.wrong_labels)}, flagged {flagged}")
    say("  splits             " + ", ".join(f"{k} {v}" for k, v in found["splits"].items()))


def _tell_training(result: dict[str, Any]) -> None:
    scores = result["validation"]
    say(f"  {result['backbone']}, recipe {result['recipe']}")
    say(f"  validation accuracy {scores['accuracy']:.1%}")


def _tell_evaluation(result: dict[str, Any]) -> None:
    accuracy = result["accuracy"]
    interval = f"{accuracy['low']:.1%} to {accuracy['high']:.1%}"
    say(f"  test accuracy {accuracy['value']:.1%} (95 % interval {interval}), n {result['n']}")
    say(f"  mistakes {result['mistakes']}: see them in the report")


def _tell_export(result: dict[str, Any]) -> None:
    parity = result["parity"]
    say(f"  {result['bytes'] / 1e6:.1f} MB, same verdict as PyTorch for {parity['agreement']:.0%}")
    say(f"  largest difference of a probability {parity['max_abs_difference']:.1e}")


def _test_pictures(out: Path) -> list[tuple[str, Path]]:
    dataset = Dataset.open(out / "data")
    return [(row.label, dataset.picture(row)) for row in dataset.split("test")]


def _tell_answers(predictor: Predictor, pictures: list[tuple[str, Path]], who: str) -> None:
    answers = list(predictor.predict_many([path for _, path in pictures]))
    right = sum(a.label == label for a, (label, _) in zip(answers, pictures, strict=True))
    for answer in (answers[0], answers[-1]):
        say(f"  {answer.verdict:<10} {answer.sure:>6}  {Path(answer.path or '').name}")
    say(f"  {who} is right on {right} of {len(pictures)} test pictures")


def _tell_where(out: Path, seconds: float) -> None:
    say(f"\nDone in {seconds:.0f} s.")
    say(f"  Data report   {out / 'data' / 'report.html'}")
    say(f"  Test report   {out / 'report' / 'report.html'}")
    say(f"  Model         {out / 'model.onnx'}")
    say(f"  Serve it      pizzaiolo serve --model {out / 'model.onnx'}")
    say("  Your photos   pizzaiolo prepare FOLDER --out data   (one sub-folder per class)")
