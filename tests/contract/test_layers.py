"""The arrows of the design: who may import whom."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "pizzaiolo"
ANYWHERE = {"errors", "console", "config", "settings", "step"}
ALLOWED = {
    "core": set(),
    "prepare": {"model", "core"},
    "model": {"core"},
    "train": {"model", "core"},
    "predict": {"core", "model"},
    "evaluate": {"predict", "core"},
    "serve": {"predict", "core"},
    "export": {"predict", "model", "core"},
    "improve": {"train", "evaluate", "prepare", "export", "predict", "model", "core"},
    "inspect_tensors": {"predict", "core"},
    "starter": {"predict", "core", "export"},
    "demo": {"prepare", "train", "evaluate", "export", "predict", "starter", "core"},
    "cluster": {"prepare", "model", "train", "predict", "evaluate", "improve", "export", "serve",
                "core"},
    "flags": set(),
    "cli": {"prepare", "model", "train", "evaluate", "improve", "export", "predict", "serve",
            "starter", "inspect_tensors", "demo", "flags", "core", "cluster"},
    "errors": set(), "console": set(), "config": set(), "settings": set(), "step": set(),
    "__init__": None, "__main__": {"cli"},
}  # fmt: skip
LAZY = {"cli": {"flags"}, "predict": {"core"}, "starter": {"predict", "core"}}
FILES = sorted(SRC.rglob("*.py"))


def unit(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def targets(node: ast.stmt, path: Path) -> list[str]:
    """The units of pizzaiolo that an import statement reaches."""
    if isinstance(node, ast.Import):
        names = [a.name for a in node.names if a.name.startswith("pizzaiolo.")]
        return [n.split(".")[1] for n in names]
    if not isinstance(node, ast.ImportFrom):
        return []
    parts = (node.module or "").split(".") if node.module else []
    if node.level:
        package = list(path.relative_to(SRC).parts[:-1])
        parts = package[: len(package) - node.level + 1] + parts
    elif parts[:1] == ["pizzaiolo"]:
        parts = parts[1:]
    else:
        return []
    return [parts[0]] if parts else [a.name for a in node.names if not a.name.startswith("__")]


def at_top(tree: ast.Module) -> set[ast.AST]:
    """Import statements that run when the module is imported."""
    found: set[ast.AST] = set()
    stack: list[ast.AST] = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        found.add(node)
        stack.extend(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_follow_the_arrows(path: Path) -> None:
    own = unit(path)
    assert own in ALLOWED, f"{own} has no place in the design"
    tree = ast.parse(path.read_text())
    top = at_top(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for target in set(targets(node, path)) - {own} - ANYWHERE:
            allowed = ALLOWED[own]
            assert allowed is None or target in allowed, f"{own} must not import {target}"
            if own in LAZY and node in top:
                assert target in LAZY[own], f"{own} may import {target} only inside a function"


def test_the_rule_sees_a_forbidden_import() -> None:
    node = ast.parse("from ..train.loop import fit").body[0]
    assert targets(node, SRC / "core" / "image.py") == ["train"]
