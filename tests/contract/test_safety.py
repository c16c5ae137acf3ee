"""No pickle anywhere, no unsafe loads, no network address that a user did not ask for."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "pizzaiolo"
FILES = sorted(SRC.rglob("*.py"))
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def faults(tree: ast.AST) -> list[str]:
    """Every unsafe import and call of a module."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in UNSAFE_MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if (node.module or "").split(".")[0] in UNSAFE_MODULES else []
        elif isinstance(node, ast.Call):
            call = ast.unparse(node.func)
            keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if call == "torch.load" and keywords.get("weights_only") != "True":
                found.append("torch.load without weights_only=True")
            if (
                call in ("np.load", "numpy.load")
                and keywords.get("allow_pickle", "False") != "False"
            ):
                found.append("np.load with allow_pickle")
            if call in ("eval", "exec"):
                found.append(call)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_no_pickle_and_no_exec(path: Path) -> None:
    assert faults(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "code", ["import pickle", "from joblib import load", "torch.load('x')", "eval('1')"]
)
def test_the_rule_sees_a_fault(code: str) -> None:
    assert faults(ast.parse(code))
