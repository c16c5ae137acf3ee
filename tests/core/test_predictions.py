"""The predictions table: the columns of the design, in order, and its answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pizzaiolo.core.labels import NOT_SURE, Labels
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.errors import InputError

pq = pytest.importorskip("pyarrow.parquet")

COLUMNS = ["path", "split", "truth", "predicted", "confidence", "verdict", "novelty", "group"]
TYPES = ["string", "string", "string", "string", "double", "string", "double", "string"]


def table(labels: Labels, folder: Path, **options: object):  # type: ignore[no-untyped-def]
    count = len(labels.names)
    probabilities = np.full((3, count), 0.1 / (count - 1))
    probabilities[np.arange(3), [0, 1, 1]] = 0.9
    truth = np.array([0, 0, 1])
    predictions = Predictions(
        labels, "test", ("x/1", "x/2", "x/3"), truth, probabilities, ("g1", "g1", "g2"),
        **options,  # type: ignore[arg-type]
    )  # fmt: skip
    predictions.write(folder / "p.parquet")
    assert len(predictions) == 3
    return predictions, pq.read_table(folder / "p.parquet")


@pytest.mark.parametrize(
    "names",
    [("not_pizza", "pizza"), ("a", "b", "c"), ("ath", "path"), ('"q"', "new\nline"), ("p_", "🍕"),
     ("0", "1"), ("a.b", "a b"), ("A", "a")],
)  # fmt: skip
def test_columns(names: tuple[str, ...], tmp_path: Path) -> None:
    _, written = table(Labels(names), tmp_path)
    assert written.column_names == [*COLUMNS, *(f"p_{name}" for name in names)]
    types = [str(field.type) for field in written.schema]
    assert types == TYPES + ["double"] * len(names)


def test_rows_carry_the_answer_of_the_labels(tmp_path: Path) -> None:
    labels = Labels(("not_pizza", "pizza"), "pizza", threshold=0.05, max_novelty=1.0)
    predictions, written = table(labels, tmp_path, novelty=np.array([0.5, 0.5, 2.0]))
    rows = written.to_pylist()
    assert [r["truth"] for r in rows] == ["not_pizza", "not_pizza", "pizza"]
    assert [r["predicted"] for r in rows] == ["pizza"] * 3  # 0.1 is over the threshold
    assert predictions.predicted.tolist() == [1, 1, 1]
    assert [r["verdict"] for r in rows] == ["Pizza", "Pizza", NOT_SURE]
    assert [r["confidence"] for r in rows] == pytest.approx([0.1, 0.9, 0.9])
    assert [r["novelty"] for r in rows] == [0.5, 0.5, 2.0]
    assert {(r["split"], r["group"]) for r in rows} == {("test", "g1"), ("test", "g2")}
    for row in rows:
        assert row["p_pizza"] + row["p_not_pizza"] == pytest.approx(1)


@pytest.mark.parametrize(
    "labels",
    [Labels(("n", "p"), "p", threshold=0.3), Labels(("p", "n"), "p"), Labels(("a", "b", "c"))],
)
def test_the_predicted_classes_are_those_of_the_decisions(labels: Labels) -> None:
    chances = np.random.default_rng(0).dirichlet(np.ones(len(labels.names)), 300)
    chances[:9] = np.round(chances[:9], 1)  # some lie on the threshold, or are equal
    chances[9] = 1 / len(labels.names)
    chances[10] = np.roll([0.3] + [0.7 / (len(labels.names) - 1)] * (len(labels.names) - 1), 1)
    paths = tuple(map(str, range(300)))
    found = Predictions(labels, "test", paths, np.zeros(300, np.int64), chances, paths)
    assert [labels.names[i] for i in found.predicted] == [d.label for d in found.decisions]
    assert len(set(found.predicted.tolist())) == len(labels.names)


def test_novelty_is_null_where_it_was_not_measured(tmp_path: Path) -> None:
    _, written = table(Labels(("a", "b")), tmp_path)
    assert written["novelty"].to_pylist() == [None, None, None]


def test_confidence_is_that_of_the_answer_and_not_the_largest(tmp_path: Path) -> None:
    labels = Labels(("not_pizza", "pizza"), positive="pizza", threshold=0.95)
    predictions, _ = table(labels, tmp_path)
    np.testing.assert_array_equal(predictions.predicted, [0, 0, 0])
    np.testing.assert_allclose(predictions.confidence, [0.9, 0.1, 0.1])


@pytest.mark.parametrize(
    "labels",
    [
        Labels(("not_pizza", "pizza"), "pizza", 0.05, (0.05, 0.6), max_novelty=1.0),
        Labels(("path", "th", '"q"')),
    ],
)
@pytest.mark.parametrize("novelty", [None, np.array([0.5, 1.5, 0.1])])
def test_what_was_written_is_read(labels: Labels, novelty: object, tmp_path: Path) -> None:
    written, _ = table(labels, tmp_path, novelty=novelty)
    found = Predictions.read(tmp_path / "p.parquet")
    for name in ("labels", "split", "paths", "groups", "decisions"):
        assert getattr(found, name) == getattr(written, name)
    np.testing.assert_array_equal(found.truth, written.truth)
    np.testing.assert_array_equal(found.probabilities, written.probabilities)
    assert found.novelty is None if novelty is None else (found.novelty == novelty).all()
    assert found.files == ()


def test_probabilities_that_are_no_numbers_are_read(tmp_path: Path) -> None:
    paths = ("a", "b")
    chances = np.array([[np.nan, np.nan], [0.2, 0.8]])
    Predictions(Labels(("n", "p"), "p"), "test", paths, np.zeros(2, int), chances, paths).write(
        tmp_path / "p.parquet"
    )
    np.testing.assert_array_equal(Predictions.read(tmp_path / "p.parquet").probabilities, chances)


def test_a_table_of_an_earlier_version_is_read_where_its_answers_are_clear(tmp_path: Path) -> None:
    _, written = table(Labels(("not_pizza", "pizza"), "pizza"), tmp_path)
    pq.write_table(written.replace_schema_metadata(None), tmp_path / "old.parquet")
    assert Predictions.read(tmp_path / "old.parquet").labels == Labels(
        ("not_pizza", "pizza"), "pizza"
    )
    _, moved = table(Labels(("not_pizza", "pizza"), "pizza", threshold=0.05), tmp_path)
    pq.write_table(moved.replace_schema_metadata(None), tmp_path / "old.parquet")
    with pytest.raises(InputError, match="not those of its probabilities"):
        Predictions.read(tmp_path / "old.parquet")


def with_column(written: Any, name: str, values: list[object]) -> Any:
    return written.set_column(written.column_names.index(name), name, [values])


DAMAGE: dict[str, tuple[Any, str]] = {
    "a column is missing": (lambda t: t.drop(["truth"]), "lacks the columns truth"),
    "a gap": (lambda t: with_column(t, "group", ["g", None, "g"]), "group has gaps"),
    "text for numbers": (lambda t: with_column(t, "p_b", ["x", "y", "z"]), "p.parquet is not"),
    "two splits": (lambda t: with_column(t, "split", ["test", "train", "test"]), "2 splits"),
    "no picture": (lambda t: t.slice(0, 0), "0 splits"),
    "another label": (lambda t: with_column(t, "truth", ["a", "b", "c"]), r"\['c'\]"),
    "another answer": (lambda t: with_column(t, "predicted", ["b", "b", "a"]), "its answers"),
    "one class": (lambda t: t.drop(["p_b"]), "it tells of the classes"),
    "no classes": (lambda t: t.drop(["p_a", "p_b"]).replace_schema_metadata({}), "two or more"),
    "damaged facts": (lambda t: t.replace_schema_metadata({"pizzaiolo_labels": "{"}), "is not a"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_another_table_is_refused(damage: str, tmp_path: Path) -> None:
    _, written = table(Labels(("a", "b")), tmp_path)
    change, words = DAMAGE[damage]
    pq.write_table(change(written), tmp_path / "p.parquet")
    with pytest.raises(InputError, match=words) as caught:
        Predictions.read(tmp_path / "p.parquet")
    assert str(tmp_path / "p.parquet") in caught.value.message
    assert caught.value.hint and "evaluate" in caught.value.hint


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_text("no table")
    for name in ("p.parquet", "gone.parquet"):
        with pytest.raises(InputError, match="is not a table of predictions"):
            Predictions.read(tmp_path / name)
