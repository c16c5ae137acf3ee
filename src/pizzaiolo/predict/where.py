"""A small language over an answer's fields: comparisons, and, or, not, in. Nothing is executed.

    verdict == "Not sure" and confidence < 0.6
    novelty > 1 or p["pizza"] > 0.99
    error != None

The text is parsed with `ast`, and only the nodes below are known; all others are errors.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.labels import CLOSE, NOT_SURE, UNLIKE, Labels, human
from ..errors import UsageError, nearest
from .answer import Answer

Condition = Callable[[Answer], bool]
TEXT, NUMBER, YES_NO, NOTHING, LIST = "a text", "a number", "yes or no", "None", "a list"
FIELDS = {
    "path": TEXT, "label": TEXT, "verdict": TEXT, "reason": TEXT, "error": TEXT,
    "confidence": NUMBER, "novelty": NUMBER,
}  # fmt: skip
CLASSES = ("p", "probabilities")
MAX_LENGTH = 2000
EXAMPLE = """for example --where 'verdict == "Not sure" and confidence < 0.6'"""
_ORDER = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
_SAME = {ast.Eq: operator.eq, ast.Is: operator.eq, ast.NotEq: operator.ne, ast.IsNot: operator.ne}


@dataclass(frozen=True)
class _Part:
    """A piece of the expression: what kind of value it has, and how an answer gives it."""

    kind: str
    value: Callable[[Answer], Any]
    constant: Any = None
    known: tuple[str, ...] = ()  # texts that the field can hold


def compile_where(text: str, labels: Labels) -> Condition:
    """The condition that the text asks for, of answers by a model with these labels.

    Raises `UsageError` for what is no condition, and for names and texts that no answer can have.

    Example:
        >>> unsure = compile_where('verdict == "Not sure"', model.labels)   # doctest: +SKIP
        >>> [a.path for a in model.predict_many(files) if unsure(a)]        # doctest: +SKIP
    """
    try:
        part = _Reader(text, labels).read(_parsed(text))
    except RecursionError:
        raise _wrong("it is nested too deep", text) from None
    if part.kind != YES_NO:
        raise _wrong(f"it is {part.kind}, expected a comparison", text)
    return part.value


def _parsed(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise _wrong(f"it has {len(text):,} characters, at most {MAX_LENGTH:,} are read", text[:40])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes and comparisons
            return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        if "==" not in text and "=" in text:
            raise _wrong("two values are compared by ==", text) from None
        raise _wrong(error.msg, text) from None
    except (ValueError, MemoryError) as error:
        raise _wrong(str(error) or "it is nested too deep", text) from None


def _wrong(why: str, text: str, hint: str = EXAMPLE) -> UsageError:
    return UsageError(f"--where {text!r} can't be read: {why}", hint=hint)


class _Reader:
    def __init__(self, text: str, labels: Labels) -> None:
        self.text, self.names = text, labels.names
        self.known = {
            "label": labels.names,
            "verdict": (*map(human, labels.names), NOT_SURE),
            "reason": (CLOSE, UNLIKE),
        }

    def read(self, node: ast.expr) -> _Part:
        match node:
            case ast.BoolOp():
                return self._joined(node)
            case ast.UnaryOp(op=ast.Not()):
                asked = self._condition(node.operand)
                return _Part(YES_NO, lambda answer: not asked(answer))
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return self._constant(-number)
            case ast.Compare():
                return self._compared(node)
            case ast.Name():
                return self._field(node.id)
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str() as label)):
                return self._probability(name, label)
            case ast.Constant():
                return self._constant(node.value)
            case ast.Tuple() | ast.List() | ast.Set():
                return self._list(node.elts)
        what = ast.unparse(node)
        raise _wrong(f"{what!r} is not part of the language", self.text)

    def _joined(self, node: ast.BoolOp) -> _Part:
        parts = [self._condition(value) for value in node.values]
        every = all if isinstance(node.op, ast.And) else any
        return _Part(YES_NO, lambda answer: every(part(answer) for part in parts))

    def _condition(self, node: ast.expr) -> Condition:
        part = self.read(node)
        if part.kind != YES_NO:
            what = ast.unparse(node)
            raise _wrong(f"{what!r} is {part.kind}, expected a comparison", self.text)
        return part.value

    def _field(self, name: str) -> _Part:
        if name == "error":
            return _Part(TEXT, lambda answer: answer.error and answer.error["code"])
        if name not in FIELDS:
            hint = nearest(name, [*FIELDS, CLASSES[0]])
            if name in (*self.names, *self.known["verdict"]):
                hint = f'a text stands in quotes: "{name}"'
            raise _wrong(f"there is no field {name!r}", self.text, hint)
        return _Part(FIELDS[name], operator.attrgetter(name), known=self.known.get(name, ()))

    def _probability(self, name: str, label: str) -> _Part:
        if name not in CLASSES:
            hint = nearest(name, CLASSES)
            raise _wrong(f"{name!r} has no parts, expected p[CLASS]", self.text, hint)
        if label not in self.names:
            raise _wrong(
                f"the model knows no class {label!r}", self.text, nearest(label, self.names)
            )
        return _Part(NUMBER, lambda answer: answer.probabilities and answer.probabilities[label])

    def _constant(self, value: object) -> _Part:
        kinds = {str: TEXT, int: NUMBER, float: NUMBER, type(None): NOTHING}
        if type(value) not in kinds:
            raise _wrong(f"{value!r} is neither a text nor a number", self.text)
        return _Part(kinds[type(value)], lambda _: value, constant=value)

    def _list(self, nodes: Sequence[ast.expr]) -> _Part:
        parts = [self.read(node) for node in nodes]
        if any(part.kind not in (TEXT, NUMBER) or part.constant is None for part in parts):
            raise _wrong("a list holds only texts and numbers", self.text)
        values = [part.constant for part in parts]
        return _Part(LIST, lambda _: values, constant=values)

    def _compared(self, node: ast.Compare) -> _Part:
        parts = [self.read(item) for item in (node.left, *node.comparators)]
        links = zip(parts, node.ops, parts[1:], strict=False)
        tests = [self._link(left, op, right) for left, op, right in links]
        return _Part(YES_NO, lambda answer: all(test(answer) for test in tests))

    def _link(self, left: _Part, op: ast.cmpop, right: _Part) -> Condition:
        a, b = left.value, right.value
        self._check_texts(left, right)
        if isinstance(op, ast.In | ast.NotIn):
            self._check_in(left, right)
            wanted = isinstance(op, ast.In)
            return lambda answer: (a(answer) in (b(answer) or ())) is wanted
        self._check_texts(right, left)
        if type(op) in _SAME:
            compare = _SAME[type(op)]
            self._check_kinds(left, right, {NOTHING})
            return lambda answer: bool(compare(a(answer), b(answer)))
        self._check_kinds(left, right, set())
        ordered = _ORDER[type(op)]
        return lambda answer: _both(ordered, a(answer), b(answer))

    def _check_in(self, left: _Part, right: _Part) -> None:
        if right.kind == LIST:
            for value in right.constant:
                self._check_kinds(left, self._constant(value), set())
        elif (left.kind, right.kind) != (TEXT, TEXT):
            raise _wrong(f"{left.kind} is never in {right.kind}", self.text)

    def _check_kinds(self, left: _Part, right: _Part, also: set[str]) -> None:
        kinds = {left.kind, right.kind} - also
        if len(kinds) > 1 or not kinds <= {TEXT, NUMBER}:
            raise _wrong(f"{left.kind} can't be compared with {right.kind}", self.text)

    def _check_texts(self, field: _Part, other: _Part) -> None:
        """A misspelled verdict would only find nothing: it is an error."""
        for value in other.constant if other.kind == LIST else [other.constant]:
            if field.known and isinstance(value, str) and value not in field.known:
                hint = nearest(value, field.known)
                raise _wrong(f"{value!r} is none of the model's answers", self.text, hint)


def _both(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    """What has no value, as the novelty of an unread picture, is neither more nor less."""
    return left is not None and right is not None and bool(compare(left, right))
