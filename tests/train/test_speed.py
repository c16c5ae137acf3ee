"""Freed memory stays with the process: the same blocks asked for again bring no new pages."""

import platform
import subprocess
import sys

import pytest

from pizzaiolo.train import speed

ROUNDS = """
import resource, torch
from pizzaiolo.train.speed import keep_freed_memory
if {wanted}:
    assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(16_000_000) for _ in range(2)]
    del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print([faults() for _ in range(8)][-1])
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the C library glibc")


def last_round(wanted: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS.format(wanted=wanted)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@glibc
def test_memory_that_was_freed_is_used_again_without_new_pages() -> None:
    assert last_round(True) < last_round(False) / 2


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_left_as_they_are(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(speed.ctypes, "CDLL", lambda name: pytest.fail("the C library was asked"))
    assert not speed.keep_freed_memory()
