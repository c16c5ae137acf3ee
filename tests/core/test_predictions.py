"""The predictions table: the columns of the design, in order, and its answers."""

from pathlib import Path

import numpy as np
import pytest

from pizzaiolo.core.labels import NOT_SURE, Labels
from pizzaiolo.core.predictions import Predictions

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


def test_novelty_is_null_where_it_was_not_measured(tmp_path: Path) -> None:
    _, written = table(Labels(("a", "b")), tmp_path)
    assert written["novelty"].to_pylist() == [None, None, None]


def test_confidence_is_that_of_the_answer_and_not_the_largest(tmp_path: Path) -> None:
    labels = Labels(("not_pizza", "pizza"), positive="pizza", threshold=0.95)
    predictions, _ = table(labels, tmp_path)
    np.testing.assert_array_equal(predictions.predicted, [0, 0, 0])
    np.testing.assert_allclose(predictions.confidence, [0.9, 0.1, 0.1])
