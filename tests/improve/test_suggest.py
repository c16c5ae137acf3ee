"""Which photos to label next: what is ranked, what is left out, and what is written."""

from __future__ import annotations

import csv
import shutil
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pizzaiolo import load
from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.demo.sample import write_sample_folder
from pizzaiolo.errors import InputError, UsageError
from pizzaiolo.improve.diverse import pick
from pizzaiolo.improve.suggest import suggest, worth
from pizzaiolo.improve.unlabelled import LeftOut, Looker, Photo, Shortlist
from pizzaiolo.predict import BATCH

BAD = {"unreadable", "not_an_image", "blank", "too_small"}


def photo(sure: float, novelty: float | None = None, key: int = 0) -> Photo:
    chances = np.array([1 - sure, sure], np.float32)
    grey = np.zeros((64, 64), np.uint8)
    return Photo(Path(f"{key}.jpg"), chances, np.zeros(4, np.float32), novelty, (key, key), grey)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


# --- picking ------------------------------------------------------------------------------------


def test_the_best_comes_first_and_its_twin_after_all_others() -> None:
    directions = unit(np.array([[1.0, 0, 0], [1, 0.01, 0], [0, 1, 0], [0, 0, 1]]))
    assert pick(np.array([0.9, 0.89, 0.2, 0.3]), directions, 4) == [0, 3, 2, 1]


def test_each_step_adds_the_most_volume() -> None:
    noise = np.random.default_rng(0)
    quality, directions = noise.uniform(0.1, 1, 30), unit(noise.normal(size=(30, 8)))
    spans = directions * quality[:, None]
    taken = pick(quality, directions, 6)
    for step in range(1, 6):
        volumes = [
            np.linalg.det(spans[[*taken[:step], i]] @ spans[[*taken[:step], i]].T)
            for i in range(30)
            if i not in taken[:step]
        ]
        own = spans[taken[: step + 1]]
        assert np.linalg.det(own @ own.T) == pytest.approx(max(volumes), rel=1e-6)


def test_more_than_the_directions_span_are_taken_by_their_quality() -> None:
    quality = np.array([0.5, 0.9, 0.1, 0.7])
    assert pick(quality, unit(np.ones((4, 2))), 10) == [1, 3, 0, 2]


# --- the shortlist ------------------------------------------------------------------------------


def test_doubt_and_novelty_are_worth_a_label() -> None:
    assert worth(photo(0.5)) > worth(photo(0.7)) > worth(photo(0.99))
    assert worth(photo(0.7, 1.5)) > worth(photo(0.7, 0.5)) == worth(photo(0.7))
    assert 0 <= worth(photo(1.0, 0.0)) < worth(photo(0.5, 1e9)) <= 1


def test_the_shortlist_keeps_the_best_of_many() -> None:
    listed = Shortlist(3, worth, {})
    sure = np.random.default_rng(0).permutation(np.linspace(0.5, 1, 40))
    for key, value in enumerate(sure):
        listed.take(photo(float(value), key=key))
    assert [p.probabilities[1] for p in listed.photos] == sorted(sure.astype(np.float32))[:3]
    assert listed.found == 40 and not listed.left_out


def test_one_hash_is_kept_once() -> None:
    listed = Shortlist(3, worth, {7: "a.jpg of the data set"})
    for key in (1, 1, 7):
        listed.take(photo(0.6, key=key))
    assert [p.file.name for p in listed.photos] == ["1.jpg"]
    assert [x.detail for x in listed.left_out] == [
        "looks like 1.jpg",
        "looks like a.jpg of the data set",
    ]


def test_memory_is_that_of_the_kept_photos() -> None:
    listed, noise = Shortlist(20, worth, {}), np.random.default_rng(0)
    tracemalloc.start()
    for key in range(3000):
        seen = photo(float(noise.uniform(0.5, 1)), key=key)
        listed.take(replace(seen, embedding=np.ones(1280, np.float32)))  # 9 KB with the grey
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(listed.photos) == 20
    assert peak < 10_000_000  # all of them would be 30 MB


def test_files_are_read_a_few_batches_ahead(run_folder: Path, pizza_file: Path) -> None:
    asked = 0

    def files() -> Iterator[Path]:
        nonlocal asked
        for _ in range(200):
            asked += 1
            yield pizza_file

    looker = Looker(load(run_folder), PrepareConfig(), {})
    seen = looker.look(files())
    assert isinstance(next(seen), Photo)
    assert asked <= 5 * BATCH
    assert all(isinstance(x, LeftOut) and x.reason == "exact_duplicate" for x in seen)
    assert asked == 200


