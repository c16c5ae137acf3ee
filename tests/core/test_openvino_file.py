"""Card and sum of OpenVINO's .xml and .bin, read without OpenVINO."""

from html import escape
from pathlib import Path

import pytest

from pizzaiolo.core.bundle import CARD_KEY
from pizzaiolo.core.openvino_file import NO_SUM, SUM_KEY, card_text, seal, weights_of
from pizzaiolo.errors import ModelFileError

CARD = '{"a": "<é> & \\"b\\""}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.xml"
    path.write_text(
        f'<?xml version="1.0"?>\n<net name="g"><layers /><rt_info>'
        f'<{CARD_KEY} value="{escape(CARD)}" /><{SUM_KEY} value="{NO_SUM}" /></rt_info></net>\n',
        encoding="utf-8",
    )
    weights_of(path).write_bytes(bytes(range(256)))
    seal(path)
    return path


def refused(path: Path, words: str) -> None:
    with pytest.raises(ModelFileError, match=words) as caught:
        card_text(path)
    assert str(path) in caught.value.message and caught.value.hint


def change(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


def test_the_card_comes_back(file: Path) -> None:
    assert card_text(file) == CARD


def test_changed_weights_are_seen(file: Path) -> None:
    change(weights_of(file), b"\x07", b"\x08")
    refused(file, "sum over it and its .bin")


def test_a_changed_graph_is_seen(file: Path) -> None:
    refused(change(file, b"<layers />", b"<layers></layers>"), "sum over it and its .bin")


def test_missing_weights_are_seen(file: Path) -> None:
    weights_of(file).unlink()
    refused(file, r"m\.bin, are not beside it")


def test_cuts_are_seen(file: Path) -> None:
    data = file.read_bytes()
    for size in range(len(data) - 1):
        file.write_bytes(data[:size])
        refused(file, "cut off, or no XML|does not fit|no card")


def test_a_graph_without_a_card_is_refused(file: Path) -> None:
    refused(change(file, CARD_KEY.encode(), b"other"), "it holds no card")


def test_entities_are_refused(file: Path) -> None:
    """Pain: entities that grow to fill the memory, or that read other files."""
    entity = b'?>\n<!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    refused(change(file, b"?>", entity), "declares entities")
