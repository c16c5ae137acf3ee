"""How well wrong labels and irrelevant pictures are found, and how many good ones are flagged.

    python benchmarks/flags.py [--seeds 10] [--large]

The messy folder against its truth, then mixtures of the flagship set with planted faults. Without
--large the last table ends at 10,000 pictures.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from common import PHOTOS, header, photos, pizzaiolo
from numpy.typing import NDArray
from PIL import Image

from pizzaiolo.core.bundle import cache_folder
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.model.features import embed, pretrained_embedder
from pizzaiolo.prepare.label_noise import suspects
from pizzaiolo.prepare.outliers import graphic_signs, outliers, printed_head
from pizzaiolo.prepare.quality import straight_lines

BACKBONE = "tf_efficientnet_lite0"
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Pictures:
    """What the flags look at, [N] each; `paths` as in the manifest."""

    paths: NDArray[np.str_]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    features: NDArray[np.float32]
    signs: NDArray[np.float64]

    def take(self, rows: NDArray[np.int64], labels: NDArray[np.str_] | None = None) -> Pictures:
        labels = self.labels[rows] if labels is None else labels
        return Pictures(
            self.paths[rows], labels, self.groups[rows], self.features[rows], self.signs[rows]
        )

    def __add__(self, other: Pictures) -> Pictures:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Pictures(*[np.concatenate(pair) for pair in pairs])

    def flags(self, seed: int = 0) -> tuple[Mask, Mask]:
        """Which labels are suspect, and which pictures are outliers."""
        wrong, odd = np.zeros((2, len(self.labels)), np.bool_)
        wrong[suspects(self.features, list(self.labels), list(self.groups), seed).indices] = True
        odd[outliers(self.features, list(self.labels), list(self.groups), self.signs).indices] = 1
        return wrong, odd


def prepared(source: Path, out: Path) -> Pictures:
    """Clean a folder and look at what is kept."""
    pizzaiolo("prepare", source, "--out", out)
    dataset = Dataset.open(out)
    rows = [row for row in dataset.rows if row.kept]
    files = [dataset.picture(row) for row in rows]
    embedder = pretrained_embedder(BACKBONE, torch.device("cpu"))
    features = embed(embedder, files, cache_folder(), source.name)
    lines = np.array([straight_lines(np.asarray(Image.open(f).convert("L"))) for f in files])
    columns = [np.array([getattr(r, name) for r in rows]) for name in ("path", "label", "group")]
    return Pictures(*columns, features, graphic_signs(features, printed_head(BACKBONE), lines))


def messy(folder: Path) -> list[str]:
    """What `prepare` flags in the messy folder, against its truth; the irrelevant paths."""
    with (PHOTOS / "messy_truth.csv").open(newline="") as file:
        truth = {line["path"]: line["status"] for line in csv.DictReader(file)}
    rows = [row for row in Dataset.open(folder).rows if row.kept]
    for name in ("wrong_label", "irrelevant", "near_duplicate", "ok"):
        of = [row for row in rows if truth[row.path] == name]
        wrong = [row for row in of if row.label_suspect is not None]
        odd = [row for row in of if row.outlier is not None]
        either = {row.path for row in wrong + odd}
        print(f"  {name:<15} {len(of):>4}: label suspect {len(wrong):>3}, outlier {len(odd):>3}, "
              f"either {len(either) / len(of):.1%}")  # fmt: skip
    return [row.path for row in rows if truth[row.path] == "irrelevant"]


Mixture = Callable[[np.random.Generator], tuple[Pictures, Mask]]


def planted(name: str, mixture: Mixture, seeds: int, of: str) -> None:
    """Mean and least share of the planted faults that one flag (or either) finds."""
    rates = []
    for seed in range(seeds):
        pictures, fault = mixture(np.random.default_rng([7, seed]))
        wrong, odd = pictures.flags(seed)
        hit = {"label": wrong, "outlier": odd, "either": wrong | odd}[of]
        rest = ~fault
        found = hit[fault].mean() if fault.any() else np.nan
        rates.append((found, wrong[rest].mean(), odd[rest].mean(), (wrong | odd)[rest].mean()))
    found, *alarms = np.mean(rates, axis=0)
    least = np.min(rates, axis=0)[0]
    recall = "      -       " if np.isnan(found) else f"{found:6.1%} ({least:4.0%})"
    print(f"  {name:<44} {recall} {' '.join(f'{share:6.1%}' for share in alarms)}")


def wrong_labels(clean: Pictures, count: int, share: float) -> Mixture:
    """As many pictures of each class, and a share of them under the name of another."""

    def make(random: np.random.Generator) -> tuple[Pictures, Mask]:
        names = np.unique(clean.labels)
        each = count // len(names)
        of_class = (random.permutation(np.flatnonzero(clean.labels == n))[:each] for n in names)
        rows = random.permutation(np.concatenate(list(of_class)))
        fault = np.arange(len(rows)) < round(share * len(rows))
        other = np.array([random.choice(names[names != label]) for label in clean.labels[rows]])
        return clean.take(rows, np.where(fault, other, clean.labels[rows])), fault

    return make


def strangers(clean: Pictures, count: int, odd: Pictures, number: int, label: str) -> Mixture:
    """Some of the clean pictures, and `number` odd ones filed under `label`."""

    def make(random: np.random.Generator) -> tuple[Pictures, Mask]:
        rows = random.permutation(len(clean.labels))[:count]
        chosen = random.permutation(len(odd.labels))[:number]
        extra = odd.take(chosen, np.full(len(chosen), label))
        return clean.take(rows) + extra, np.arange(count + len(chosen)) >= count

    return make


def seconds(count: int, classes: int) -> None:
    """Time on made-up embeddings, 3 % of the labels wrong."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(classes, 1280)).astype(np.float32)
    codes = random.integers(0, classes, count)
    features = centres[codes] + 3 * random.normal(size=(count, 1280)).astype(np.float32)
    given = np.where(random.random(count) < 0.03, random.integers(0, classes, count), codes)
    labels, groups = [f"c{c}" for c in given], [str(i) for i in range(count)]
    started = time.perf_counter()
    suspects(features, labels, groups)
    between = time.perf_counter()
    outliers(features, labels, groups, np.zeros(count))
    print(f"  {count:>7} pictures, {classes:>3} classes: labels {between - started:6.1f} s, "
          f"outliers {time.perf_counter() - between:5.1f} s")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--large", action="store_true")
    given = parser.parse_args()
    header()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        aside = folder / "aside"
        aside.mkdir()
        for kind in ("not_food", "flatbreads"):
            (aside / kind).symlink_to(photos(kind))
        clean = prepared(photos("pizza_not_pizza"), folder / "clean")
        dirty = prepared(photos("messy"), folder / "messy")
        others = prepared(aside, folder / "others")
        print("the messy folder")
        irrelevant = dirty.take(np.flatnonzero(np.isin(dirty.paths, messy(folder / "messy"))))
    not_food = others.take(np.flatnonzero(others.labels == "not_food"))
    print("mixtures of pizza_not_pizza: planted faults found, mean (least); good pictures flagged")
    print(f"  {'':<44} {'found':>14}  label outlier either")
    for count, share in ((100, 0.1), (350, 0.05), (350, 0.08), (350, 0.1), (1400, 0.05)):
        title = f"{share:.0%} wrong labels among {count}"
        planted(title, wrong_labels(clean, count, share), given.seeds, "label")
    for label in ("pizza", "not_pizza"):
        title = f"18 pictures without food in {label}, among 350"
        planted(title, strangers(clean, 350, not_food, 18, label), given.seeds, "either")
        title = f"18 graphics and packages in {label}, among 350"
        planted(title, strangers(clean, 350, irrelevant, 18, label), given.seeds, "outlier")
    for count in (12, 30, 100, 350, 1400):
        planted(
            f"nothing planted among {count}", wrong_labels(clean, count, 0), given.seeds, "label"
        )
    print("time")
    for count in (1_000, 10_000, 100_000) if given.large else (1_000, 10_000):
        seconds(count, 2)
        seconds(count, 100)


if __name__ == "__main__":
    main()
