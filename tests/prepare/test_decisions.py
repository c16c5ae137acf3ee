"""A person's decisions: the file, and what they do to pictures before anything is judged."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import Row, fingerprint
from pizzaiolo.errors import InputError, UsageError
from pizzaiolo.prepare.candidate import Candidate
from pizzaiolo.prepare.decide import Help, decide
from pizzaiolo.prepare.decisions import (
    Decision,
    decisions_text,
    parse_decisions,
    read_decisions,
    reviewed,
    source_labels,
    write_decisions,
)
from pizzaiolo.prepare.inspect import Finding, judged
from pizzaiolo.prepare.placement import leaks
from pizzaiolo.prepare.pool import inspect_all
from pizzaiolo.prepare.sight import CopiesOnDisk
from pizzaiolo.prepare.table import Seen

HEADER = "path,label,sha256,decision,new_label\r\n"
HOSTILE = [
    'a "b", c.jpg',
    "line\nbreak\r.jpg",
    "\u202egpj.\u202c pizza \U0001f355.jpg",
    "</script>",
]

# --- the file -----------------------------------------------------------------------------------

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
decisions = st.lists(
    st.builds(
        Decision, st.one_of(text, st.sampled_from(HOSTILE)), text, st.sampled_from(["", "0a" * 32]),
        st.just("relabel"), text,
    ) | st.builds(Decision, text, text, st.just("ff" * 32), st.sampled_from(["keep", "drop"])),
    unique_by=lambda d: (d.path, d.label),
)  # fmt: skip


@given(decisions)
def test_what_is_written_is_read_back(made: list[Decision]) -> None:
    assert parse_decisions(decisions_text(made)) == made


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_is_read_with_and_without_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    made = [Decision(name, "pizza", "aa", "drop") for name in HOSTILE]
    (tmp_path / "d.csv").write_bytes(decisions_text(made).encode(encoding))
    assert read_decisions(tmp_path / "d.csv") == made
    write_decisions(tmp_path / "d.csv", made[:1])
    assert read_decisions(str(tmp_path / "d.csv")) == made[:1]


def test_the_last_line_for_a_picture_counts() -> None:
    lines = "x,a,,keep,\r\ny,a,,drop,\r\nx,a,,Drop ,\r\nx,b,,keep,\r\n"
    found = {(d.path, d.label): d.decision for d in parse_decisions(HEADER + lines)}
    assert found == {("x", "a"): "drop", ("y", "a"): "drop", ("x", "b"): "keep"}


@pytest.mark.parametrize(
    ("content", "words", "hint"),
    [
        (HEADER + "x,a,,keep,\r\ny,a,,kep,\r\n", "row 2 has the decision 'kep'", "'keep'"),
        (HEADER + "x,a,,relabel,\r\n", "row 1 has an empty 'new_label'", "needs one"),
        (HEADER + ",a,,keep,\r\n", "row 1 has an empty 'path'", "needs one"),
        (HEADER + "x,a,,keep\r\n", "row 1 has fewer cells", "quotes"),
        (HEADER + "x,y,a,,keep,\r\n", "row 1 has more cells", "quotes"),
        (HEADER + '"x,a,,keep,\r\n', "can't be read", None),
        ("path,label,decision,new_label\r\n", "no column 'sha256'", "path, label, decision"),
        (HEADER.replace("\r", ",why\r"), "unknown column 'why'", "choose one of"),
        ("", "no column 'path'", "columns found: none"),
        ("\ud800", "can't be read", "UTF-8"),
    ],
)
def test_a_fault_is_told_with_its_row(
    tmp_path: Path, content: str, words: str, hint: str | None
) -> None:
    (tmp_path / "d.csv").write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(InputError, match=r"d\.csv") as caught:
        read_decisions(tmp_path / "d.csv")
    assert words in caught.value.message and (hint or "") in (caught.value.hint or "")


def test_a_missing_file_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no .*nowhere\.csv") as caught:
        read_decisions(tmp_path / "nowhere.csv")
    assert "--review" in (caught.value.hint or "")


# --- what they do -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def findings(
    make_folder: Callable[..., Path],
    draw: Callable[..., Image.Image],
    alone: PrepareConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Finding]:
    """Looks at two classes of eight pictures and one of everything that can be wrong."""
    folder = tmp_path_factory.mktemp("decisions")
    source = make_folder(folder / "s")
    shutil.copy(source / "a/0.png", source / "a/copy of 0.png")
    draw(1).resize((160, 128)).save(source / "a/near 1.jpg", quality=80)
    for name in ("a/argued.png", "b/argued.png", "b/argued too.png"):
        draw(50).save(source / name, compress_level=1 + len(name) % 3)
    Image.new("RGB", (64, 64), "grey").save(source / "a/blank.png")
    (source / "a/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    files = sorted(file for file in source.rglob("*") if file.is_file())
    candidates = [Candidate(f, f.relative_to(source).as_posix(), f.parent.name) for f in files]
    return [judged(look, alone) for look in inspect_all(candidates, folder / "staging", alone)]


def on(findings: list[Finding], path: str, decision: str, new_label: str = "") -> Decision:
    """A decision on what lies at the path now."""
    found = next(f for f in findings if f.candidate.path == path)
    return Decision(path, found.candidate.label, found.sha256 or "", decision, new_label)


def outcome(
    findings: list[Finding], *made: Decision, **settings: Any
) -> tuple[dict[str, Row], list[str]]:
    config = PrepareConfig(**settings, features=False)
    staging = findings[0].candidate.file.parents[2] / "staging"
    rows, notes = decide(
        Seen(findings, config), config, Help(made, sight=CopiesOnDisk(staging, config))
    )
    assert leaks(rows) == []
    return {row.path: row for row in rows}, notes


def test_without_decisions_all_is_as_found(findings: list[Finding]) -> None:
    rows, notes = outcome(findings)
    assert {p: r.reason for p, r in rows.items() if not r.kept} == {
        "a/copy of 0.png": "exact_duplicate", "a/blank.png": "blank", "a/broken.jpg": "unreadable",
        "a/argued.png": "conflict", "b/argued.png": "conflict", "b/argued too.png": "conflict",
    }  # fmt: skip
    assert notes == []


def test_a_dropped_picture_is_out_and_no_copy_takes_its_place(findings: list[Finding]) -> None:
    rows, notes = outcome(
        findings, on(findings, "a/0.png", "drop"), on(findings, "b/3.png", "drop")
    )
    for path in ("a/0.png", "a/copy of 0.png", "b/3.png"):
        assert (rows[path].status, rows[path].reason) == ("rejected", "dropped")
        assert rows[path].detail == "a person's decision"
        assert rows[path].split is None and rows[path].group is None
    assert notes == []


def test_a_dropped_side_settles_a_conflict(findings: list[Finding]) -> None:
    rows, _ = outcome(findings, on(findings, "a/argued.png", "drop"))
    assert rows["a/argued.png"].reason == "dropped"
    assert rows["b/argued.png"].kept or rows["b/argued too.png"].kept
    assert "conflict" not in {r.reason for r in rows.values()}


def test_a_relabelled_picture_takes_its_copies_along(findings: list[Finding]) -> None:
    """Else the copy that is left would make a conflict of what a person has decided."""
    rows, notes = outcome(findings, on(findings, "a/0.png", "relabel", "b"))
    assert rows["a/0.png"].kept and rows["a/0.png"].label == "b"
    assert rows["a/copy of 0.png"].reason == "exact_duplicate" and notes == []


@pytest.mark.parametrize(("decision", "new_label"), [("keep", ""), ("relabel", "b")])
def test_a_decided_label_settles_a_conflict(
    findings: list[Finding], decision: str, new_label: str
) -> None:
    rows, notes = outcome(findings, on(findings, "a/argued.png", decision, new_label))
    assert rows["a/argued.png"].kept and rows["a/argued.png"].label == (new_label or "a")
    others = [rows["b/argued.png"].reason, rows["b/argued too.png"].reason]
    assert others == (["exact_duplicate", None] if new_label else ["conflict", "conflict"])
    assert notes == []


def test_two_right_labels_of_the_same_bytes_stay_a_conflict(findings: list[Finding]) -> None:
    shas = {f.sha256 for f in findings if f.candidate.path in ("a/argued.png", "b/argued.png")}
    assert len(shas) == 1
    rows, notes = outcome(
        findings, on(findings, "a/argued.png", "keep"), on(findings, "b/argued.png", "keep")
    )
    assert rows["a/argued.png"].reason == rows["b/argued.png"].reason == "conflict"
    assert notes == ["2 of the pictures to keep can't be kept: 2 conflict"]


def test_a_blank_picture_stays_if_a_person_says_so(findings: list[Finding]) -> None:
    rows, notes = outcome(findings, on(findings, "a/blank.png", "keep"))
    assert rows["a/blank.png"].kept and rows["a/blank.png"].split and notes == []


def test_a_near_copy_stays_with_its_original_under_drop_near(findings: list[Finding]) -> None:
    rows, _ = outcome(findings, drop_near=True)
    assert rows["a/near 1.jpg"].reason == "near_duplicate"
    rows, notes = outcome(findings, on(findings, "a/near 1.jpg", "keep"), drop_near=True)
    assert rows["a/near 1.jpg"].kept and rows["a/1.png"].kept and notes == []
    assert rows["a/near 1.jpg"].group == rows["a/1.png"].group


def test_what_can_not_be_kept_is_told(findings: list[Finding]) -> None:
    made = [on(findings, path, "keep") for path in ("a/broken.jpg", "a/copy of 0.png", "a/2.png")]
    rows, notes = outcome(findings, *made)
    assert rows["a/broken.jpg"].reason == "unreadable" and rows["a/2.png"].kept
    assert notes == ["2 of the pictures to keep can't be kept: 1 exact_duplicate, 1 unreadable"]


def test_stale_decisions_are_counted_and_not_applied(findings: list[Finding]) -> None:
    made = [replace(on(findings, "a/2.png", "drop"), sha256="00" * 32),
            replace(on(findings, "a/3.png", "drop"), path="a/gone.png"),
            replace(on(findings, "a/4.png", "drop"), label="b")]  # fmt: skip
    rows, notes = outcome(findings, *made)
    assert all(rows[f"a/{i}.png"].kept for i in (2, 3, 4))
    assert notes == ["3 decisions are about files that are not there or have changed: not applied"]
    _, notes = outcome(findings, made[0])
    assert notes == ["1 decision is about files that are not there or have changed: not applied"]


def test_a_decision_without_a_hash_goes_for_any_content(findings: list[Finding]) -> None:
    rows, notes = outcome(findings, Decision("a/2.png", "a", "", "drop"))
    assert rows["a/2.png"].reason == "dropped" and notes == []


def test_a_new_label_that_is_no_class_is_an_error(findings: list[Finding]) -> None:
    with pytest.raises(UsageError, match="new label 'B', which is no class") as caught:
        outcome(findings, on(findings, "a/2.png", "relabel", "B"))
    assert "'a'" in f"{caught.value.hint}" or "a, b" in f"{caught.value.hint}"


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_decisions_hold_whatever_they_are(findings: list[Finding], data: st.DataObject) -> None:
    some = data.draw(st.lists(st.sampled_from([f.candidate.path for f in findings]), unique=True))
    kinds = [data.draw(st.sampled_from(["keep", "drop", "relabel"])) for _ in some]
    made = [
        on(findings, p, k, "b" if k == "relabel" else "") for p, k in zip(some, kinds, strict=True)
    ]
    rows, _ = outcome(findings, *made, drop_near=data.draw(st.booleans()))
    again, _ = outcome(findings, *reversed(made), drop_near=False)
    kept = [row for row in rows.values() if row.kept]
    assert len({row.sha256 for row in kept}) == len(kept)
    for decision in made:
        row = rows[decision.path]
        assert decision.decision != "drop" or not row.kept
        assert decision.decision != "relabel" or row.label == "b"
    assert fingerprint(again.values()) == fingerprint(outcome(findings, *made)[0].values())


# --- what is known of them afterwards -----------------------------------------------------------


def test_a_confirmed_label_is_not_flagged_again(findings: list[Finding]) -> None:
    """Pain: a tool that forgets what a person decided and asks again."""
    made = [
        on(findings, "a/1.png", "keep"),
        on(findings, "a/2.png", "relabel", "b"),
        on(findings, "a/3.png", "drop"),
        replace(on(findings, "a/4.png", "keep"), sha256="00" * 32),
        Decision("a/5.png", "a", "", "keep"),
    ]
    rows, _ = outcome(findings, *made)
    assert reviewed(rows.values(), made) == {("a/1.png", "a"), ("a/2.png", "b"), ("a/5.png", "a")}


def test_a_confirmed_picture_may_move(findings: list[Finding]) -> None:
    made = [replace(on(findings, "a/1.png", "keep"), path="elsewhere/1.png")]
    rows, _ = outcome(findings, *made)
    assert reviewed(rows.values(), made) == {("a/1.png", "a")}


def test_the_sources_label_is_known_after_a_relabelling(findings: list[Finding]) -> None:
    made = [on(findings, "a/2.png", "relabel", "b"), on(findings, "a/3.png", "keep"),
            replace(on(findings, "b/1.png", "relabel", "a"), sha256="00" * 32)]  # fmt: skip
    rows, _ = decide(Seen(findings, PrepareConfig()), PrepareConfig(), Help(decisions=made))
    assert source_labels(rows, made) == [f.candidate.label for f in findings]
