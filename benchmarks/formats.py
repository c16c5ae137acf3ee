"""Does every exported format answer as PyTorch does, and what does each cost?

    python benchmarks/formats.py [--run RUN --data DATASET] [--photos 300]

Without --run the flagship photos are prepared and trained on first. Every format is exported and
opened, and answers the same photos from their files; all are judged on the test split, which took
no part in the choice of int8's layers. The exported page answers the photos in Chromium.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import header, photos, pizzaiolo

from pizzaiolo.core.manifest import Dataset
from pizzaiolo.export.latency import latency
from pizzaiolo.predict import Answer, Predictor, load_file

NAMES = ("m.onnx", "m.ts", "m.pt2", "m.xml", "m.int8.onnx")


def made(folder: Path) -> tuple[Path, Path]:
    """A RUN and its DATASET."""
    pizzaiolo("prepare", photos("pizza_not_pizza"), "--out", folder / "data")
    pizzaiolo("train", folder / "data", "--out", folder / "run")
    return folder / "run", folder / "data"


def some_photos(count: int) -> list[Path]:
    """Photos of both classes, spread evenly."""
    files = sorted(f for f in photos("pizza_not_pizza").rglob("*") if f.is_file())
    return [files[i * len(files) // count] for i in range(count)]


def compared(expected: list[Answer], found: list[Answer]) -> tuple[int, float]:
    """How many verdicts agree, and the largest difference of a probability."""
    same, largest = 0, 0.0
    for a, b in zip(expected, found, strict=True):
        assert a.probabilities and b.probabilities, a.path
        same += a.verdict == b.verdict
        gaps = [abs(p - b.probabilities[name]) for name, p in a.probabilities.items()]
        largest = max(largest, *gaps)
    return same, largest


def accuracy(model: Predictor, data: Dataset) -> float:
    """On the test split."""
    rows = data.split("test")
    answers = model.predict_many([data.picture(row) for row in rows])
    return float(np.mean([a.label == row.label for a, row in zip(answers, rows, strict=True)]))


def measured(file: Path, expected: list[Answer], files: list[Path], data: Dataset) -> str:
    """A line of the table."""
    started = time.perf_counter()
    model = load_file(file)
    opened = time.perf_counter() - started
    same, largest = compared(expected, list(model.predict_many(files)))
    size = sum(f.stat().st_size for f in (file, file.with_suffix(".bin")) if f.is_file()) / 1e6
    milliseconds = latency(model.engine, model.card.preprocess.size)
    return (
        f"  {file.name:<12} {size:6.1f} {opened:6.2f} {milliseconds:6.1f} {same:5}/{len(files)} "
        f"{largest:9.1e} {accuracy(model, data):7.1%}"
    )


def in_browser(run: Path, root: Path, folder: Path, files: list[Path]) -> list[dict[str, Any]]:
    """What the exported page says of each photo, opened from the disk; with its milliseconds."""
    from playwright.sync_api import sync_playwright

    pizzaiolo("export", run, "--web", folder, "--sample", root)
    with sync_playwright() as playwright:
        flags = ["--no-sandbox"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        page = browser.new_page()
        page.goto((folder / "index.html").as_uri())
        page.locator("#state", has_text="Ready").wait_for(timeout=60_000)
        found = []
        for file in files:
            page.set_input_files("#files", file)
            card = page.locator(".answer").first
            card.locator(".body[data-answer]").wait_for()
            facts = json.loads(card.locator(".body").get_attribute("data-answer") or "")
            page.locator("#state", has_text="took").wait_for()
            said = page.locator("#state").inner_text()
            found.append({**facts, "ms": float(said.split(" took ")[1].split()[0])})
            page.click("#clear")
        browser.close()
    return found


def web_line(run: Path, root: Path, folder: Path, expected: list[Answer], files: list[Path]) -> str:
    """A line of the table for the exported page."""
    found = in_browser(run, root, folder, files)
    answers = [
        Answer(str(file), verdict=facts["verdict"], probabilities=facts["probabilities"])
        for file, facts in zip(files, found, strict=True)
    ]
    same, largest = compared(expected, answers)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
    milliseconds = statistics.median(facts["ms"] for facts in found)
    head = f"  {'web page':<12} {size:6.1f} {'':6} {milliseconds:6.1f}"
    return f"{head} {same:5}/{len(files)} {largest:9.1e}   (ms with decoding)"


def told(result: dict[str, Any]) -> str:
    gate, layers = result["gate"], result["layers"]
    return (
        f"  int8: validation accuracy {gate['accuracy']:.4f}, float32 {gate['fp32_accuracy']:.4f}, "
        f"{gate['drop']:.2f} points lost; {layers['int8']} layers in int8, {layers['fp32']} not; "
        f"{'; '.join(result['notes']) or 'faster than float32 here'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--photos", type=int, default=300)
    given = parser.parse_args()
    header()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, root = (given.run, given.data) if given.run else made(folder)
        data, files = Dataset.open(root), some_photos(given.photos)
        expected = list(load_file(run).predict_many(files))
        print(f"against PyTorch on {len(files)} photos, from file to verdict")
        print(
            f"  {'':<12} {'MB':>6} {'open s':>6} {'ms':>6} {'same':>9} {'largest':>9} {'test':>7}"
        )
        print(measured(run / "model.pt", expected, files, data))
        for file in (folder / name for name in NAMES):
            try:
                result = pizzaiolo("export", run, "--out", file, "--sample", root).json()
            except SystemExit as error:
                print(f"  {file.name:<12} {error}", file=sys.stderr)
                continue
            print(measured(file, expected, files, data))
            if "layers" in result:
                print(told(result))
        print(web_line(run, root, folder / "page", expected, files))


if __name__ == "__main__":
    main()
