"""The language of --where: what it finds, and one clear error for what it can't mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.core.labels import Labels
from pizzaiolo.errors import UsageError
from pizzaiolo.predict import Answer
from pizzaiolo.predict.where import compile_where

LABELS = Labels(("not_pizza", "pizza"), "pizza")
ANSWERS = {
    "sure": Answer("a/sure.jpg", "pizza", 0.9, "Pizza", {"not_pizza": 0.1, "pizza": 0.9}, 0.4),
    "unsure": Answer(
        "b/it's.jpg", "pizza", 0.6, "Not sure", {"not_pizza": 0.4, "pizza": 0.6}, 1.2,
        "unlike training",
    ),
    "other": Answer("b/x.png", "not_pizza", 0.8, "Not pizza", {"not_pizza": 0.8, "pizza": 0.2}),
    "bad": Answer("b/bad.jpg", error={"code": "unreadable", "message": "cut"}),
}  # fmt: skip


def found(text: str) -> set[str]:
    condition = compile_where(text, LABELS)
    return {name for name, answer in ANSWERS.items() if condition(answer)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('verdict=="Not sure"', "unsure"),
        ("verdict != 'Not sure'", "sure other bad"),
        ("confidence < 0.85", "unsure other"),
        ("0.7 < confidence <= 0.8", "other"),
        ("not confidence < 0.85", "sure bad"),
        ("novelty > 1 or p['pizza'] >= 0.9", "sure unsure"),
        ("probabilities['not_pizza'] == 0.8", "other"),
        ("novelty == None", "other bad"),
        ("novelty is not None and label == 'pizza'", "sure unsure"),
        ("error == 'unreadable'", "bad"),
        ("error != None", "bad"),
        ("'b/' in path and label in ('pizza', 'not_pizza')", "unsure other"),
        ("label not in ['pizza']", "other bad"),
        ("reason == 'unlike training'", "unsure"),
        ("'unlike' in reason", "unsure"),
        ('path == "b/it\'s.jpg"', "unsure"),
        ("confidence > -1", "sure unsure other"),
        (" (verdict == 'Pizza')\n", "sure"),
    ],
)
def test_it_finds(text: str, names: str) -> None:
    assert found(text) == set(names.split())


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("", "can't be read", "for example"),
        ("confidence <", "invalid syntax", "for example"),
        ("verdict = 'Pizza'", "compared by ==", "for example"),
        ("confidense < 1", "no field 'confidense'", "'confidence'"),
        ("label == pizza", "no field 'pizza'", 'in quotes: "pizza"'),
        ("verdict == 'Not Sure'", "'Not Sure' is none", "'Not sure'"),
        ("'Piza' == verdict", "'Piza' is none", "'Pizza'"),
        ("label in ('piza',)", "'piza' is none", "'pizza'"),
        ("p['piza'] > 0.5", "no class 'piza'", "'pizza'"),
        ("path['pizza'] == 1", "'path' has no parts", "p"),
        ("confidence", "it is a number", "for example"),
        ("confidence and novelty", "'confidence' is a number", "for example"),
        ("not path", "'path' is a text", "for example"),
        ("confidence > 'high'", "a number can't be compared with a text", "for example"),
        ("path < None", "can't be compared", "for example"),
        ("confidence in ('a',)", "can't be compared", "for example"),
        ("confidence in path", "a number is never in a text", "for example"),
        ("label in (path, 'a')", "only texts and numbers", "for example"),
        ("True", "neither a text nor a number", "for example"),
        ("confidence > 1j", "neither a text nor a number", "for example"),
        ("__import__('os').system('true')", "not part of the language", "for example"),
        ("(lambda: 1)() == 1", "not part of the language", "for example"),
        ("path.__class__ == 'x'", "not part of the language", "for example"),
        ("confidence ** 9 ** 9 ** 9 > 1", "not part of the language", "for example"),
        ("[x for x in path] == path", "not part of the language", "for example"),
        ("confidence > 1; path", "invalid syntax", "for example"),
        ("path == '\0'", "can't be read", "for example"),
        ("(" * 900 + ")" * 900, "can't be read", "for example"),
        ("not " * 490 + "path", "can't be read", "for example"),
        ("confidence > " + "1" * 3000, "characters", "for example"),
    ],
)
def test_what_it_can_t_mean_is_one_clear_error(text: str, words: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        compile_where(text, LABELS)
    assert words in caught.value.message and hint in (caught.value.hint or "")


@given(st.text(max_size=40))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    try:
        condition = compile_where(text, LABELS)
    except UsageError:
        return
    assert all(condition(answer) in (True, False) for answer in ANSWERS.values())
