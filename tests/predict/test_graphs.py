"""Opening a file that is a graph: its card, its engine, and models without a card."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import pizzaiolo
from pizzaiolo.core.card import FORMAT_VERSION
from pizzaiolo.errors import ModelFileError, PizzaioloError, UsageError
from pizzaiolo.export.onnx import onnx_graph
from pizzaiolo.predict import load_file
from toy_graph import CARD, WRITERS, deployed, pixels, write

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """The same graph in each format, and once without a card."""
    folder = tmp_path_factory.mktemp("graphs")
    for suffix in WRITERS:
        if suffix == ".xml":
            pytest.importorskip("openvino")
        write(folder / f"m{suffix}")
    (folder / "bare.onnx").write_bytes(onnx_graph(deployed(), CARD, 18))
    return folder


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_answers_the_same(folder: Path, suffix: str) -> None:
    expected, found = load_file(folder / "m.onnx"), load_file(folder / f"m{suffix}")
    assert found.card == CARD and found.labels == CARD.labels
    for batch in (1, 2, 7):
        for ours, theirs in zip(found.run(pixels(batch)), expected.run(pixels(batch)), strict=True):
            assert ours.dtype == np.float32
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("suffix", [".ts", ".pt2", ".xml"])
def test_a_device_that_does_not_run_it_is_refused(folder: Path, suffix: str) -> None:
    with pytest.raises(UsageError, match="runs on the CPU, not on cuda") as caught:
        load_file(folder / f"m{suffix}", device="cuda")
    assert caught.value.hint


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_newer_card_is_refused(tmp_path: Path, suffix: str) -> None:
    newer = CARD.with_(format_version=FORMAT_VERSION + 1)
    path = write(tmp_path / f"m{suffix}", card=newer)
    with pytest.raises(ModelFileError, match=f"version {FORMAT_VERSION + 1}") as caught:
        load_file(path)
    assert "upgrade" in (caught.value.hint or "")


def test_an_onnx_model_without_a_card_asks_for_labels(folder: Path) -> None:
    with pytest.raises(ModelFileError, match="without a card") as caught:
        pizzaiolo.load(folder / "bare.onnx")
    assert "--labels" in (caught.value.hint or "")


def test_it_answers_with_labels_and_warns(
    folder: Path, caplog: pytest.LogCaptureFixture, pizza_file: Path
) -> None:
    with caplog.at_level("WARNING", logger="pizzaiolo"):
        model = pizzaiolo.load(folder / "bare.onnx", labels=["naan", "pizza"])
    assert "has no card" in caplog.text and "naan, pizza" in caplog.text
    assert model.card.preprocess.size == 32 and model.labels.names == ("naan", "pizza")
    expected = load_file(folder / "m.onnx").run(pixels())
    np.testing.assert_array_equal(model.run(pixels())[0], expected[0])
    assert model.predict(pizza_file).label in ("naan", "pizza")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a", "b", "c"], "3 labels are named.*2 classes"),
        (["a"], "1 labels"),
        (["a", "a"], "two or more different names"),
    ],
)
def test_labels_fit_the_graph(folder: Path, labels: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_file(folder / "bare.onnx", labels=labels)


@pytest.mark.parametrize("suffix", WRITERS)
def test_labels_beside_a_card_are_refused(folder: Path, suffix: str) -> None:
    with pytest.raises(UsageError, match="names naan, pizza"):
        load_file(folder / f"m{suffix}", labels=["a", "b"])
    assert load_file(folder / f"m{suffix}", labels=["naan", "pizza"]).card == CARD


@pytest.mark.parametrize("kind", ["other names", "float input", "two inputs"])
def test_a_graph_of_another_kind_says_what_is_expected(tmp_path: Path, kind: str) -> None:
    type_ = TensorProto.FLOAT if kind == "float input" else TensorProto.UINT8
    inputs = [helper.make_tensor_value_info("image", type_, ["n", 8, 8, 3])]
    if kind == "two inputs":
        inputs.append(helper.make_tensor_value_info("more", type_, ["n"]))
    names = ("p", "e") if kind == "other names" else ("probabilities", "embedding")
    outputs = [helper.make_tensor_value_info(name, type_, None) for name in names]
    nodes = [helper.make_node("Identity", ["image"], [name]) for name in names]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs),
        opset_imports=[helper.make_opsetid("", 18)], ir_version=10,
    )  # fmt: skip
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(PizzaioloError, match=r"expected one input image, uint8 \[N, H, W, 3\]"):
        load_file(tmp_path / "m.onnx", labels=["a", "b"])


def test_the_command_takes_labels(
    folder: Path, pizza_file: Path, command: Callable[..., Any]
) -> None:
    done = command("predict", pizza_file, "--model", folder / "bare.onnx", "--labels", "naan,pizza")
    assert done.code == 0 and "has no card" in done.err
    done = command("predict", pizza_file, "--model", folder / "bare.onnx")
    assert done.code == 2 and "--labels not_pizza,pizza" in done.err
    done = command("predict", pizza_file, "--labels", "naan,pizza")
    assert done.code == 2 and "no model is named" in done.err
