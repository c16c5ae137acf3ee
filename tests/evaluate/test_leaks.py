"""Near-copies of test pictures in training are found, wherever training came from."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.manifest import Dataset, Row
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.evaluate import leaks
from pizzaiolo.evaluate.leaks import Leak, Pictures, find_leaks, training_data

NOISE = np.random.default_rng(0)


def strangers(count: int, seed: int, features: int = 64) -> Pictures:
    """Pictures that have nothing in common."""
    noise = np.random.default_rng(seed)
    hashes = [f"{noise.integers(0, 2**63):016x}" for _ in range(count)]
    return Pictures(hashes, np.abs(noise.normal(0, 1, (count, features))).astype(np.float32))


def copied(pictures: Pictures, place: int, bits: int, off: float) -> tuple[str, np.ndarray]:
    """A near-copy: `bits` of the hash turned, the embedding `off` of its own length away."""
    assert pictures.embeddings is not None
    own, turned = pictures.embeddings[place], int(pictures.hashes[place] or "0", 16)
    for bit in range(bits):
        turned ^= 1 << (7 * bit % 64)
    away = NOISE.normal(0, 1, own.shape)
    return f"{turned:016x}", own + off * np.linalg.norm(own) * away / np.linalg.norm(away)


def joined(pictures: Pictures, more: list[tuple[str, np.ndarray]]) -> Pictures:
    assert pictures.embeddings is not None
    rows = np.concatenate([pictures.embeddings, *(row[None] for _, row in more)])
    return Pictures([*pictures.hashes, *(text for text, _ in more)], rows)


def test_strangers_are_no_copies() -> None:
    assert find_leaks(strangers(300, 1), strangers(500, 2)) == []


@pytest.mark.parametrize(("bits", "off"), [(0, 0.0), (2, 0.3), (9, 0.1), (64, 0.05), (1, 2.0)])
def test_a_copy_is_found_with_its_original(bits: int, off: float) -> None:
    tested, trained = strangers(40, 1), strangers(200, 2)
    if bits == 64:  # a hash that says nothing of it
        with_copy = joined(trained, [("0123456789abcdef", copied(tested, 7, 0, off)[1])])
    else:
        with_copy = joined(trained, [copied(tested, 7, bits, off)])
    (leak,) = find_leaks(tested, with_copy)
    assert (leak.tested, leak.trained) == (7, 200)
    assert leak.distance is not None and leak.bits is not None


def test_many_copies_of_one_picture_are_no_usual_neighbours() -> None:
    tested, trained = strangers(40, 1), strangers(200, 2)
    with_copies = joined(trained, [copied(tested, 3, 30, 0.05) for _ in range(25)])
    assert [leak.tested for leak in find_leaks(tested, with_copies)] == [3]


def test_each_picture_is_named_once_with_its_nearest_copy() -> None:
    tested, trained = strangers(40, 1), strangers(200, 2)
    both = joined(trained, [copied(tested, 5, 0, 0.3), copied(tested, 5, 3, 0.01)])
    (leak,) = find_leaks(tested, both)
    assert leak.tested == 5 and leak.trained == 201


def test_without_embeddings_the_hashes_decide() -> None:
    tested, trained = strangers(40, 1), strangers(200, 2)
    surely, perhaps = (
        copied(tested, 5, leaks.MOST_BITS, 0),
        copied(tested, 6, leaks.MOST_BITS + 1, 0),
    )
    other = Pictures(joined(trained, [surely, perhaps]).hashes)
    assert find_leaks(tested, other) == [Leak(5, 200, leaks.MOST_BITS, None)]
    assert find_leaks(Pictures(tested.hashes), Pictures(other.hashes, None))[0].tested == 5


def test_without_hashes_the_embeddings_decide() -> None:
    tested, trained = strangers(40, 1), strangers(200, 2)
    other = joined(trained, [copied(tested, 5, 0, 0.02)])
    found = find_leaks(
        Pictures([None] * 40, tested.embeddings), Pictures([None] * 201, other.embeddings)
    )
    assert [(leak.tested, leak.trained, leak.bits) for leak in found] == [(5, 200, None)]


@pytest.mark.parametrize("training", [0, 1, 2, 5])
def test_a_handful_of_training_pictures_is_enough(training: int) -> None:
    tested = strangers(6, 1)
    found = find_leaks(tested, strangers(training, 2))
    assert all(leak.trained < training for leak in found)
    if training:
        assert find_leaks(tested, joined(strangers(training, 2), [copied(tested, 2, 1, 0.01)]))


def test_nothing_to_look_at_finds_nothing() -> None:
    assert find_leaks(Pictures([]), strangers(5, 1)) == []


def test_constant_embeddings_accuse_no_one() -> None:
    tested, trained = strangers(20, 1), strangers(50, 2)
    flat = [Pictures(p.hashes, np.ones((len(p.hashes), 8), np.float32)) for p in (tested, trained)]
    assert find_leaks(*flat) == []


def test_the_blocks_of_the_table_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tested, trained = strangers(40, 1), strangers(200, 2)
    other = joined(trained, [copied(tested, i, 3, 0.1) for i in (0, 17, 39)])
    whole = find_leaks(tested, other)
    monkeypatch.setattr(leaks, "PAIRS_AT_ONCE", 500)
    parts = find_leaks(tested, other)
    assert [(a.tested, a.trained, a.bits) for a in parts] == [
        (a.tested, a.trained, a.bits) for a in whole
    ]
    assert [leak.tested for leak in whole] == [0, 17, 39]


def test_a_network_that_tells_nothing_apart_accuses_no_one() -> None:
    """In a few dimensions strangers lie as close as copies do: their own distances tell."""
    tested, trained = strangers(200, 1, features=2), strangers(600, 2, features=2)
    assert len(find_leaks(tested, trained)) <= 4


def test_near_copies_inside_training_do_not_hide_others() -> None:
    tested, trained = strangers(40, 1), strangers(300, 2)
    twins = joined(trained, [copied(trained, i, 1, 0.02) for i in range(100)])
    leaked = joined(twins, [copied(tested, 9, 2, 0.1)])
    groups = [f"g{i}" for i in range(300)] + [f"g{i}" for i in range(100)] + ["g"]
    found = find_leaks(tested, replace(leaked, groups=groups))
    assert [leak.tested for leak in found] == [9]


def test_rows_of_a_manifest_are_pictures() -> None:
    rows = [Row("a", "pizza", phash="0f" * 8, group="g"), Row("b", "pizza")]
    assert Pictures.of(rows) == Pictures(["0f" * 8, None], None, ["g", None])


def card(fingerprint: str | None) -> Card:
    data = {} if fingerprint is None else {"fingerprint": fingerprint}
    return Card(Labels(("not_pizza", "pizza")), Preprocess(32, 32), {"name": "cnn"}, data=data)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_the_evaluated_data_may_be_those_of_the_training(tiny_dataset: Dataset, run: Path) -> None:
    found = training_data(run / "m.onnx", card(tiny_dataset.fingerprint), tiny_dataset)
    assert found is tiny_dataset


def test_other_training_data_are_found_by_the_run(
    tiny_dataset: Dataset, make_dataset: Callable[..., Dataset], tmp_path: Path, run: Path
) -> None:
    trained = make_dataset(tmp_path / "trained", train=12)
    (run / "run.json").write_text(json.dumps({"dataset": str(trained.root)}))
    found = training_data(run, card(trained.fingerprint), tiny_dataset)
    assert found is not None and found.root == trained.root
    assert training_data(run, card("changed since"), tiny_dataset) is None


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"dataset": 3}', '{"dataset": "/no"}']
)
def test_training_data_that_are_gone_are_told_by_none(
    tiny_dataset: Dataset, run: Path, text: str | None
) -> None:
    if text is not None:
        (run / "run.json").write_text(text)
    assert training_data(run, card("other"), tiny_dataset) is None
    assert training_data(run, card(None), tiny_dataset) is None
