"""What people's folders hold: a row with its reason or one clear error, never a stop half-way."""

import os
import struct
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import UsageError
from pizzaiolo.prepare import inspect
from pizzaiolo.prepare.run import prepare

Draw = Callable[..., Image.Image]
MakeFolder = Callable[..., Path]


@pytest.fixture
def config(alone: PrepareConfig) -> PrepareConfig:
    return replace(alone, features=False)


def png(width: int, height: int, row: bytes, rows: int) -> bytes:
    """A grey PNG of one bit a pixel that says it is `width` x `height` and holds `rows` rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = zlib.compress((b"\0" + row) * rows)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def test_ten_thousand_unreadable_files_are_ten_thousand_rows(
    tmp_path: Path, make_folder: MakeFolder, config: PrepareConfig
) -> None:
    source = make_folder(tmp_path / "S")
    for i in range(10_000):
        (source / "a" / f"bad{i}.jpg").write_bytes(b"\xff\xd8\xff\xe0 no JPEG %d" % i)
    found = prepare(source, tmp_path / "D", config)
    assert (found["found"], found["kept"]) == (10_016, 16)
    assert sum(found["rejected"].values()) == 10_000
    rejected = (tmp_path / "D/rejected.csv").read_text().splitlines()
    assert len(rejected) == 10_001 and all(",a," in line for line in rejected[1:])


@pytest.mark.parametrize("honest", [True, False], ids=["200 megapixels", "a header that lies"])
def test_a_pixel_bomb_is_a_row_and_is_never_decoded(
    tmp_path: Path, make_folder: MakeFolder, config: PrepareConfig, honest: bool
) -> None:
    source = make_folder(tmp_path / "S")
    rows = 14_000 if honest else 1
    (source / "a" / "bomb.png").write_bytes(png(14_400, 14_000, b"\xaa" * 1800, rows))
    tracemalloc.start()
    found = prepare(source, tmp_path / "D", config)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["rejected"] == {"unreadable": 1} and peak < 50_000_000
    (row,) = (r for r in Dataset.open(tmp_path / "D").rows if not r.kept)
    assert "201600000 pixels" in (row.detail or "") and "limit" in (row.detail or "")


def test_a_file_that_vanishes_midway_is_a_row(
    tmp_path: Path, make_folder: MakeFolder, config: PrepareConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_folder(tmp_path / "S")
    original = inspect.read_bytes

    def read(file: Path, *rest: object) -> bytes:
        (source / "b" / "7.png").unlink(missing_ok=True)
        return original(file, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(inspect, "read_bytes", read)
    found = prepare(source, tmp_path / "D", config)
    assert found["kept"] == 15 and found["rejected"] == {"unreadable": 1}
    assert 'b/7.png,b,unreadable,"7.png is missing' in (tmp_path / "D/rejected.csv").read_text()


def test_all_kinds_of_trouble_at_once(
    tmp_path: Path, make_folder: MakeFolder, config: PrepareConfig, draw: Draw
) -> None:
    """Every file is a row: what can be used is kept, the rest has a reason."""
    source = make_folder(tmp_path / "S")
    for name in ('say "cheese".png', "two\nlines.png", "🍕.png", "\u202egnp.exe.png", "a,b;c.png"):
        draw(len(name) + 500).save(source / "a" / name)
    (source / "a" / "loop").symlink_to(source / "a")
    (source / "b" / "text.jpg").write_text("no picture")
    (source / "b" / "empty.jpg").touch()
    (source / "b" / "nowhere.jpg").symlink_to("nowhere")
    os.mkfifo(source / "b" / "pipe.jpg")
    prepare(source, tmp_path / "D", config)
    data = Dataset.open(tmp_path / "D")
    reasons = Counter(row.reason for row in data.rows)
    assert reasons == {None: 21, "not_an_image": 1, "unreadable": 3}
    assert {"a/two\nlines.png", "a/🍕.png"} <= {row.path for row in data.rows if row.kept}
    assert all(data.picture(row).is_file() for row in data.rows if row.kept)


def test_a_pixel_limit_that_no_decoder_goes_up_to_is_refused() -> None:
    """Pain: a setting that is taken and does nothing; Pillow refuses more all the same."""
    assert PrepareConfig(max_pixels=178_956_970).max_pixels == 178_956_970
    with pytest.raises(UsageError, match=r"max_pixels is 178956971, expected 1 to 178956970"):
        PrepareConfig(max_pixels=178_956_971)
