"""Archives: unpacked within bounds, or refused in words; nothing is written outside."""

import errno
import io
import os
import struct
import sys
import tarfile
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from pizzaiolo.errors import SourceError, StorageError
from pizzaiolo.prepare.sources import archives
from pizzaiolo.prepare.sources.archives import is_archive, unpack

FILES = {"top/a/1.png": b"one" * 400, "top/a/2.png": os.urandom(2000), "top/b/3.png": b"three"}
SUFFIXES = ("zip", "tar", "tar.gz", "tgz")


def pack(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def unpacked(path: Path) -> tuple[dict[str, bytes], int]:
    """The files that came out, and how many entries were passed over."""
    with ExitStack() as stack:
        folder, skipped = unpack(path, stack)
        files = {
            p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*")
            if p.is_file()
        }
        assert not any(p.is_symlink() for p in folder.rglob("*"))
    assert not folder.exists()
    return files, skipped


@pytest.mark.parametrize(
    ("name", "known"),
    [("a.zip", True), ("A.TAR.GZ", True), ("a.tgz", True), ("a.tar", True), ("a.gz", False),
     ("a.rar", False), ("zip", False), ("a.zip.part", False)],
)  # fmt: skip
def test_is_archive(name: str, known: bool) -> None:
    assert is_archive(Path(name)) == known


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_come_out_as_they_went_in_and_go_with_the_stack(tmp_path: Path, suffix: str) -> None:
    assert unpacked(pack(tmp_path / f"x.{suffix}", FILES)) == (FILES, 0)


ESCAPES = ["../evil.png", "top/../../evil.png", "..\\evil.png", "C:/evil.png", "C:\\evil.png"]


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_an_entry_that_points_out_is_passed_over(tmp_path: Path, suffix: str, name: str) -> None:
    (tmp_path / "inner").mkdir()
    path = pack(tmp_path / "inner" / f"x.{suffix}", {**FILES, name: b"evil"})
    assert unpacked(path) == (FILES, 1)
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_an_absolute_name_lands_inside(tmp_path: Path, suffix: str) -> None:
    files, skipped = unpacked(pack(tmp_path / f"x.{suffix}", {f"{tmp_path}/evil.png": b"x"}))
    assert list(files) == [f"{tmp_path}/evil.png"[1:]] and skipped == 0
    assert not (tmp_path / "evil.png").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_of_a_tar_are_passed_over(tmp_path: Path, kind: bytes) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    with tarfile.open(pack(tmp_path / "x.tar", FILES), "a") as tar:
        entry = tarfile.TarInfo("top/a/link.png")
        entry.type, entry.linkname = kind, str(secret)
        tar.addfile(entry)
    assert unpacked(tmp_path / "x.tar") == (FILES, 1)


def test_a_tar_link_to_a_folder_is_not_written_through(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        entry = tarfile.TarInfo("top")
        entry.type, entry.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(entry)
        entry = tarfile.TarInfo("top/evil.png")
        tar.addfile(entry, io.BytesIO())
    assert unpacked(tmp_path / "x.tar") == ({"top/evil.png": b""}, 1)
    assert not (tmp_path / "evil.png").exists()


def test_links_of_a_zip_are_passed_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(pack(tmp_path / "x.zip", FILES), "a") as archive:
        entry = zipfile.ZipInfo("top/a/link.png")
        entry.create_system, entry.external_attr = 3, 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    assert unpacked(tmp_path / "x.zip") == (FILES, 1)


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_a_bomb_is_refused_before_it_is_written(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 100_000)
    monkeypatch.setattr(archives, "MAX_RATIO", 2)
    path = pack(tmp_path / f"x.{suffix}", {**FILES, "top/a/bomb.png": bytes(5_000_000)})
    with pytest.raises(SourceError, match="unpacks to more than 100,000 bytes"):
        unpacked(path)


@pytest.mark.parametrize("size", [-1, -16, -1024, -(10**9)])
def test_a_negative_size_is_refused(tmp_path: Path, size: int) -> None:
    """It would buy room for a bomb, or lead back to its own header without end."""
    header = bytearray(tarfile.TarInfo("a/1.png").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 8 + struct.pack(">i", size)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "x.tar").write_bytes(bytes(header) + bytes(2048))
    with pytest.raises(SourceError, match="has a negative size"):
        unpacked(tmp_path / "x.tar")


NAMES = ["new\nline.png", 'quo"te.png', "🍕.png", "\u202egnp.exe", "a b.png", "-rf.png", "'.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_of_any_kind_come_out_as_they_went_in(tmp_path: Path, suffix: str) -> None:
    files = {f"{name}/{name}": name.encode() for name in NAMES}
    assert unpacked(pack(tmp_path / f"x.{suffix}", files)) == (files, 0)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_FILES", 2)
    with pytest.raises(SourceError, match="more than 2 files"):
        unpacked(pack(tmp_path / "x.zip", FILES))


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    data = pack(tmp_path / "x.zip", {"a.png": bytes(200_000)}).read_bytes()
    lie = data.replace(struct.pack("<I", 200_000), struct.pack("<I", 10))
    (tmp_path / "x.zip").write_bytes(lie)
    with pytest.raises(SourceError, match="damaged or locked"):
        unpacked(tmp_path / "x.zip")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95])
def test_a_cut_archive_is_refused_in_one_line(tmp_path: Path, suffix: str, share: float) -> None:
    path = pack(tmp_path / f"x.{suffix}", {n: os.urandom(9000) for n in FILES})
    data = path.read_bytes()
    end = data.rindex(b"top/b") + 512 if suffix == "tar" and share > 0.9 else int(share * len(data))
    path.write_bytes(data[:end])
    with pytest.raises(SourceError, match=r"damaged or locked|unpacked") as caught:
        unpacked(path)
    assert caught.value.hint and "\n" not in caught.value.message


@pytest.mark.parametrize("suffix", ["zip", "tar.gz", "tgz"])
def test_a_flipped_byte_does_not_pass_silently(tmp_path: Path, suffix: str) -> None:
    path = pack(tmp_path / f"x.{suffix}", {"a/1.png": os.urandom(50_000)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(SourceError):
        unpacked(path)


def test_the_checksum_at_the_very_end_counts(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar.gz", FILES)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(SourceError, match="damaged"):
        unpacked(path)


def test_a_locked_zip_is_refused(tmp_path: Path) -> None:
    data = bytearray(pack(tmp_path / "x.zip", {"a.png": b"x"}).read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(SourceError, match=r"locked: .*encrypted"):
        unpacked(tmp_path / "x.zip")


@pytest.mark.parametrize(
    "files", [{"a": b"x", "a/b.png": b"y"}, {"a/b.png": b"y", "a": b"x"}, {"a/" + "x" * 300: b"y"}]
)
def test_what_the_disk_does_not_take_is_named_without_the_temporary_folder(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    with pytest.raises(SourceError, match=r"can't be unpacked: .*: a") as caught:
        unpacked(pack(tmp_path / "x.zip", files))
    assert "pizzaiolo-" not in caught.value.message


def test_a_full_disk_is_no_fault_of_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archives.shutil, "copyfileobj", full)
    with pytest.raises(StorageError, match="the disk is full"):
        unpacked(pack(tmp_path / "x.zip", FILES))
