"""Decisions on findings: duplicates, conflicts, groups and a person's own split."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import toy_findings
from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import SPLITS, Row
from pizzaiolo.errors import SourceError
from pizzaiolo.prepare.inspect import Finding
from pizzaiolo.prepare.placement import leaks
from toy_findings import decide, patches


def finding(content: int, path: str, label: str = "a", twist: int = 0, **source: Any) -> Finding:
    """A finding of one picture; `twist` changes a few pixels, as saving it again would."""
    sha256 = hashlib.sha256(f"{content} {twist}".encode()).hexdigest()
    return toy_findings.finding(patches(content, twist), sha256, path, label, source=source)


def rows_of(*findings: Finding, **settings: Any) -> dict[str, Row]:
    rows, _ = decide(findings, PrepareConfig(**settings))
    assert [r.path for r in rows] == [f.candidate.path for f in findings]
    return {row.path: row for row in rows}


def others(count: int = 6, **source: Any) -> list[Finding]:
    return [finding(100 + i, f"other{i}", **source) for i in range(count)]


def test_of_the_same_bytes_the_first_is_kept() -> None:
    rows = rows_of(finding(1, "x"), finding(1, "y"), finding(1, "z"), *others())
    assert rows["x"].kept
    for name in "yz":
        assert (rows[name].reason, rows[name].duplicate_of) == ("exact_duplicate", "x")
        assert rows[name].group is None and rows[name].split is None


def test_a_copy_of_a_test_picture_leaves_training_and_that_is_said() -> None:
    """Pain: leak by duplicates across a published split."""
    own = [finding(1, "a/train", split="train"), finding(1, "b/test", split="test"),
           finding(2, "c/train", split="train"), finding(2, "d/validation", split="validation"),
           finding(3, "e/train", split="train"), finding(3, "f/train", split="train")]  # fmt: skip
    rows, notes = decide([*own, *others(split="train")], PrepareConfig())
    assert [r.path for r in rows if not r.kept] == ["a/train", "c/train", "f/train"]
    assert [n for n in notes if "2 copies of its validation or test pictures" in n]


def test_near_copies_share_a_group_and_name_their_original() -> None:
    """Pain: leak by duplicates across splits (RIAWELC: all 2,443 test pictures)."""
    rows = rows_of(*others(), finding(1, "x"), finding(1, "y", twist=1), finding(1, "z", twist=5))
    assert len({rows[n].group for n in "xyz"}) == len({rows[n].split for n in "xyz"}) == 1
    assert [rows[n].duplicate_of for n in "xyz"] == [None, "x", "x"]
    assert len({r.group for r in rows.values()}) == 7


def test_drop_near_rejects_all_but_the_first() -> None:
    rows = rows_of(finding(1, "x"), finding(1, "y", twist=1), *others(), drop_near=True)
    assert rows["x"].kept and rows["x"].duplicate_of is None
    assert (rows["y"].status, rows["y"].reason) == ("rejected", "near_duplicate")
    assert rows["y"].duplicate_of == "x"


@pytest.mark.parametrize("twist", [0, 1])
def test_the_same_photo_under_two_labels_is_out_with_all_its_copies(twist: int) -> None:
    rows = rows_of(
        finding(1, "x"), finding(1, "x2"), finding(1, "y", "b", twist=twist), *others()
    )  # fmt: skip
    for name, other in (("x", "y"), ("x2", "y"), ("y", "x")):
        assert rows[name].reason == "conflict" and rows[name].duplicate_of == other
        assert "a and b" in (rows[name].detail or "")
    assert all(r.kept for n, r in rows.items() if n.startswith("other"))


def test_rejected_findings_keep_their_reason_and_join_nothing() -> None:
    bad = replace(finding(1, "bad", group="g", split="test"), reason="blank", detail="flat")
    rows = rows_of(bad, finding(1, "good"), *others())
    assert (rows["bad"].reason, rows["bad"].detail) == ("blank", "flat")
    assert rows["bad"].group is None and rows["bad"].split is None and rows["good"].kept


def test_a_sources_groups_stay_together_and_join_with_near_copies() -> None:
    rows = rows_of(
        finding(1, "x", group="g"), finding(2, "y", group="g"), finding(2, "y2", twist=1),
        finding(3, "z", group="h"), *others(),
    )  # fmt: skip
    assert len({rows[n].group for n in ("x", "y", "y2")}) == 1
    assert rows["z"].group not in {rows["x"].group, "h"}
    assert rows["x"].duplicate_of is None  # in a group, but no copy


def test_a_groups_name_does_not_hang_on_names_or_order() -> None:
    first = rows_of(finding(1, "x"), finding(1, "y", twist=1), *others())
    second = rows_of(*others(), finding(1, "b", twist=1), finding(1, "c"))
    assert first["x"].group == second["c"].group


# --- splits -----------------------------------------------------------------------------------


def split(name: str, count: int = 6, first: int = 0) -> list[Finding]:
    return [finding(first + i, f"{name}{i}", split=name) for i in range(count)]


def test_a_persons_split_stands() -> None:
    rows = rows_of(*split("train"), *split("validation", 3, 20), *split("test", 3, 40))
    assert all(path.startswith(row.split or "?") for path, row in rows.items())


def test_what_has_no_split_goes_to_train_where_all_are_given() -> None:
    own = [*split("train"), *split("validation", 3, 20), *split("test", 3, 40)]
    rows = rows_of(*own, *others())
    assert {rows[f"other{i}"].split for i in range(6)} == {"train"}


def test_what_has_no_split_fills_the_missing_ones() -> None:
    rows = rows_of(*split("test", 6, 40), *others(30))
    assert {rows[f"other{i}"].split for i in range(30)} == {"train", "validation"}


def test_a_missing_split_comes_out_of_train_with_a_note() -> None:
    findings = [*split("train", 30), *split("test", 6, 40)]
    rows, notes = decide(findings, PrepareConfig())
    assert {r.split for r in rows[:30]} == {"train", "validation"}
    assert {r.split for r in rows[30:]} == {"test"}
    assert notes == ["the source gave no validation split; it was taken out of its training part"]


def test_a_split_without_train_is_an_error() -> None:
    with pytest.raises(SourceError, match="no train part"):
        decide([*split("validation"), *split("test", 6, 40)], PrepareConfig())


def test_a_leak_of_the_persons_own_split_is_noted_not_repaired() -> None:
    findings = [*split("train"), *split("validation", 3, 20), *split("test", 3, 40),
                finding(0, "copy", twist=1, split="test")]  # fmt: skip
    rows, notes = decide(findings, PrepareConfig())
    assert rows[-1].split == "test" and rows[-1].group == rows[0].group
    assert leaks(rows) == [rows[0].group]
    assert notes == ["the source's own split puts near-copies on two sides: 1 groups leak"]


def test_a_copy_without_a_split_follows_the_one_that_has_it() -> None:
    own = [*split("train"), *split("validation", 3, 20), *split("test", 3, 40)]
    rows = rows_of(*own, finding(41, "copy", twist=1))
    assert rows["copy"].split == "test"


@st.composite
def folders(draw: st.DrawFn) -> list[Finding]:
    """Any mixture of copies, labels and groups, no split given."""
    made = draw(
        st.lists(
            st.tuples(st.integers(0, 8), st.sampled_from([0, 0, 1, 5]), st.sampled_from("ab"),
                      st.sampled_from([None, None, "g", "h"])),
            max_size=24,
        )
    )  # fmt: skip
    return [finding(c, f"{i:02}", label, twist, group=g) for i, (c, twist, label, g)
            in enumerate(made)]  # fmt: skip


@given(folders(), st.booleans(), st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_a_generated_split_never_leaks(findings: list[Finding], drop_near: bool, seed: int) -> None:
    rows, notes = decide(findings, PrepareConfig(drop_near=drop_near, seed=seed))
    assert len(rows) == len(findings) and leaks(rows) == [] and notes == []
    kept = [r for r in rows if r.kept]
    assert all(r.split in SPLITS and r.group and not r.reason for r in kept)
    assert all(r.reason and r.split is None for r in rows if not r.kept)
    assert len({r.sha256 for r in kept}) == len(kept)
    split_of = {f.candidate.path: f for f in findings}
    for one in kept:
        for other in kept:
            f, g = split_of[one.path], split_of[other.path]
            if (f.phash, f.candidate.label) == (g.phash, g.candidate.label):
                assert one.group == other.group


@pytest.mark.parametrize("findings", [[], [finding(1, "x")]])
def test_none_or_one_is_no_trouble(findings: list[Finding]) -> None:
    rows, notes = decide(findings, PrepareConfig())
    assert len(rows) == len(findings) and notes == []
