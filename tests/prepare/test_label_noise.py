"""Wrong labels among clusters of points, and among real photos."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from pizzaiolo import prepare
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.prepare import label_noise
from pizzaiolo.prepare.label_noise import Suspects, out_of_fold, suspects
from toy_embeddings import Data, any_data

WIDTH = 24


class Planted(NamedTuple):
    """Points of clusters, some under the name of another one; `right` are the true names."""

    features: NDArray[np.float32]
    labels: list[str]
    groups: list[str]
    right: list[str]

    @property
    def wrong(self) -> set[int]:
        return {
            i
            for i, pair in enumerate(zip(self.labels, self.right, strict=True))
            if len({*pair}) > 1
        }

    def look(self, seed: int = 0) -> Suspects:
        return suspects(self.features, self.labels, self.groups, seed)


def plant(classes: int, each: int, wrong: int = 0, seed: int = 0, noise: float = 1.0) -> Planted:
    """`each` points a class, `wrong` of them (one class after the other) misnamed."""
    random = np.random.default_rng(seed)
    centres = random.normal(0, 3, (classes, WIDTH))
    codes = np.tile(np.arange(classes), each)
    features = (centres[codes] + random.normal(0, noise, (len(codes), WIDTH))).astype(np.float32)
    given = codes.copy()
    given[:wrong] = (codes[:wrong] + 1) % classes
    groups = [f"g{i}" for i in random.permutation(len(codes))]
    return Planted(features, [f"c{c}" for c in given], groups, [f"c{c}" for c in codes])


@pytest.mark.parametrize(
    ("classes", "each", "wrong"), [(2, 15, 1), (2, 100, 16), (5, 40, 12), (100, 8, 30)]
)
def test_planted_wrong_labels_are_found_with_the_right_ones(
    classes: int, each: int, wrong: int
) -> None:
    points = plant(classes, each, wrong)
    found = points.look()
    assert set(found.indices) >= points.wrong
    assert len(found.indices) <= wrong + 0.01 * len(points.labels)
    for place, suggested in zip(found.indices, found.suggested, strict=True):
        assert suggested == points.right[place] or place not in points.wrong


@pytest.mark.parametrize(("classes", "each"), [(2, 6), (2, 15), (3, 100), (20, 6)])
def test_a_clean_data_set_has_next_to_no_suspects(classes: int, each: int) -> None:
    points = plant(classes, each)
    assert len(points.look().indices) <= 0.01 * len(points.labels)


def test_classes_that_overlap_have_few_suspects() -> None:
    points = plant(2, 300, noise=6.0)  # the model gets 6 % wrong
    assert len(points.look().indices) <= 0.03 * len(points.labels)


def test_the_surest_come_first() -> None:
    points = plant(2, 100, 10, noise=4.0)
    found = points.look()
    assert len(found.indices) >= 8
    assert np.all(np.diff(found.scores) <= 0)
    assert set(found.indices[:5]) <= points.wrong
    assert np.all((found.scores > 0.5) & (found.scores <= 1))


@pytest.mark.parametrize("together", [True, False])
def test_copies_of_a_wrong_label_vouch_for_it_only_outside_its_group(together: bool) -> None:
    points = plant(2, 60, 1)
    copies = 40
    features = np.concatenate([points.features, np.repeat(points.features[:1], copies, axis=0)])
    labels = points.labels + points.labels[:1] * copies
    names = points.groups[:1] * copies if together else [f"copy{i}" for i in range(copies)]
    found = suspects(features, labels, points.groups + names)
    planted = {0, *range(120, 120 + copies)}
    assert (planted <= set(found.indices)) == together


def test_the_order_of_the_pictures_makes_no_difference() -> None:
    points = plant(3, 40, 9, noise=3.0)
    mixed = np.random.default_rng(1).permutation(len(points.labels))
    one, other = points.look(), suspects(
        points.features[mixed],
        [points.labels[i] for i in mixed],
        [points.groups[i] for i in mixed],
    )  # fmt: skip
    assert len(one.indices)
    assert mixed[other.indices].tolist() == one.indices.tolist()
    assert other.scores.tolist() == one.scores.tolist()
    assert other.suggested == one.suggested


def test_the_names_of_the_classes_make_no_difference() -> None:
    points = plant(3, 40, 9, noise=3.0)
    names = {"c0": "z", "c1": "a", "c2": "Margherita, 日本"}
    other = suspects(points.features, [names[label] for label in points.labels], points.groups)
    one = points.look()
    assert len(one.indices)
    assert other.indices.tolist() == one.indices.tolist()
    assert other.suggested == tuple(names[label] for label in one.suggested)


def test_the_same_seed_gives_the_same_and_another_seed_finds_the_same_faults() -> None:
    points = plant(2, 80, 8)
    one, again, other = points.look(3), points.look(3), points.look(4)
    assert one.scores.tolist() == again.scores.tolist()
    assert one.indices.tolist() == again.indices.tolist()
    assert set(one.indices) >= points.wrong and set(other.indices) >= points.wrong


def test_a_class_that_is_one_group_is_not_judged() -> None:
    points = plant(3, 30, 3)
    groups = [
        "same" if name == "c2" else group
        for name, group in zip(points.labels, points.groups, strict=True)
    ]
    found = suspects(points.features, points.labels, groups)
    flagged = {points.labels[i] for i in found.indices}
    assert "c2" not in flagged
    assert flagged  # the wrong ones among the others


def test_large_data_is_learnt_from_a_sample_that_leaves_no_class_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(label_noise, "TRAINED_MOST", 100)
    monkeypatch.setattr(label_noise, "CLASS_LEAST", 5)
    big, small = plant(2, 400, 20), plant(3, 7)
    rows = [i for i, label in enumerate(small.right) if label == "c2"]
    found = suspects(
        np.concatenate([big.features, small.features[rows]]),
        big.labels + ["rare"] * len(rows),
        big.groups + [f"r{i}" for i in rows],
    )
    assert set(found.indices) >= big.wrong
    assert all(i < len(big.labels) for i in found.indices)
    assert len(found.indices) <= 20 + 8


def test_no_picture_judges_itself() -> None:
    points = plant(3, 20)
    codes = np.array([int(label[1:]) for label in points.labels])
    folds = np.arange(len(codes)) % 4
    trusted = np.ones(len(codes), bool)
    before = out_of_fold(points.features, codes, folds, trusted, 0)
    other = codes.copy()
    other[folds == 2] = 0
    after = out_of_fold(points.features, other, folds, trusted, 0)
    assert after[folds == 2] == pytest.approx(before[folds == 2], abs=0)
    assert np.abs(after[folds != 2] - before[folds != 2]).max() > 0.1


def test_what_is_not_trusted_teaches_nothing() -> None:
    points = plant(2, 30)
    codes = np.array([int(label[1:]) for label in points.labels])
    folds = np.arange(len(codes)) // 2 % 3
    trusted = np.arange(len(codes)) >= 6
    features = points.features.copy()
    before = out_of_fold(features, codes, folds, trusted, 0)
    features[:6] = 1000
    after = out_of_fold(features, codes, folds, trusted, 0)
    assert after[6:] == pytest.approx(before[6:], abs=0)


@given(any_data())
@settings(max_examples=60, deadline=None)
def test_any_small_data_gives_a_ranking_of_other_labels(data: Data) -> None:
    labels = data.labels
    found = suspects(*data)
    assert len({*found.indices}) == len(found.indices) == len(found.scores) == len(found.suggested)
    assert np.all((found.scores > 0.5) & (found.scores <= 1)) and np.all(np.diff(found.scores) <= 0)
    for place, suggested in zip(found.indices, found.suggested, strict=True):
        assert suggested in set(labels) - {labels[place]}


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    plant(2, 10, 2).look()
    plant(30, 3, 5).look()
    assert capfd.readouterr() == ("", "")


def test_the_messy_folder(shared: Path, tmp_path: Path) -> None:
    """The acceptance: wrong labels and irrelevant pictures are found, good ones are left alone."""
    prepare(shared / "messy", tmp_path / "data")
    with (shared / "messy_truth.csv").open(newline="") as file:
        truth = {line["path"]: line["status"] for line in csv.DictReader(file)}
    rows = [row for row in Dataset.open(tmp_path / "data").rows if row.kept]
    suspect, odd, either = (
        {
            status: np.mean([hit(row) for row in rows if truth[row.path] == status])
            for status in ("wrong_label", "irrelevant", "ok")
        }
        for hit in (
            lambda row: row.label_suspect is not None,
            lambda row: row.outlier is not None,
            lambda row: (row.label_suspect, row.outlier) != (None, None),
        )
    )
    assert suspect["wrong_label"] >= 0.85
    assert odd["irrelevant"] >= 0.5
    assert either["ok"] <= 0.05 and suspect["ok"] <= 0.03 and odd["ok"] <= 0.02
