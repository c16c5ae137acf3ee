"""Clients in other languages: what docs/guide/clients.md shows is right for a real model file."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pizzaiolo.predict import load_file

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "clients.md"
BLOCK = re.compile(r"^```(js|cpp)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
MODULES = os.environ.get("PIZZAIOLO_NODE_MODULES")  # a folder with onnxruntime-node and sharp
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")


def node(*arguments: str | Path, folder: Path) -> str:
    done = subprocess.run(
        ["node", *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_table_is_the_graph_s_own(starter: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(starter))
    rows = re.findall(r"^\| (input|output) \| `(\w+)` \| (\w+) `", PAGE.read_text(), re.MULTILINE)
    kinds = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
    found = [("input", v.name, kinds[v.type]) for v in session.get_inputs()]
    assert rows == found + [("output", v.name, kinds[v.type]) for v in session.get_outputs()]


@needs_node
def test_the_javascript_client_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "client.mjs").write_text(CODE["js"])
    node("--check", "client.mjs", folder=tmp_path)


@needs_node
@pytest.mark.skipif(MODULES is None, reason="PIZZAIOLO_NODE_MODULES names no packages of Node")
def test_the_javascript_client_answers_as_predict(
    starter: Path, photos: Path, tmp_path: Path
) -> None:
    model = load_file(starter)
    (tmp_path / "client.mjs").write_text(CODE["js"])
    (tmp_path / "card.json").write_text(model.card.to_json())
    (tmp_path / "node_modules").symlink_to(Path(str(MODULES)).resolve())
    for name in ("pizza/pizza_0011.jpg", "pizza/pizza_0012.jpg", "not_pizza/not_pizza_0011.jpg"):
        told = node("client.mjs", starter, "card.json", photos / name, folder=tmp_path)
        answer = model.predict(photos / name)
        assert json.loads(told) == pytest.approx(answer.probabilities, abs=0.05)


def test_the_c_client_names_what_the_card_says(starter: Path) -> None:
    card = load_file(starter).card
    assert (
        f"size = {card.preprocess.size}, short_side = {card.preprocess.short_side}" in CODE["cpp"]
    )
    assert json.dumps(card.labels.names)[1:-1] in CODE["cpp"]
