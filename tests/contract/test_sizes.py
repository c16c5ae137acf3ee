"""Files, functions and parameter lists stay within the design's sizes."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "pizzaiolo"
FILES = sorted(SRC.rglob("*.py"))
MAX_FILE, MAX_FUNCTION, MAX_PARAMETERS = 400, 80, 7
COMMANDS = SRC / "cli"  # a command's parameters are its flags


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION, node.name
        parameters = [a.arg for a in [*node.args.args, *node.args.kwonlyargs] if a.arg != "self"]
        assert path.parent == COMMANDS or len(parameters) <= MAX_PARAMETERS, node.name
