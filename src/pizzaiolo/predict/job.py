"""A job of the `predict` command: pictures stream in, answers go to all that want them.

What a plain question needs no part of is imported where it is asked for: the first answer is quick.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..console import note, progress, results
from ..errors import MissingExtraError, UsageError
from .answer import Answer
from .people import UNREADABLE
from .predictor import Predictor
from .rows import STDOUT, check_suffix, csv_rows
from .sources import STDIN, expand, lines_of, listed

if TYPE_CHECKING:
    from .order import Sorter
    from .parquet import Facts, ParquetRows
    from .place import Copier
    from .sources import Place
    from .where import Condition

    Answering = Callable[[Iterator[Place | None]], Iterator[Answer]]

TOLD_EVERY = 30.0  # seconds, where no terminal shows the progress
Take = Callable[[Answer], None]


@dataclass(frozen=True)
class Job:
    """What is wanted of the answers; `csv` is a file or `-`.

    `order` and `where` shape what is shown, the CSV and the copies; the Parquet has every answer.
    """

    inputs: Sequence[str]
    csv: str | None = None
    parquet: Path | None = None
    resume: bool = False
    order: str | None = None
    where: str | None = None
    copy_to: Path | None = None

    def check(self) -> None:
        """Raise `UsageError` for what can't be asked together or can't be written."""
        if self.order is not None:
            from .order import check_order

            check_order(self.order)
        if self.csv is not None and self.csv != STDOUT:
            check_suffix("--csv", self.csv, ".csv")
        if self.parquet is not None:
            check_suffix("--parquet", self.parquet, ".parquet")
            _check_pyarrow()
        elif self.resume:
            raise UsageError("--resume goes on with a Parquet file", hint="add --parquet FILE")
        if self.copy_to is not None:
            from .place import check_folder

            check_folder(self.copy_to, self.inputs)


@dataclass
class Totals:
    """What a job did: answers by verdict, unreadable ones, those that were known, what it wrote."""

    verdicts: Counter[str] = field(default_factory=Counter)
    chosen: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    written: list[str] = field(default_factory=list)

    @property
    def pictures(self) -> int:
        """How many were answered or could not be read."""
        return self.verdicts.total()

    @property
    def rate(self) -> str:
        """Pictures a second, for people."""
        return f"{self.pictures / max(self.seconds, 1e-9):,.0f} pictures a second"


def _check_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtraError(
            "--parquet needs the package 'pyarrow', which is not installed",
            hint="pip install pyarrow, or write --csv FILE",
        ) from None


def run_job(
    predictor: Predictor,
    job: Job,
    show: Take | None,
    stdin: BinaryIO | None = None,
    answering: Answering | None = None,
) -> Totals:
    """Answer all pictures; `show` gets the chosen answers in the order that was asked for.

    `answering` gives the answers in the place of the predictor, one for each picture in its order.
    A picture that can't be read never stops the others. Raises `InputError` for inputs without
    pictures, and `UsageError` for a wrong condition.
    """
    return _Run(predictor, job, show, stdin, answering or predictor.predict_many).run()


class _Run:
    def __init__(
        self,
        predictor: Predictor,
        job: Job,
        show: Take | None,
        stdin: BinaryIO | None,
        answering: Answering,
    ) -> None:
        self.predictor, self.job, self.show, self.stdin = predictor, job, show, stdin
        self.answering = answering
        self.labels = predictor.labels
        self.where: Condition = lambda _: True
        if job.where is not None:
            from .where import compile_where

            self.where = compile_where(job.where, self.labels)
        self.totals = Totals()
        self.facts: deque[Facts] = deque()
        self.parquet: ParquetRows | None = None
        self.rows = 0  # of the Parquet file

    def run(self) -> Totals:
        job, began = self.job, time.monotonic()
        total = self._expected()
        self.parquet = self._parquet()
        with ExitStack() as stack:
            stack.push(self._end_parquet)
            takers = [self.show] if self.show else []
            if job.csv is not None:
                takers.append(stack.enter_context(csv_rows(job.csv, self.labels)).add)
            copier, sorter = self._copier(), self._sorter()
            at_once: list[Take] = [sorter.add] if sorter else takers
            self._answer([copier.add, *at_once] if copier else at_once, total)
            for answer in sorter.answers() if sorter else ():
                for take in takers:
                    take(answer)
        self.totals.seconds = time.monotonic() - began
        self._tell_written(copier)
        return self.totals

    def _copier(self) -> Copier | None:
        if self.job.copy_to is None:
            return None
        from .place import Copier

        return Copier(self.job.copy_to, self.labels)

    def _sorter(self) -> Sorter | None:
        if self.job.order is None:
            return None
        from .order import Sorter

        return Sorter(self.job.order)

    def _answer(self, takers: Sequence[Take], total: int | None) -> None:
        with self._progress(total) as advance:
            for answer in self.answering(self._pictures()):
                self._count(answer)
                if self.where(answer):
                    self.totals.chosen += 1
                    for take in takers:
                        take(answer)
                if self.parquet is not None:
                    self.parquet.add(answer, self.facts.popleft())
                advance()

    def _count(self, answer: Answer) -> None:
        self.totals.failed += answer.error is not None
        self.totals.verdicts[answer.verdict or UNREADABLE] += 1

    def _pictures(self) -> Iterator[Place | None]:
        """The pictures that are not answered yet."""
        for path in self._paths():
            if path is not None and self.parquet is not None:
                facts = self.parquet.unanswered(path)
                if facts is None:
                    self.totals.skipped += 1
                    continue
                self.facts.append(facts)
            yield path

    def _paths(self) -> Iterator[Place | None]:
        parts = (
            listed(lines_of(self.stdin), self.job.copy_to)
            if text == STDIN and self.stdin is not None
            else expand([text], self.job.copy_to)
            for text in self.job.inputs
        )
        return chain.from_iterable(parts)

    def _expected(self) -> int | None:
        """How many pictures there are, where somebody looks and they can be counted.

        Raises `InputError` for an input without pictures, before anything is answered.
        """
        named = [text for text in self.job.inputs if text != STDIN]
        if not sys.stderr.isatty():
            for text in named:
                next(expand([text], self.job.copy_to))
            return None
        count = sum(1 for _ in expand(named, self.job.copy_to))
        return count if len(named) == len(self.job.inputs) else None

    def _parquet(self) -> ParquetRows | None:
        if self.job.parquet is None or self.predictor.path is None:
            return None
        from .parquet import ParquetRows, fingerprint

        model = fingerprint(self.predictor.path)
        return ParquetRows(self.job.parquet, self.labels, model, self.job.resume)

    def _end_parquet(self, *fault: object) -> None:
        """The last step: the file is whole, or its parts are left to the next job."""
        if self.parquet is None:
            return
        if fault[0] is None:
            self.rows = self.parquet.finish()
        elif kept := self.parquet.stop():
            note(f"{kept:,} answers are kept; the same command with --resume goes on")

    @contextmanager
    def _progress(self, total: int | None) -> Iterator[Callable[[], None]]:
        """A bar where lines don't run over the terminal; in a log, a line now and then."""
        began = told = time.monotonic()
        lines_run = (self.show or self.job.csv == STDOUT) and results().isatty()
        with nullcontext() if lines_run else progress("predicting", total) as advance:

            def step() -> None:
                nonlocal told
                now = time.monotonic()
                self.totals.seconds = now - began
                if advance:
                    advance(figures=self.totals.rate, total=self._left(total))
                if now - told > TOLD_EVERY and not sys.stderr.isatty():
                    told = now
                    note(f"{self.totals.pictures:,} pictures, {self.totals.rate}")

            yield step

    def _left(self, total: int | None) -> int | None:
        return None if total is None else total - self.totals.skipped

    def _tell_written(self, copier: Copier | None) -> None:
        written = self.totals.written
        if self.job.csv not in (None, STDOUT):
            written.append(f"{self.totals.chosen:,} rows in {self.job.csv}")
        if self.parquet is not None:
            written.append(f"{self.rows:,} rows in {self.job.parquet}")
        if copier is not None:
            written.append(copier.told)
