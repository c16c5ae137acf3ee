"""The archives of .ts and .pt2 files: what is read is what was written, or nothing is."""

import io
import zipfile
from pathlib import Path

import pytest

from pizzaiolo.core.archive import CARD, SUM, pack, read_archive, records_of, sealed
from pizzaiolo.errors import ModelFileError

RECORDS = {"data.pkl": b"data", "constants/0": bytes(100), "code/__torch__/a.py": b"class A"}
CARD_TEXT = '{"a": "é"}'


def write(path: Path, records: dict[str, bytes]) -> Path:
    path.write_bytes(pack(records))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "m.ts", sealed(RECORDS, CARD_TEXT))


def refused(path: Path, words: str) -> None:
    with pytest.raises(ModelFileError, match=words) as caught:
        read_archive(path)
    assert str(path) in caught.value.message and caught.value.hint


def test_the_records_come_back(file: Path) -> None:
    found = read_archive(file)
    assert {name: found[name] for name in RECORDS} == RECORDS
    assert found[CARD].decode() == CARD_TEXT and len(found[SUM]) == 64
    assert pack(found) == file.read_bytes(), "the same records are the same bytes"


def test_records_can_be_left_out() -> None:
    assert records_of(pack(RECORDS), dropped=r"\.py$").keys() == RECORDS.keys() - {
        "code/__torch__/a.py"
    }


def test_every_cut_is_seen(file: Path) -> None:
    data = file.read_bytes()
    for size in range(0, len(data), 7):
        file.write_bytes(data[:size])
        refused(file, "archive is damaged or none")


def test_a_changed_byte_of_a_record_is_seen(file: Path) -> None:
    data = file.read_bytes()
    place = data.index(b"class A")
    file.write_bytes(data[:place] + b"C" + data[place + 1 :])
    refused(file, "archive is damaged")


@pytest.mark.parametrize("name", [*RECORDS, CARD])
def test_a_record_that_was_replaced_is_seen(file: Path, name: str) -> None:
    refused(write(file, {**read_archive(file), name: b"other"}), "sum does not fit")


@pytest.mark.parametrize("name", ["constants/1", "byteorder"])
def test_a_record_more_or_less_is_seen(file: Path, name: str) -> None:
    records = read_archive(file)
    refused(write(file, {**records, name: b""}), "sum does not fit")
    refused(write(file, {n: c for n, c in records.items() if n != "data.pkl"}), "sum does not fit")


def test_an_archive_without_a_card_is_refused(file: Path) -> None:
    refused(write(file, RECORDS), "it holds no card")


@pytest.mark.parametrize(
    "name",
    ["code/__torch__/a.py.debug_pkl", "data/1.pkl", "code/other.py", "../data.pkl", "model.so"],
)
def test_a_record_that_has_no_place_is_refused(file: Path, name: str) -> None:
    refused(write(file, sealed({**RECORDS, name: b""}, CARD_TEXT)), "which has no place in it")


def test_two_records_of_one_name_are_refused(file: Path) -> None:
    """Pain: of two records of one name one reader checks the first, another runs the last."""
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("model/data.pkl", b"other")
    refused(file, "the same name")


def test_two_folders_do_not_hide_a_record(file: Path) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("other/data.pkl", b"other")
    refused(file, "the same name")


def test_compressed_records_are_refused(file: Path) -> None:
    """Pain: a small file that grows to fill the memory."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", bytes(10_000_000))
    file.write_bytes(packed.getvalue())
    refused(file, "compressed")