# --- the whole ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unlabelled(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """New photos at any depth, copies of the data set's and of each other, and bad files."""
    root = tmp_path_factory.mktemp("new") / "photos"
    write_sample_folder(root / "a" / "b", per_class=12, seed=99)
    data = Dataset.open(dataset)
    known = [data.picture(row) for row in data.split("test")[:2]]
    shutil.copy(known[0], root / "saved again.jpg")
    with Image.open(known[1]) as image:
        width, height = image.size
        box = (width // 10, height // 10, width, height)
        image.crop(box).save(root / "cut, \n\u00e9.jpg", quality=80)
    (root / "notes.txt").write_text("no picture")
    return root


@pytest.fixture(scope="module")
def found(
    run_folder: Path, dataset: Path, unlabelled: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, object]:
    return suggest(run_folder, dataset, unlabelled, tmp_path_factory.mktemp("study"), 8)


def rows_of(file: object) -> list[dict[str, str]]:
    with open(str(file), newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def left_out(found: dict[str, object]) -> dict[str, dict[str, str]]:
    file = Path(str(found["suggestions"])).with_name("suggestions-left-out.csv")
    return {Path(row["path"]).name: row for row in rows_of(file)}


def test_the_suggestions_are_a_table(found: dict[str, object]) -> None:
    rows = rows_of(found["suggestions"])
    assert list(rows[0]) == ["path", "score", "why", "predicted", "probability"]
    assert len(rows) == found["suggested"] == 8
    assert all(Path(row["path"]).is_file() and row["why"] for row in rows)
    assert all(0.5 <= float(row["probability"]) <= 1 for row in rows)
    assert float(rows[0]["score"]) == max(float(row["score"]) for row in rows)


def test_every_file_is_accounted_for(found: dict[str, object], unlabelled: Path) -> None:
    assert found["found"] == sum(p.is_file() for p in unlabelled.rglob("*"))
    reasons = found["left_out"]
    assert isinstance(reasons, dict) and {"exact_duplicate", "near_duplicate"} | BAD >= set(reasons)
    assert sum(reasons.values()) == len(left_out(found))
    assert left_out(found)["notes.txt"]["reason"] == "not_an_image"


def test_copies_of_the_data_set_are_left_out(found: dict[str, object]) -> None:
    left = left_out(found)
    for name in ("saved again.jpg", "cut, \n\u00e9.jpg"):
        assert left[name]["reason"] == "near_duplicate"
        assert left[name]["detail"].endswith("of the data set")


def test_no_two_suggestions_are_copies(
    run_folder: Path, dataset: Path, tmp_path: Path, photos: Path
) -> None:
    folder = tmp_path / "new"
    write_sample_folder(folder / "one", per_class=6, seed=5)
    files = sorted((folder / "one").rglob("*_0000.jpg"))
    for file in files:
        with Image.open(file) as image:
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / f"m{file.name}")
    result = suggest(run_folder, dataset, folder, tmp_path / "study", 50)
    names = [Path(row["path"]).name for row in rows_of(result["suggestions"])]
    for file in files:
        assert (file.name in names) + (f"m{file.name}" in names) == 1


def test_the_page_needs_nothing_else(found: dict[str, object]) -> None:
    page = Path(str(found["page"])).read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 8
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert "notes.txt" in page


def test_a_folder_of_copies_gives_no_suggestion(
    run_folder: Path, dataset: Path, photos: Path, tmp_path: Path
) -> None:
    result = suggest(run_folder, dataset, photos, tmp_path, 5)
    assert result["suggested"] == 0 and rows_of(result["suggestions"]) == []
    assert "every file is a copy" in Path(result["page"]).read_text()


def test_what_makes_no_sense_is_refused(run_folder: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="count is 0"):
        suggest(run_folder, dataset, tmp_path, tmp_path / "s", 0)
    with pytest.raises(InputError, match="does not exist"):
        suggest(run_folder, dataset, tmp_path / "none", tmp_path / "s")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no files"):
        suggest(run_folder, dataset, tmp_path / "empty", tmp_path / "s")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        suggest(run_folder, dataset, tmp_path / "file", tmp_path / "s")
    assert not (tmp_path / "s").exists()
