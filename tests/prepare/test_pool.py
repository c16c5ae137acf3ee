"""Worker processes: a crash is one row, an interrupt ends them all, a script needs no guard."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.config import PrepareConfig
from pizzaiolo.prepare import pool
from pizzaiolo.prepare.candidate import Candidate

SCRIPT = """
import os, signal, sys
from pizzaiolo.prepare import pool

look = pool.inspect_one

def {fault}(candidate, *rest):
    if candidate.file.name == "17.png":
        {action}
    return look(candidate, *rest)

pool.inspect_one = {fault}  # in the workers too: they import this file
"""
COMMAND = """
if __name__ == "__main__":
    from pizzaiolo.cli import main
    sys.argv = ["pizzaiolo", "prepare", {source!r}, "--out", {out!r}, "--json", "--workers", "{n}"]
    main()
"""


@pytest.fixture(scope="module")
def source(make_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("pool") / "source", count=20)


def execute(folder: Path, text: str) -> "subprocess.CompletedProcess[str]":
    (folder / "script.py").write_text(text)
    return subprocess.run(
        [sys.executable, str(folder / "script.py")],
        capture_output=True, text=True, timeout=120, start_new_session=True,
    )  # fmt: skip


def prepare_with(
    action: str, source: Path, out: Path, workers: int = 2
) -> "subprocess.CompletedProcess[str]":
    script = SCRIPT.format(fault="faulty", action=action)
    return execute(
        out.parent, script + COMMAND.format(source=str(source), out=str(out), n=workers)
    )  # fmt: skip


@pytest.mark.parametrize("action", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGSEGV)"])
def test_a_decoder_that_crashes_is_one_row(source: Path, tmp_path: Path, action: str) -> None:
    done = prepare_with(action, source, tmp_path / "D")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["found"], summary["kept"]) == (40, 38)
    assert summary["rejected"] == {"unreadable": 2}
    listed = (tmp_path / "D/rejected.csv").read_text(encoding="utf-8")
    assert "a/17.png,a,unreadable,its decoder crashed" in listed
    assert "b/17.png,b,unreadable,its decoder crashed" in listed


def test_a_pool_that_breaks_before_the_next_file_is_sent_keeps_what_was_found(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaks:
        """Answers at once, takes five tasks: one to begin and four files."""

        def __init__(self, workers: int, context: Any, initializer: Any, initargs: Any) -> None:
            initializer(*initargs)
            self.left = 5

        def submit(self, work: Callable[..., Any], *given: Any) -> "Future[Any]":
            if not self.left:
                raise BrokenProcessPool
            self.left -= 1
            done: Future[Any] = Future()
            done.set_result(work(*given))
            return done

        def shutdown(self, **_: Any) -> None: ...

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(pool, "ProcessPoolExecutor", Breaks)
    monkeypatch.setattr(pool, "_work", None)
    candidates = [Candidate(file, "a", file.name) for file in sorted(source.glob("a/*"))]
    found = []
    try:
        with pytest.raises(BrokenProcessPool):
            for facts, _ in pool._pooled(candidates, 0, tmp_path, PrepareConfig(), 1):
                found.append(facts)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("workers", "action"),
    [
        (1, "os.kill(os.getpid(), signal.SIGINT)"),
        (2, "os.kill(os.getppid(), signal.SIGINT)"),
        (2, "os.killpg(0, signal.SIGINT)"),  # as Ctrl-C in a terminal does
    ],
)
def test_an_interrupt_leaves_its_copies_only_and_can_be_repeated(
    source: Path, tmp_path: Path, workers: int, action: str
) -> None:
    done = prepare_with(action, source, tmp_path / "D", workers)
    assert done.returncode == 130 and done.stdout == ""
    assert "Traceback" not in done.stderr and "interrupted" in done.stderr
    if (tmp_path / "D").exists():
        assert {p.name for p in (tmp_path / "D").iterdir()} == {".unfinished"}
        left = [p for p in (tmp_path / "D").rglob("*") if p.is_file()]
        assert left and {p.parent.name for p in left} == {".staging"}
    assert prepare_with("pass", source, tmp_path / "D", workers).returncode == 0


def test_an_interrupt_that_another_thread_takes_waits_until_a_process_has_started() -> None:
    """Else the process reads its orders from a pipe that is closed already, and complains."""
    asked, sent, started = threading.Event(), threading.Event(), False

    def take() -> None:
        asked.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        sent.set()

    taker = threading.Thread(target=take)
    taker.start()
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), pool._interrupts_blocked():
        asked.set()
        sent.wait()
        taker.join()
        started = True
    assert started and signal.getsignal(signal.SIGINT) is handler


def test_workers_that_are_interrupted_while_they_start_are_silent(
    source: Path, tmp_path: Path
) -> None:
    script = SCRIPT.format(fault="faulty", action="pass")
    early = "\nif __name__ == '__mp_main__': os.killpg(0, signal.SIGINT)\n"
    done = execute(
        tmp_path, script + early + COMMAND.format(source=str(source), out=str(tmp_path / "D"), n=2)
    )
    assert done.returncode == 130 and "Traceback" not in done.stderr, done.stderr
    assert not (tmp_path / "D").exists()


def test_a_script_without_a_guard_still_prepares_once(source: Path, tmp_path: Path) -> None:
    """Pain: spawn on Windows and macOS runs an unguarded script again and again."""
    done = execute(
        tmp_path,
        "from pizzaiolo import prepare\nfrom pizzaiolo.config import PrepareConfig\n"
        f"made = prepare({str(source)!r}, {str(tmp_path / 'D')!r}, PrepareConfig(workers=2))\n"
        "print(made['kept'])\n",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "40\n" and "no worker process can be started" in done.stderr
