"""Answers in another order: kept in a temporary file, so that memory stays flat."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields

from ..console import note
from ..errors import UsageError, nearest
from .answer import Answer

ORDERS = {  # what is looked at first stands first; what has no value, last
    "confidence": "number IS NULL, number DESC",
    "novelty": "number IS NULL, number DESC",
    "verdict": "word IS NULL, word, number DESC",
    "path": "word",
}
MANY = 100_000


def check_order(name: str) -> None:
    """Raise `UsageError` for an order that is not known."""
    if name not in ORDERS:
        raise UsageError(f"--sort is {name!r}, expected an order", hint=nearest(name, ORDERS))


class Sorter:
    """Takes answers one by one, gives them sorted."""

    def __init__(self, order: str) -> None:
        self.order, self.count = order, 0
        self.database = sqlite3.connect("")  # a file of SQLite's own, gone with the connection
        self.database.execute("CREATE TABLE answers (number REAL, word BLOB, value TEXT)")

    def add(self, answer: Answer) -> None:
        """Keep an answer."""
        self.count += 1
        if self.count == MANY:
            note(f"--sort {self.order} has to wait for the last picture; {MANY:,} wait on disk")
        number = answer.novelty if self.order == "novelty" else answer.confidence
        word = answer.path if self.order == "path" else answer.verdict
        key = None if word is None else os.fsencode(word)
        row = (number, key, json.dumps(answer.to_json()))
        self.database.execute("INSERT INTO answers VALUES (?, ?, ?)", row)

    def answers(self) -> Iterator[Answer]:
        """The answers in their order; equal ones as they came."""
        names = [field.name for field in fields(Answer)]
        with closing(self.database):
            query = f"SELECT value FROM answers ORDER BY {ORDERS[self.order]}, rowid"
            for (value,) in self.database.execute(query):
                told = json.loads(value)
                yield Answer(**{name: told[name] for name in names})
