"""Splits that last: what was there keeps its place, and no newcomer makes a leak."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import pizzaiolo
import toy_findings
from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import SPLITS, Dataset, Row
from pizzaiolo.demo.sample import render_sample
from pizzaiolo.prepare.decide import Help
from pizzaiolo.prepare.inspect import Finding
from pizzaiolo.prepare.placement import bridges, earlier_splits, leaks, place, reject_bridges
from toy_findings import decide, patches

EVENLY = PrepareConfig(ratios=(0.34, 0.33, 0.33))


def row(name: str, group: str | None = None, split: str | None = None, **facts: Any) -> Row:
    return Row(name, "a", sha256=name, group=group, split=split, **facts)


def rows_of(names: Sequence[str]) -> list[Row]:
    """Rows that look like no other."""
    return [row(name, group=name) for name in names]


def splits_of(rows: Sequence[Row]) -> dict[str, str]:
    return {row.sha256: row.split for row in rows if row.sha256 and row.split}


def placed(rows: Sequence[Row], earlier: dict[str, str] | None = None) -> dict[str, str]:
    made = list(rows)
    place(made, EVENLY, earlier)
    return splits_of(made)


# --- by the hash alone ------------------------------------------------------------------------


def test_a_group_goes_where_its_largest_picture_would_go() -> None:
    """Smaller or harder compressed copies come later and move nothing."""
    names = [f"p{i}" for i in range(60)]
    alone = [row(name, group=name, width=80, height=60, bytes=900) for name in names]
    before = placed(alone)
    smaller = [row(f"s{n}", group=n, width=79, height=60, bytes=9000) for n in names[:30]]
    harder = [row(f"h{n}", group=n, width=60, height=80, bytes=899) for n in names[30:]]
    after = placed([*smaller, *alone, *harder])
    assert {name: after[name] for name in names} == before
    assert all(after[name] == after[name[1:]] for name in after if name not in before)


def test_a_split_hangs_on_content_and_seed_and_not_on_names_labels_or_order() -> None:
    first = rows_of([f"p{i}" for i in range(50)])
    second = [replace(r, path=f"x{r.path}", group=f"g{r.group}", label="b") for r in first]
    before = placed(first)
    assert placed(second[::-1]) == before and len(set(before.values())) == 3
    other = list(first)
    place(other, replace(EVENLY, seed=1))
    assert splits_of(other) != before


# --- with an earlier data set -----------------------------------------------------------------


def test_old_pictures_keep_their_split_and_near_copies_follow() -> None:
    old = rows_of([f"p{i}" for i in range(12)])
    earlier = {r.path: SPLITS[i % 3] for i, r in enumerate(old)}
    new = [row(f"new{r.path}", group=r.group, width=999, height=999) for r in old]
    after = placed([*new, *old], earlier)
    assert {r.path: after[r.path] for r in old} == earlier
    assert all(after[f"new{name}"] == split for name, split in earlier.items())


def test_a_persons_own_split_is_stronger_than_an_earlier_one() -> None:
    own = [row("t", "g", "test"), row("v", "h", "validation"), row("n", "i", "train")]
    old = [row("twin", "g"), row("alone", "j")]
    rows = [*own, *old]
    notes = place(rows, EVENLY, {"twin": "train", "alone": "test"})
    after = splits_of(rows)
    assert [after[r.path] for r in own] == ["test", "validation", "train"]
    assert (after["twin"], after["alone"]) == ("test", "train")  # test is now what a person says
    assert len(notes) == 1 and notes[0].startswith("2 pictures left the split")


def test_old_pictures_that_turn_out_to_be_near_copies_are_joined_and_that_is_said() -> None:
    """What a model may have been trained on is no test picture."""
    rows = [row("p", "g"), row("q", "g"), *rows_of("abcdef")]
    notes = place(rows, EVENLY, {"p": "test", "q": "train"})
    assert rows[0].split == rows[1].split == "train" and leaks(rows) == []
    assert len(notes) == 1 and notes[0].startswith("1 pictures left the split")


def test_a_part_of_train_that_became_validation_stays_validation() -> None:
    own = [row(f"n{i}", f"n{i}", "train") for i in range(20)]
    own += [row(f"t{i}", f"t{i}", "test") for i in range(5)]
    before = placed(own)
    assert set(before.values()) == set(SPLITS)
    flipped = {name: {"train": "validation", "validation": "train"}.get(split, split)
               for name, split in before.items()}  # fmt: skip
    assert placed(own, flipped) == flipped


@pytest.mark.parametrize(
    ("links", "out"),
    [
        ([(0, 2), (2, 1)], {2: (0, 1)}),
        ([(0, 2), (2, 3), (3, 1)], {3: (0, 1)}),
        ([(0, 2), (2, 3), (3, 4)], {}),
        ([(2, 3), (3, 4)], {}),
        ([(0, 2), (0, 3), (1, 4)], {}),
        ([(0, 1), (0, 2), (1, 2)], {}),  # the old ones are near-copies already
        ([(0, 2), (2, -1), (3, -1), (3, 1)], {3: (0, 1)}),
    ],
    ids=["direct", "chain", "one side", "no side", "apart", "torn before", "by a group"],
)
def test_only_who_ties_two_sides_stays_out(
    links: list[tuple[int, int]], out: dict[int, tuple[int, int]]
) -> None:
    assert bridges(links, {0: "train", 1: "test"}, "abcdefgh") == out


def test_a_picture_between_two_splits_is_rejected_with_its_reason() -> None:
    rows = [row("old"), row("new"), row("other")]
    notes = reject_bridges(rows, lambda: [(0, 1), (1, 2)], {"old": "test", "other": "train"})
    assert (rows[1].status, rows[1].reason, rows[1].duplicate_of) == (
        "rejected", "near_duplicate", "other",
    )  # fmt: skip
    assert rows[1].detail == "ties pictures of train and of test together"
    assert rows[0].kept and rows[2].kept and len(notes) == 1 and notes[0].startswith("1 pictures")


def test_a_picture_between_two_parts_of_a_persons_split_is_rejected_too() -> None:
    rows = [row("t", split="test"), row("x"), row("n", split="train"), row("y")]
    reject_bridges(rows, lambda: [(0, 1), (1, 2), (2, 3)])
    assert [r.reason for r in rows] == [None, "near_duplicate", None, None]


def shot(content: int, version: int, **source: Any) -> Finding:
    """A finding; versions of one content are near-copies of other bytes."""
    name = f"{content}-{version}"
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    facts = {"size": (100 + version % 3, 80), "bytes": 5000 + version}
    label = "ab"[content % 2]
    return toy_findings.finding(
        patches(content, version), sha256, name, label, source=source, **facts
    )  # fmt: skip


groups = st.sampled_from([None, None, "g", "h", "i"])
pictures = st.dictionaries(
    st.tuples(st.integers(0, 40), st.integers(0, 3)), groups, max_size=40
).map(lambda found: {**found, **dict.fromkeys((content, 0) for content in range(50, 56))})
newcomers = st.dictionaries(st.tuples(st.integers(0, 60), st.integers(4, 9)), groups, max_size=30)


@given(old=pictures, new=newcomers, order=st.randoms(), exact=st.booleans())
@settings(max_examples=120, deadline=None)
def test_pictures_that_come_move_none_of_the_old_and_make_no_leak(
    old: dict[tuple[int, int], str | None], new: dict[tuple[int, int], str | None],
    order: Random, exact: bool,
) -> None:  # fmt: skip
    """New ones of all kinds: strangers, near-copies, and some that tie old groups together."""
    config = replace(EVENLY, exact_split=exact)
    first = [shot(*key, group=group) for key, group in old.items()]
    before = splits_of(decide(first, config)[0])
    grown = [*first, *(shot(*key, group=group) for key, group in new.items())]
    order.shuffle(grown)
    rows, _ = decide(grown, config, Help(earlier=before))
    assert leaks(rows) == []
    after = splits_of(rows)
    assert {sha: after.get(sha) for sha in before} == before
    out = [r for r in rows if not r.kept]
    assert all(r.reason == "near_duplicate" and r.sha256 not in before for r in out)
    again, _ = decide(grown, config, Help(earlier=after))
    assert splits_of(again) == after


def test_new_photos_of_a_burst_do_not_tie_its_ends_together() -> None:
    """One that goes makes neighbours of the next ones; they are looked at again."""
    times = {1: "10:00:00", 2: "10:00:01", 3: "10:00:02", 4: "10:00:03"}
    burst = [replace(shot(content, 0), camera="C", captured=f"2024-05-01T{time}")
             for content, time in times.items()]  # fmt: skip
    ends = {burst[0].sha256 or "": "train", burst[3].sha256 or "": "test"}
    rows, notes = decide(burst, EVENLY, Help(earlier=ends))
    assert [r.split for r in rows] == ["train", None, None, "test"] and leaks(rows) == []
    assert [r.reason for r in rows[1:3]] == ["near_duplicate"] * 2
    assert len(notes) == 1 and notes[0].startswith("2 pictures look like some of two splits")


@given(old=pictures, new=newcomers)
@settings(max_examples=40, deadline=None)
def test_an_old_picture_stands_for_its_near_copies(
    old: dict[tuple[int, int], str | None], new: dict[tuple[int, int], str | None]
) -> None:
    """With drop_near the copies that come go, whatever their names."""
    config = replace(EVENLY, drop_near=True)
    first = [shot(*key) for key in old]
    before = splits_of(decide(first, config)[0])
    rows, _ = decide([*(shot(*key) for key in new), *first], config, Help(earlier=before))
    after = splits_of(rows)
    assert {sha: after.get(sha) for sha in before} == before
    assert len({r.path.split("-")[0] for r in rows if r.kept}) == len(after)


# --- what an earlier data set says ------------------------------------------------------------


@pytest.fixture(scope="module")
def made(
    make_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, PrepareConfig]:
    folder = tmp_path_factory.mktemp("earlier")
    config = PrepareConfig(workers=1, features=False, size=32)
    pizzaiolo.prepare(make_folder(folder / "photos", count=12), folder / "D", config)
    return folder / "D", config


def test_the_earlier_splits_are_those_of_the_manifest(made: tuple[Path, PrepareConfig]) -> None:
    out, config = made
    found = earlier_splits(out, replace(config, size=64, min_per_class=3, workers=2))
    assert found == splits_of(Dataset.open(out).rows) and len(found) == 24


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1}, {"ratios": (0.6, 0.2, 0.2)}, {"exact_split": True}, {"near_distance": 4},
        {"drop_near": True}, {"features": True}, {"burst_seconds": 9.0},
    ],
    ids=str,
)  # fmt: skip
def test_other_settings_deal_anew(made: tuple[Path, PrepareConfig], change: dict[str, Any]) -> None:
    out, config = made
    assert earlier_splits(out, replace(config, **change)) == {}


def test_no_or_a_damaged_data_set_says_nothing(
    made: tuple[Path, PrepareConfig], tmp_path: Path
) -> None:
    out, config = made
    assert earlier_splits(tmp_path / "gone", config) == earlier_splits(tmp_path, config) == {}
    facts = json.loads((out / "dataset.json").read_text())
    (tmp_path / "manifest.parquet").write_bytes((out / "manifest.parquet").read_bytes())
    for settings_of in ({}, {k: v for k, v in facts["settings"].items() if k != "seed"}):
        (tmp_path / "dataset.json").write_text(json.dumps({**facts, "settings": settings_of}))
        assert earlier_splits(tmp_path, config) == {}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    (tmp_path / "manifest.parquet").write_text("no manifest")
    assert earlier_splits(tmp_path, config) == {}


# --- the whole step ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grown(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, set[str]]:
    """Rendered pictures; the same with 20 % more; and the bytes of what is old."""
    folder = tmp_path_factory.mktemp("grown")
    before, after = folder / "before", folder / "after"
    for root in (before, after):
        for label in ("pizza", "not_pizza"):
            (root / label).mkdir(parents=True)
            for file in sorted((photos / label).glob(f"{label}_*.jpg")):
                (root / label / file.name).write_bytes(file.read_bytes())
    for label, kind in (("pizza", "pizza"), ("not_pizza", "salad"), ("not_pizza", "naan")):
        for seed in range(8 if label == "pizza" else 4):
            render_sample(kind, 9000 + seed, 200).save(after / label / f"0_new_{kind}_{seed}.jpg")
    shas = {hashlib.sha256(f.read_bytes()).hexdigest() for f in before.rglob("*.jpg")}
    return before, after, shas


CONFIG = PrepareConfig(workers=1, features=False, size=64)


def splits_in(out: Path) -> dict[str, str]:
    rows = Dataset.open(out).rows
    assert leaks(rows) == []
    return splits_of(rows)


def test_a_fifth_more_pictures_moves_no_old_one_even_in_another_folder(
    grown: tuple[Path, Path, set[str]], tmp_path: Path
) -> None:
    before, after, old = grown
    pizzaiolo.prepare(before, tmp_path / "D", CONFIG)
    pizzaiolo.prepare(after, tmp_path / "E", CONFIG)
    first, second = splits_in(tmp_path / "D"), splits_in(tmp_path / "E")
    assert len(second) == len(first) + 16 and set(first) <= old
    assert {sha: second[sha] for sha in first} == first


@pytest.mark.parametrize("exact", [False, True])
def test_new_near_copies_follow_the_old_pictures_in_place(
    grown: tuple[Path, Path, set[str]], tmp_path: Path, exact: bool
) -> None:
    """Larger and smaller copies, beside new pictures."""
    before, after, _ = grown
    config = replace(CONFIG, exact_split=exact)
    pizzaiolo.prepare(before, tmp_path / "D", config)
    first = splits_in(tmp_path / "D")
    (tmp_path / "more/pizza").mkdir(parents=True)
    for i, file in enumerate(sorted((before / "pizza").glob("*.jpg"))[:30]):
        with Image.open(file) as picture:
            scale = 1.4 if i % 2 else 0.6
            size = (round(picture.width * scale), round(picture.height * scale))
            picture.resize(size).save(tmp_path / f"more/pizza/{i}.jpg", quality=85)
    pizzaiolo.prepare([after, tmp_path / "more"], tmp_path / "D", config)
    second = splits_in(tmp_path / "D")
    assert {sha: second[sha] for sha in first} == first
    rows = Dataset.open(tmp_path / "D").rows
    copies = [r for r in rows if r.kept and r.path.startswith("more/")]
    of_group = {r.group: r.split for r in rows if r.sha256 in first}
    assert len(copies) == 30 and all(of_group[r.group] == r.split for r in copies)
    if exact:
        shares = Counter(second.values())
        assert shares["test"] / len(second) == pytest.approx(0.15, abs=0.03)
