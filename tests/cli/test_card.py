"""`pizzaiolo card`: the card of any model file, read without running it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.core.bundle import save_pt
from pizzaiolo.core.card import Card
from pizzaiolo.core.card_lines import card_lines
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.preprocess import Preprocess
from toy_graph import CARD, write

pytestmark = pytest.mark.usefixtures("one_thread")
SUFFIXES = [".pt", ".ts", ".pt2", ".onnx", ".xml"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """The card in a file of each format; `run` is a RUN."""
    folder = tmp_path_factory.mktemp("cards")
    for suffix in SUFFIXES[1:]:
        if suffix == ".xml":
            pytest.importorskip("openvino")
        write(folder / f"m{suffix}")
    save_pt(folder / "m.pt", CARD, {})
    save_pt(folder / "run" / "model.pt", CARD, {})
    return folder


@pytest.mark.parametrize("name", [*(f"m{suffix}" for suffix in SUFFIXES), "run"])
def test_each_format_prints_the_same_card(
    folder: Path, name: str, command: Callable[..., Any]
) -> None:
    told = json.loads(command("card", folder / name, "--json").out)
    assert Card.from_json(json.dumps(told["card"])) == CARD
    assert list(told) == ["file", "format", "bytes", "card"]
    text = command("card", folder / name).out
    assert "naan, pizza" in text and "accuracy 0.9" in text and "Größe" in text


def test_it_needs_neither_torch_nor_a_runtime(folder: Path) -> None:
    names = [str(folder / f"m{suffix}") for suffix in SUFFIXES]
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['torch', 'onnxruntime', 'onnx', 'openvino']))\n"
        "from pathlib import Path\nfrom pizzaiolo.core.cards import read_card\n"
        f"print(*{{read_card(Path(n)).to_json() for n in {names!r}}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == CARD.to_json(), done.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [("gone.onnx", "no model at"), ("m.txt", "expected .pt, .onnx"), ("bad.ts", "damaged or none"),
     ("bad.pt", "holds no card"), ("bad.onnx", "cut off"), ("bad.xml", ".bin")],
)  # fmt: skip
def test_what_has_no_card_is_one_message(
    tmp_path: Path, name: str, words: str, command: Callable[..., Any]
) -> None:
    if not name.startswith("gone"):
        (tmp_path / name).write_bytes(b"text")
    done = command("card", tmp_path / name)
    assert done.code == 2 and done.out == "" and words in done.err
    assert done.err.startswith("error: ") and "hint: " in done.err


def test_the_lines_tell_what_decides() -> None:
    lines = dict(card_lines(CARD))
    assert lines["answers"] == (
        "pizza from 0.6; not sure where the probability is 0.4 to 0.6; "
        "not sure over a novelty of 3.5"
    )
    assert lines["picture"].startswith("short side 36, middle 32 x 32 pixels, bicubic")


@pytest.mark.parametrize("mode", ["crop", "pad", "squash"])
def test_a_card_of_its_least_facts_has_lines(mode: str) -> None:
    card = Card(Labels(("a", "b", "c")), Preprocess(mode=mode), {"name": "cnn"})
    lines = dict(card_lines(card))
    assert lines["answers"] == "the likeliest class" and "data" not in lines
