"""How far a model's answers can be trusted, and how long the test report takes.

    python benchmarks/evaluate.py [--splits 40] [--qualities quick,good]

One split gives the times, the report and what is asked of single pictures; `splits` others give
the calibration error and the answers with a wish of 99 %. Their features come from the cache, and
of each split the test pictures take part in no choice.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from common import header, interval, photos, pizzaiolo
from PIL import Image, ImageOps

from pizzaiolo.config import EvaluateConfig, TrainConfig
from pizzaiolo.core.labels import NOT_SURE
from pizzaiolo.core.manifest import Dataset, Row, fingerprint
from pizzaiolo.core.novelty import Novelty
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.evaluate.explain import Explainer
from pizzaiolo.evaluate.figures import Table, calibration_error
from pizzaiolo.evaluate.infer import Seen, infer, recall
from pizzaiolo.evaluate.leaks import Pictures, find_leaks
from pizzaiolo.evaluate.settle import settle
from pizzaiolo.model.deployed import load_deployed
from pizzaiolo.model.quick import Quick
from pizzaiolo.predict import Predictor, load_file
from pizzaiolo.prepare.split import assign_splits
from pizzaiolo.train.run import train

LIMIT = 60.0  # seconds of the whole command for some 280 test pictures, on 2 quiet cores
RATIOS = "0.65,0.15,0.2"  # of 1,400 photos 280 are tested
WISH, REACHED, COVERED, GAP = 0.99, 0.985, 0.85, 0.02
PLANTED, WANTED_LEAKS = 20, 19
COMPOSED, WANTED_MASS = 20, 0.8
MOST_TRAINING = 10_000


# --- one split: the command, and single pictures ------------------------------------------------


def command(folder: Path, quality: str) -> Predictor:
    """The seconds of the whole command, the size of its report and what it answers; the model."""
    data, run, report = folder / "data", folder / quality, folder / f"report_{quality}"
    pizzaiolo("train", data, "--out", run, "--quality", quality)
    done = pizzaiolo("evaluate", run, data, "--out", report)
    result = done.json()
    panel = result["robustness"]
    spoilt = f"{panel['n']} pictures spoilt" if panel else "no robustness"
    size = (report / "report.html").stat().st_size / 1e6
    print(
        f"  {quality}: {done.seconds:.1f} s for {result['n']} pictures, "
        f"{done.seconds / LIMIT:.2f} of the limit of {LIMIT:.0f} s; {done.megabytes:.0f} MB; "
        f"{spoilt}; report {size:.2f} MB with {result['mistakes']} mistakes"
    )
    print("    accuracy {value:.3f} ({low:.3f} to {high:.3f})".format(**result["accuracy"]))
    return load_file(run)


def strangers(predictor: Predictor) -> None:
    """What is answered for photos that show no food."""
    files = sorted(file for file in photos("not_food").rglob("*") if file.is_file())
    verdicts = Counter(answer.verdict for answer in predictor.predict_many(files))
    named = verdicts["Pizza"]
    print(
        f"    not_food: {named} of {len(files)} called Pizza, so {1 - named / len(files):.0%} are "
        f"not (98 % are wanted); {verdicts[NOT_SURE]} not sure"
    )


def attribution(predictor: Predictor, data: Dataset) -> None:
    """The share of the map on the half that shows a pizza, beside another dish."""
    explain, side = Explainer(predictor), predictor.card.preprocess.size
    rows = data.split("test")
    pairs = zip(*([r for r in rows if r.label == name] for name in data.labels.names), strict=False)
    place, shares = predictor.labels.index("pizza"), []
    for number, pair in enumerate(list(pairs)[:COMPOSED]):
        halves = dict(zip(data.labels.names, (half_of(data, row, side) for row in pair),
                          strict=True))  # fmt: skip
        left = number % 2 == 0
        order = (halves["pizza"], halves["not_pizza"])
        heat = explain(np.concatenate(order if left else order[::-1], axis=1), place).heat
        assert heat is not None
        part = heat[:, : side // 2] if left else heat[:, side // 2 :]
        shares.append(float(part.sum() / heat.sum()))
    enough = sum(share >= WANTED_MASS for share in shares)
    print(
        f"    composed pictures: {mean(shares):.1%} of the map on the pizza ({WANTED_MASS:.0%} are "
        f"wanted), at least that on {enough} of {len(shares)}, least {min(shares):.0%}"
    )


def half_of(data: Dataset, row: Row, side: int) -> Any:
    """The middle of a picture, as high as the input and half as wide: uint8 [side, side / 2, 3]."""
    image = Image.open(data.picture(row)).convert("RGB")
    return np.asarray(ImageOps.fit(image, (side // 2, side)))


def leaks(folder: Path, data: Dataset) -> None:
    """Test pictures saved again, among the training pictures of another data set."""
    tested = data.split("test")
    step = len(tested) / PLANTED
    planted = [tested[int(i * step)] for i in range(PLANTED)]
    for number, row in enumerate(data.split("train")):
        place(folder / "other" / ("test" if number % 8 == 0 else "train") / row.label, data, row)
    for row in data.split("validation"):
        place(folder / "other" / "validation" / row.label, data, row)
    for number, row in enumerate(planted):
        image = Image.open(data.picture(row)).convert("RGB")
        cut = number % 5  # pixels on each side
        image = ImageOps.crop(image, cut).resize(
            [round(s * (0.6 + 0.05 * number)) for s in image.size]
        )
        image.save(
            folder / "other" / "train" / row.label / f"again_{number}.jpg", quality=50 + 2 * number
        )
    pizzaiolo("prepare", folder / "other", "--out", folder / "leaky")
    pizzaiolo("train", folder / "leaky", "--out", folder / "leaky_run")
    predictor = load_file(folder / "leaky_run")
    seen = infer(predictor, data, "test")
    known = recall(predictor, Dataset.open(folder / "leaky"), MOST_TRAINING)
    sides = (Pictures.of(part.rows, part.embeddings) for part in (seen, known))
    found = {seen.rows[leak.tested].path for leak in find_leaks(*sides)}
    right = len(found & {row.path for row in planted})
    print(
        f"  planted leaks: {right} of {PLANTED} found ({WANTED_LEAKS} are wanted), "
        f"{len(found) - right} of {len(tested) - PLANTED} others named"
    )


def place(folder: Path, data: Dataset, row: Row) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / Path(str(row.file)).name).symlink_to(data.picture(row).resolve())


# --- several splits ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """The answers of a settled model on the test pictures of one split."""

    predictions: Predictions

    @property
    def right(self) -> Any:
        """Which answers are right [N]."""
        return self.predictions.predicted == self.predictions.truth

    @property
    def sure(self) -> Any:
        """Which pictures are answered [N]."""
        return np.array([d.verdict != NOT_SURE for d in self.predictions.decisions])


def resplit(data: Dataset, folder: Path, seed: int) -> Dataset:
    """The same pictures, split anew by group."""
    kept = [row for row in data.rows if row.kept]
    groups, labels = [row.group or row.path for row in kept], [row.label for row in kept]
    splits = assign_splits(groups, labels, (0.7, 0.15, 0.15), seed)
    rows = tuple(replace(row, split=split) for row, split in zip(kept, splits, strict=True))
    folder.mkdir()
    (folder / "images").symlink_to((data.root / "images").resolve())
    made = Dataset(folder, data.labels, data.settings, fingerprint(rows), rows)
    made.save({})
    return made


def answered(folder: Path, data: Dataset, quality: str, splits: int) -> Iterator[Split]:
    """Train on each split, settle with the wish, and answer its test pictures."""
    for seed in range(splits):
        own = resplit(data, folder / f"{quality}_{seed}", 1000 + seed)
        run = folder / f"run_{quality}_{seed}"
        train(own.root, run, TrainConfig(quality=quality))
        card, network = load_deployed(run / "model.pt")
        quick, config = Quick(network, card.preprocess), EvaluateConfig(answered=WISH)
        validation, test = (look(quick, own, split) for split in ("validation", "test"))
        known = recall(load_file(run), own, MOST_TRAINING)
        settled = settle(card, validation, known, own.fingerprint, config)
        scores = Novelty.from_facts(settled.card.novelty or {}).scores(test.embeddings)
        probabilities = settled.calibration.apply(test.predictions.probabilities)
        yield Split(replace(test.predictions, labels=settled.card.labels,
                            probabilities=probabilities, novelty=scores))  # fmt: skip


def look(quick: Quick, data: Dataset, split: str) -> Seen:
    """The answers on a split, by features that the cache knows."""
    rows, labels = data.split(split), data.labels
    embeddings = quick.embed([data.picture(row) for row in rows], split)
    predictions = Predictions(
        labels, split, tuple(row.path for row in rows),
        np.array([labels.index(row.label) for row in rows]),
        quick.answers(embeddings).astype(np.float64), tuple(row.group or row.path for row in rows),
    )  # fmt: skip
    return Seen(predictions, embeddings, tuple(rows))


def tell(quality: str, splits: list[Split]) -> None:
    """Calibration error, and what a wish of 99 % gives."""
    gaps = [calibration_error(Table.of(s.predictions), 200, 0).value or 0.0 for s in splits]
    first, *_ = (s.predictions for s in splits)
    parts = [s.predictions for s in splits]
    together = replace(
        first,
        paths=sum((p.paths for p in parts), ()),
        groups=sum((p.groups for p in parts), ()),  # a picture is tested in several splits
        truth=np.concatenate([p.truth for p in parts]),
        probabilities=np.concatenate([p.probabilities for p in parts]),
    )
    pooled = calibration_error(Table.of(together), 200, 0)
    accuracy = interval([float(s.right.mean()) for s in splits])
    print("  {}: test accuracy {:.4f} ({:.4f} to {:.4f})".format(quality, *accuracy))
    print(
        "    calibration error of one split {:.4f} ({:.4f} to {:.4f})".format(*interval(gaps))
        + f", of all together {pooled.value:.4f} ({pooled.low:.4f} to {pooled.high:.4f}); "
        f"at most {GAP} is wanted"
    )
    rows = [(int(s.right[s.sure].sum()), int(s.sure.sum()), len(s.sure)) for s in splits]
    right, said, count = (sum(column) for column in zip(*rows, strict=True))
    print(
        f"    wish of {WISH:.0%}, together: {right / said:.4f} right of what is answered, coverage "
        f"{said / count:.3f} ({REACHED} at {COVERED} is wanted)"
    )
    reached = [(r / a >= REACHED, a / n >= COVERED) for r, a, n in rows]
    print(
        f"    splits that reach {REACHED}: {sum(a for a, _ in reached)} of {len(rows)}, that cover "
        f"{COVERED}: {sum(b for _, b in reached)}, both: {sum(a and b for a, b in reached)}"
    )
    print("    each: " + " ".join(f"{r / a:.3f}@{a / n:.2f}" for r, a, n in rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=40)
    parser.add_argument("--qualities", default="quick,good")
    given = parser.parse_args()
    header()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PIZZAIOLO_CACHE"] = str(folder / "cache")
        source = photos("pizza_not_pizza")
        pizzaiolo("prepare", source, "--out", folder / "data", "--ratios", RATIOS)
        data = Dataset.open(folder / "data")
        print("one split: the whole command")
        for quality in given.qualities.split(","):
            predictor = command(folder, quality)
            strangers(predictor)
            attribution(predictor, data)
        leaks(folder, data)
        print(f"{given.splits} splits")
        for quality in given.qualities.split(","):
            tell(quality, list(answered(folder, data, quality, given.splits)))


if __name__ == "__main__":
    main()
