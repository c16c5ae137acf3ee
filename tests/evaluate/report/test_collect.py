"""What follows from the answers alone, and from the manifest's rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pizzaiolo.core.labels import Labels
from pizzaiolo.core.manifest import Dataset, Row
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.evaluate.report.collect import (
    basic_facts,
    mistakes,
    rows_of,
    unsure,
)
from pizzaiolo.prepare.decisions import FILE, Decision, write_decisions
from toy_report import CARD, result

LABELS = Labels(("not_pizza", "pizza"), positive="pizza")


@pytest.fixture
def table() -> Predictions:
    """Ten answers; 2 and 7 are wrong, 7 the more confident."""
    truth, pizza = np.arange(10) % 2, np.where(np.arange(10) % 2, 0.9, 0.2)
    pizza[[2, 7, 4]] = 0.7, 0.05, 0.4
    paths = tuple(f"{LABELS.names[t]}/{i}.png" for i, t in enumerate(truth))
    return Predictions(
        LABELS, "test", paths, truth, np.stack([1 - pizza, pizza], axis=1), paths, paths
    )


@pytest.fixture
def dataset(table: Predictions, tmp_path: Path) -> Dataset:
    rows = [
        Row(path, LABELS.names[t], sha256=f"{i:02x}", split="test")
        for i, (path, t) in enumerate(zip(table.paths, table.truth, strict=True))
    ]
    return Dataset(tmp_path, LABELS, {}, "abc", (*rows[::-1], replace(rows[0], status="rejected")))


def test_mistakes_and_unsure_answers_are_ranked(table: Predictions) -> None:
    assert mistakes(table) == [7, 2]
    assert unsure(table)[:2] == [4, 0] and len(unsure(table, 3)) == 3


def test_rows_are_found_whatever_their_order(table: Predictions, dataset: Dataset) -> None:
    assert [row.sha256 for row in rows_of(table, dataset) if row] == [f"{i:02x}" for i in range(10)]
    fewer = Dataset(dataset.root, LABELS, {}, "abc", dataset.rows[1:])
    assert rows_of(table, fewer)[9] is None


def test_the_facts_hold_what_marking_needs(table: Predictions, dataset: Dataset) -> None:
    write_decisions(
        dataset.root / FILE, [Decision(table.paths[7], "not_pizza", "07", "relabel", "pizza")]
    )
    made = basic_facts(table, result(2, 10), CARD, 60, dataset)
    found = {m.path: (m.truth, m.source_label, m.sha256) for m in made.mistakes}
    assert found == {
        table.paths[7]: ("pizza", "not_pizza", "07"),
        table.paths[2]: ("not_pizza", "not_pizza", "02"),
    }
    assert made.mistakes[0].probabilities == {"not_pizza": 0.95, "pizza": 0.05}
    assert made.dataset == str(dataset.root) and made.marks.fingerprint == "abc"
    assert len(basic_facts(table, result(2, 10), CARD, 1, dataset).mistakes) == 1


def test_curves_are_there_where_they_are_defined(table: Predictions) -> None:
    made = basic_facts(table, result(2, 10), CARD, 60)
    assert made.roc[0] == (0.0, 0.0) and made.roc[-1] == (1.0, 1.0)
    assert sum(n for _, _, n in made.reliability) == 10
    one_class = replace(table, truth=np.ones(10, np.int64))
    assert basic_facts(one_class, result(2, 10), CARD, 60).roc == ()
