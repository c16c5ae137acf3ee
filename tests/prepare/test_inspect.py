"""One look at a file: a finding with a reason, or a copy and what it measures."""

import errno
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageEnhance, ImageFilter

from pizzaiolo.config import PrepareConfig
from pizzaiolo.demo.sample import render_sample
from pizzaiolo.errors import StorageError
from pizzaiolo.prepare import inspect
from pizzaiolo.prepare.candidate import Candidate
from pizzaiolo.prepare.inspect import (
    Finding,
    inspect_one,
    judged,
    perceptual_hash,
    perceptual_hashes,
)
from pizzaiolo.prepare.looks import Looks

pytestmark = pytest.mark.usefixtures("own_cache")
Draw = Callable[..., Image.Image]
ANY_GREY = arrays(np.uint8, (32, 32))


def look(path: Path, staging: Path, **settings: Any) -> Finding:
    staging.mkdir(exist_ok=True)
    config = PrepareConfig(**settings)
    return judged(inspect_one(Candidate(path, path.name, "a"), staging, config), config)


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def test_a_good_picture_is_measured_and_copied(tmp_path: Path, draw: Draw) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "p.jpg", draw(1, (800, 400)), quality=95, exif=exif)
    found = look(path, tmp_path / "s", size=128)
    data = path.read_bytes()
    assert found.reason is None and (found.format, found.mode) == ("JPEG", "RGB")
    assert found.sha256 == hashlib.sha256(data).hexdigest() and found.bytes == len(data)
    assert found.size == (400, 800)  # upright
    assert found.quality and 0 < found.quality.brightness < 1 and 0 < found.quality.contrast < 0.5
    written = tmp_path / "s" / f"{found.sha256}.jpg"
    assert found.copy_sha256 == hashlib.sha256(written.read_bytes()).hexdigest()
    with Image.open(written) as copy:
        assert copy.size == (128, 256) and copy.mode == "RGB" and not copy.getexif()


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP", "AVIF", "JPEG"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_recorded_size_is_that_of_the_upright_picture(
    tmp_path: Path, draw: Draw, kind: str, orientation: int
) -> None:
    """Pain: EXIF rotation ignored; Pillow turns a TIFF by itself."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "p", draw(1, (90, 60)), format=kind, exif=exif)
    found = look(path, tmp_path / "s", format="png")
    with Image.open(tmp_path / "s" / f"{found.sha256}.png") as copy:
        assert found.size == copy.size == ((60, 90) if orientation > 4 else (90, 60))


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (256, 256), (1, 900), (64, 5000)])
def test_copies_have_the_short_side_and_are_never_enlarged(
    tmp_path: Path, draw: Draw, size: tuple[int, int]
) -> None:
    found = look(save(tmp_path / "p.png", draw(2, size)), tmp_path / "s", size=128, min_side=1)
    with Image.open(tmp_path / "s" / f"{found.sha256}.jpg") as copy:
        assert min(copy.size) == min(128, *size)
        assert copy.width / copy.height == pytest.approx(size[0] / size[1], rel=0.02)


def test_a_png_copy_keeps_every_bit(tmp_path: Path, draw: Draw) -> None:
    picture = draw(3, (100, 90))
    found = look(save(tmp_path / "p.bmp", picture), tmp_path / "s", format="png")
    with Image.open(tmp_path / "s" / f"{found.sha256}.png") as copy:
        assert np.array_equal(np.asarray(copy), np.asarray(picture))


def content(kind: str, draw: Draw) -> bytes:
    buffer = io.BytesIO()
    picture = draw(4)
    if kind == "cut":
        picture.save(buffer, "PNG")
        return buffer.getvalue()[:200]
    if kind == "flat":
        Image.new("RGB", (80, 64), (9, 9, 9)).save(buffer, "PNG")
    elif kind == "good":
        picture.save(buffer, "PNG")
    elif kind == "small":
        picture.resize((200, 31)).save(buffer, "PNG")
    else:
        return {"text": b"Flour", "empty": b"", "page": b"<!doctype html>"}[kind]
    return buffer.getvalue()


REASONS = [("cut", "unreadable"), ("text", "not_an_image"), ("empty", "unreadable"),
           ("page", "not_an_image"), ("flat", "blank"), ("small", "too_small")]  # fmt: skip


@pytest.mark.parametrize(("kind", "reason"), REASONS)
def test_a_bad_file_has_a_reason_and_its_hash(
    tmp_path: Path, draw: Draw, kind: str, reason: str
) -> None:
    """Pain: a bad file kills a run, or nobody knows which and why."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(content(kind, draw))
    found = look(path, tmp_path / "s")
    assert found.reason == reason and found.detail
    assert found.bytes == path.stat().st_size
    if kind != "empty":
        assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    # A blank one has a copy: a person may decide to keep it.
    assert len(list((tmp_path / "s").iterdir())) == (reason == "blank")


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"max_pixels": 5000}, "unreadable"), ({"max_bytes": 500}, "unreadable"),
     ({"min_side": 65}, "too_small"), ({"blank_range": 200.0}, "blank"), ({}, None)],
)  # fmt: skip
def test_the_limits_are_the_settings(
    tmp_path: Path, draw: Draw, limits: dict[str, Any], reason: str | None
) -> None:
    assert look(save(tmp_path / "p.png", draw(5)), tmp_path / "s", **limits).reason == reason


