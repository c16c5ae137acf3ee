"""The audit of dependencies: what fails, and that nothing looked up is never an all-clear."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit"
SKIPPED = {"name": "torch", "skip_reason": "not found"}
FAULT = {"id": "PYSEC-1", "fix_versions": ["2.1"]}


def audit(folder: Path, *found: dict[str, Any], text: str | None = None) -> tuple[int, str]:
    """Its exit code and words, with a pip-audit that says what it is told to."""
    said = json.dumps({"dependencies": found}) if text is None else text
    (folder / "pip_audit.py").write_text(f"print({said!r})\n")
    done = subprocess.run(
        [sys.executable, AUDIT, "constraints.txt"], env={"PYTHONPATH": str(folder)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout


def sound(name: str, *faults: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "2.0", "vulns": list(faults)}


def test_what_an_update_mends_fails(tmp_path: Path) -> None:
    code, out = audit(tmp_path, sound("pillow", FAULT), sound("numpy"), SKIPPED)
    assert code == 1 and "pillow 2.0: PYSEC-1, mended in 2.1" in out
    assert "2 of 3 dependencies looked up, 1 to be updated" in out


def test_what_nobody_has_mended_is_told(tmp_path: Path) -> None:
    code, out = audit(tmp_path, sound("pillow", FAULT | {"fix_versions": []}))
    assert code == 0 and "pillow 2.0: PYSEC-1, not mended yet" in out


@pytest.mark.parametrize("found", [(), (SKIPPED, SKIPPED)])
def test_nothing_looked_up_is_no_all_clear(
    tmp_path: Path, found: tuple[dict[str, Any], ...]
) -> None:
    code, out = audit(tmp_path, *found)
    assert code == 0 and out == "audit: nothing could be looked up, so nothing is known\n"


def test_a_service_that_is_not_there_is_no_failure(tmp_path: Path) -> None:
    code, out = audit(tmp_path, text="ERROR: no connection")
    assert code == 0 and "nothing is known" in out
