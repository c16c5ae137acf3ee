"""Settings and a cache of the tests' own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pizzaiolo.config import PrepareConfig
from pizzaiolo.prepare import inspect


@pytest.fixture(scope="session")
def alone() -> PrepareConfig:
    """Settings without worker processes and PyTorch, which take seconds to start."""
    return PrepareConfig(workers=1, features=False)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of this test's own: nothing is known beforehand."""
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path / "cache"))
    inspect._looks.cache_clear()