def test_a_dark_photo_is_not_blank(tmp_path: Path, draw: Draw) -> None:
    dark = ImageEnhance.Brightness(draw(6)).enhance(0.2)
    assert look(save(tmp_path / "p.png", dark), tmp_path / "s").reason is None


def test_a_dark_cake_on_a_dark_table_is_not_blank(tmp_path: Path) -> None:
    found = look(save(tmp_path / "p.png", render_sample("cake", 136)), tmp_path / "s")
    assert found.reason is None and found.quality and found.quality.contrast * 255 < 6


def test_the_noise_behind_a_lens_cap_is_blank(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(12, 6, (480, 640, 3)).clip(0, 255).astype(np.uint8)
    found = look(save(tmp_path / "p.png", Image.fromarray(noise)), tmp_path / "s")
    assert found.reason == "blank" and found.quality and found.quality.sharpness > 10


def test_things_that_are_no_files_are_rows_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "broken.jpg").symlink_to("nowhere")
    for name in ("pipe.jpg", "folder.jpg", "broken.jpg", "gone.jpg"):
        found = look(tmp_path / name, tmp_path / "s")
        assert found.reason == "unreadable" and name in (found.detail or "")
        assert str(tmp_path) not in (found.detail or "")


def test_a_file_that_vanishes_while_it_is_read_is_a_row(
    tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "p.png", draw(7))

    def vanish(self: Path) -> bytes:
        self.unlink()
        with self.open("rb") as file:
            return file.read()

    monkeypatch.setattr(Path, "read_bytes", vanish)
    found = look(path, tmp_path / "s")
    assert found.reason == "unreadable" and "No such file" in (found.detail or "")


def test_a_copy_too_long_for_its_format_is_a_row(tmp_path: Path) -> None:
    stripes = np.zeros((40, 70_000, 3), np.uint8)
    stripes[:, ::2] = 255
    path = save(tmp_path / "p.png", Image.fromarray(stripes), compress_level=1)
    assert look(path, tmp_path / "s", blank_range=0.0).reason == "unreadable"
    assert look(path, tmp_path / "s", blank_range=0.0, format="png").reason is None


def test_a_full_disk_is_no_fault_of_the_picture(
    tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = save(tmp_path / "p.png", draw(8))
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="the disk is full"):
        look(path, tmp_path / "s")


SHOT = {0x010F: "Canon", 0x0110: "EOS R\0", 0x8769: {0x9003: "2024:05:06 07:08:09"}}


@pytest.mark.parametrize(
    ("facts", "captured", "camera"),
    [
        (SHOT, "2024-05-06T07:08:09", "Canon EOS R"),
        ({0x0110: "Pixel 8"}, None, "Pixel 8"),
        ({0x8769: {0x9003: "0000:00:00 00:00:00"}}, None, None),
        ({0x8769: {0x9003: "2024:5:6 7:08:09"}}, "2024-05-06T07:08:09", None),
        ({0x8769: {0x9003: "2024:05:06 07:08:61"}}, None, None),
        ({0x8769: {0x9003: "soon"}, 0x010F: "\x01"}, None, None),
        ({}, None, None),
    ],
)
def test_when_and_with_what_a_photo_was_taken(
    tmp_path: Path, draw: Draw, facts: dict[int, Any], captured: str | None, camera: str | None
) -> None:
    exif = Image.Exif()
    exif.update(facts)
    found = look(save(tmp_path / "p.jpg", draw(1), exif=exif), tmp_path / "s")
    assert (found.captured, found.camera) == (captured, camera)


# --- what was looked at is not decoded again ---------------------------------------------------


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forbid() -> None:
        def fail(*_: object) -> None:
            raise AssertionError("a picture was decoded again")

        monkeypatch.setattr(inspect, "read_picture", fail)

    return forbid


def remembered(path: Path, staging: Path, **settings: Any) -> Finding:
    found = look(path, staging, **settings)
    looks = Looks(PrepareConfig(**settings), staging)
    looks.remember([(found.sha256 or "", found.facts())])
    return found


