"""Card and sum of an ONNX file, by its bytes alone."""

from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from pizzaiolo.core.bundle import CARD_KEY
from pizzaiolo.core.onnx_file import SUM_KEY, card_text, seal
from pizzaiolo.errors import ModelFileError


def model() -> bytes:
    """An ONNX model that gives back what it is given."""
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 3]) for n in ("x", "y")]
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([node], "g", sides[:1], sides[1:])
    return bytes(helper.make_model(graph).SerializeToString())


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "m.onnx", seal(model(), '{"a": "é\\n"}'))


@given(st.text())
def test_the_card_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    assert card_text(write(path, seal(model(), text))) == text


def test_onnx_itself_reads_the_same(file: Path) -> None:
    loaded = onnx.load(file)
    onnx.checker.check_model(loaded, full_check=True)
    assert [p.key for p in loaded.metadata_props] == [CARD_KEY, SUM_KEY]
    assert loaded.metadata_props[0].value == card_text(file)


def test_a_model_without_a_card_has_none(tmp_path: Path) -> None:
    assert card_text(write(tmp_path / "m.onnx", model())) is None


def test_every_cut_is_seen(file: Path) -> None:
    data = file.read_bytes()
    for size in range(len(data)):
        try:
            assert card_text(write(file, data[:size])) is None  # what a cut may leave: no card
        except ModelFileError as error:
            assert str(file) in error.message and error.hint


def test_every_changed_byte_is_seen(file: Path) -> None:
    data = file.read_bytes()
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]
        try:
            assert card_text(write(file, changed)) is None  # the names of card and sum
        except ModelFileError:
            continue


def test_what_another_tool_has_changed_is_refused(file: Path) -> None:
    loaded = onnx.load(file)
    loaded.graph.name = "another"
    onnx.save(loaded, file)
    with pytest.raises(ModelFileError, match="its sum does not fit") as caught:
        card_text(file)
    assert "export it again" in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["card alone", "sum alone", "two cards", "more behind"])
def test_a_card_needs_the_sum_behind_it(tmp_path: Path, kind: str) -> None:
    whole = seal(model(), "{}")
    loaded = onnx.load_model_from_string(whole)
    if kind == "card alone":
        del loaded.metadata_props[1]
    elif kind == "sum alone":
        del loaded.metadata_props[0]
    data = {
        "two cards": seal(whole, "{}"),
        "more behind": whole + whole[:40],
    }.get(kind, loaded.SerializeToString())
    with pytest.raises(ModelFileError):
        card_text(write(tmp_path / "m.onnx", data))


@pytest.mark.parametrize("data", [b"", b"\x00", b"text", b"\xff" * 40, b"\x72\xff\xff\xff\xff\x7f"])
def test_what_is_no_onnx_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ModelFileError, match="not a model file of pizzaiolo"):
        card_text(write(tmp_path / "m.onnx", data))
