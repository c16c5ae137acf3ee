"""`--classes`: which name each class gets, and entries that make no sense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.errors import UsageError
from pizzaiolo.prepare.sources.classes import renaming

LABELS = ["Pizza", "calzone", "margherita", "pizza", "sushi"]
CASES = {
    "nothing": ([], {}),
    "rename": (["fish=sushi"], {"sushi": "fish"}),
    "merge": (["pizza=margherita,calzone"], {"margherita": "pizza", "calzone": "pizza"}),
    "merge case": (["pizza=Pizza,pizza"], {"Pizza": "pizza"}),
    "the rest": (
        ["pizza=margherita,calzone", "other=*"],
        {"margherita": "pizza", "calzone": "pizza", "Pizza": "other", "sushi": "other"},
    ),
    "a new name is no rest": (["other=*", "sushi=calzone"],
                              dict.fromkeys(("Pizza", "margherita", "pizza"), "other")
                              | {"calzone": "sushi"}),
    "all": (["x=*"], dict.fromkeys(LABELS, "x")),
    "rest and more": (["x=*,sushi"], dict.fromkeys(LABELS, "x")),
    "swap": (["sushi=pizza", "pizza=sushi"], {"sushi": "pizza", "pizza": "sushi"}),
    "spaces": ([" new one = sushi , calzone "], {"sushi": "new one", "calzone": "new one"}),
    "itself": (["sushi=sushi"], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_class_gets_its_name(name: str) -> None:
    entries, changed = CASES[name]
    assert renaming(entries, LABELS) == {label: label for label in LABELS} | changed


@pytest.mark.parametrize(
    ("entry", "label", "new"),
    [('x="a, b"', "a, b", "x"), ("x=a=b", "a=b", "x"), ("🍕=new\u2028line", "new\u2028line", "🍕"),
     ("x=caf\u00e9", "cafe\u0301", "x"), ("x=cafe\u0301", "caf\u00e9", "x"),
     ('x=5" pan', '5" pan', "x"), ('x="two\nlines"', "two\nlines", "x"),
     ("x=\u202eabc", "\u202eabc", "x")],
)  # fmt: skip
def test_names_of_any_kind_can_be_given(entry: str, label: str, new: str) -> None:
    assert renaming([entry], [label, "b"]) == {label: new, "b": "b"}


MALFORMED = ["", "pizza", "=", "pizza=", "=pizza", "pizza=,", "pizza=sushi,", "pizza= ,sushi",
             "*=pizza", 'x="sushi', "two\nlines", "x=two\nlines"]  # fmt: skip


@pytest.mark.parametrize("entry", MALFORMED)
def test_an_entry_that_makes_no_sense_is_refused_with_an_example(entry: str) -> None:
    with pytest.raises(UsageError, match="expected NEW=OLD,OLD") as caught:
        renaming([entry], LABELS)
    assert "pizza=margherita,calzone" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "entries",
    [["x=sushi,sushi"], ["x=sushi", "y=sushi"], ["x=*,*"], ["x=*", "y=*"], ["x=sushi", "x=pizza"]],
)
def test_a_class_that_is_named_twice_is_refused(entries: list[str]) -> None:
    with pytest.raises(UsageError, match="twice") as caught:
        renaming(entries, LABELS)
    assert caught.value.hint


def test_a_class_that_no_source_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="'margarita', which no source has") as caught:
        renaming(["pizza=margarita"], LABELS)
    assert "'margherita'" in (caught.value.hint or "")


NAMES = st.text("abcdé *🍕", min_size=1, max_size=3).map(str.strip).filter(
    lambda name: name and name != "*"
)  # fmt: skip


@given(st.sets(NAMES, min_size=1), st.data())
def test_every_class_has_one_name_and_the_star_leaves_none_over(
    labels: set[str], data: st.DataObject
) -> None:
    named = data.draw(st.lists(st.sampled_from(sorted(labels)), unique=True, min_size=1))
    plain = renaming([f"new={','.join(named)}"], labels)
    assert plain == {label: "new" if label in named else label for label in labels}
    whole = renaming([f"new={','.join(named)}", "rest=*"], labels)
    assert set(whole) == labels and set(whole.values()) <= {"new", "rest"}