def same(one: Finding, other: Finding) -> bool:
    return one.facts() == other.facts() and one.candidate == other.candidate


@pytest.mark.parametrize("kind", ["cut", "text", "flat", "small", "good"])
def test_a_known_content_is_the_same_finding_without_decoding(
    tmp_path: Path, draw: Draw, kind: str, no_decoding: Callable[[], None]
) -> None:
    path = tmp_path / "p"
    path.write_bytes(content(kind, draw) + b"made for this test" * (kind != "good"))
    first = remembered(path, tmp_path / "s")
    no_decoding()
    assert same(look(path, tmp_path / "s"), first) and first.fresh


def test_the_copy_comes_from_where_it_lies_now(
    tmp_path: Path, draw: Draw, no_decoding: Callable[[], None]
) -> None:
    path = save(tmp_path / "p.png", draw(41))
    first = remembered(path, tmp_path / "s")
    copy = tmp_path / "s" / f"{first.sha256}.jpg"
    data = copy.read_bytes()
    copy.rename(tmp_path / "moved.jpg")
    Looks(PrepareConfig(), tmp_path / "s").moved([(first.sha256 or "", tmp_path / "moved.jpg")])
    no_decoding()
    assert same(look(path, tmp_path / "t"), first)
    assert (tmp_path / "t" / copy.name).read_bytes() == data


@pytest.mark.parametrize("change", ["edited copy", "no copy", "other size", "other bytes"])
def test_what_changed_is_looked_at_again(tmp_path: Path, draw: Draw, change: str) -> None:
    path = save(tmp_path / "p.png", draw(42))
    first = remembered(path, tmp_path / "s", size=64)
    copy = tmp_path / "s" / f"{first.sha256}.jpg"
    settings = {"size": 48 if change == "other size" else 64}
    if change == "edited copy":
        copy.write_bytes(b"edited")
    if change == "no copy":
        copy.unlink()
    if change == "other bytes":
        save(path, draw(43))
    again = look(path, tmp_path / "s", **settings)
    assert again.fresh and again.copy_sha256
    written = tmp_path / "s" / f"{again.sha256}.jpg"
    assert hashlib.sha256(written.read_bytes()).hexdigest() == again.copy_sha256


# --- the perceptual hash ----------------------------------------------------------------------


def bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@given(ANY_GREY)
@settings(max_examples=50)
def test_the_hash_is_64_bits_and_the_same_each_time(grey: np.ndarray[Any, Any]) -> None:
    assert 0 <= perceptual_hash(grey) < 2**64
    assert perceptual_hash(grey) == perceptual_hash(grey.copy())
    assert perceptual_hash(grey) == perceptual_hash(np.asfortranarray(grey))


@given(arrays(np.uint8, (32, 32), elements=st.integers(0, 100)), st.integers(1, 150))
@settings(max_examples=50)
def test_brighter_is_the_same_hash_but_for_the_mean(grey: np.ndarray[Any, Any], shift: int) -> None:
    brighter = (grey + np.uint8(shift)).astype(np.uint8)
    one, other = perceptual_hash(grey), perceptual_hash(brighter)
    if np.ptp(grey) > 20:  # of a flat picture every term is rounding
        assert bits(one, other) <= 1


@pytest.mark.parametrize("seed", range(4))
def test_the_hash_survives_what_happens_to_photos(tmp_path: Path, draw: Draw, seed: int) -> None:
    original = draw(seed, (640, 480))
    changes = {
        "again.jpg": (original, {"quality": 40}),
        "small.jpg": (original.resize((320, 240)), {"quality": 80}),
        "wide.png": (original.resize((700, 480)), {}),
        "bright.jpg": (ImageEnhance.Brightness(original).enhance(1.2), {"quality": 80}),
        "soft.png": (original.filter(ImageFilter.GaussianBlur(2)), {}),
        "grey.png": (original.convert("L"), {}),
    }
    first = look(save(tmp_path / "p.png", original), tmp_path / "s").phash
    assert first is not None
    for name, (image, options) in changes.items():
        other = look(save(tmp_path / name, image, **options), tmp_path / "s").phash
        assert other is not None and bits(first, other) <= PrepareConfig().near_distance, name


def test_strangers_are_far_apart(tmp_path: Path, draw: Draw) -> None:
    hashes = [
        look(save(tmp_path / f"{i}.png", draw(i)), tmp_path / "s").phash or 0 for i in range(20)
    ]
    assert min(bits(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > 10


@given(seed=st.integers(0, 2**32 - 1))
def test_the_hash_of_the_mirror_image_is_that_of_the_mirrored_picture(seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (32, 32), np.uint8)
    both = perceptual_hash(grey), perceptual_hash(np.ascontiguousarray(grey[:, ::-1]))
    assert perceptual_hashes(grey) == both
