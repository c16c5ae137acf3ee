"""The exported page decodes a JPEG as Pillow does, to the last bit, also at a half or less."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pizzaiolo.core.image import read_image
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.export import web
from toy_profile import CURVES, profile

DECODE = """([base64, step]) => {
  const picture = decodedJpeg(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), () => step);
  if (!picture) return null;
  const { width, height, rows } = picture;
  return { width, height, data: Array.from(rows(0, 0, width, height)) };
}"""
STEP = "([width, height, side]) => draftStep(width, height, side)"
SIDES = [(64, 48), (65, 33), (17, 9), (3, 2), (1, 1), (9, 40)]


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    """An empty page that knows the scripts."""
    page = browser.new_page()
    for name in web.WORKER[:-1]:
        page.add_script_tag(path=web.PAGE / name)
    yield page
    page.close()


def picture(width: int, height: int) -> Image.Image:
    """Smooth parts, edges, noise and pure colours."""
    random = np.random.default_rng(width * height)
    pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels[: height // 2] = np.linspace(0, 255, 3 * width).reshape(width, 3).astype(np.uint8)
    pixels[: height // 3, : width // 2] = (255, 0, 0)
    return Image.fromarray(pixels)


def jpeg(image: Image.Image, **settings: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **settings)
    return file.getvalue()


def decoded(page: Any, data: bytes, step: int = 1) -> np.ndarray | None:
    """RGB [H, W, 3] as the page decodes it; None where it leaves that to the browser."""
    found = page.evaluate(DECODE, [base64.b64encode(data).decode(), step])
    if found is None:
        return None
    return np.array(found["data"], np.uint8).reshape(found["height"], found["width"], 4)[..., :3]


def by_pillow(data: bytes, step: int) -> np.ndarray:
    """RGB [H, W, 3] at 1/step of the size."""
    with Image.open(io.BytesIO(data)) as image:
        if step > 1:
            image.draft(None, tuple(max(1, side // step) for side in image.size))
            sides = tuple(-(-side // step) for side in Image.open(io.BytesIO(data)).size)
            assert image.size == sides
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1", "grey"])
def test_the_pixels_are_pillows(page: Any, sampling: str, progressive: bool) -> None:
    for number, (width, height) in enumerate(SIDES):
        image, settings = picture(width, height), {"subsampling": sampling}
        if sampling == "grey":
            image, settings = image.convert("L"), {}
        data = jpeg(
            image, quality=(40, 80, 95)[number % 3], progressive=progressive,
            restart_marker_blocks=3 * (number % 2), **settings,
        )  # fmt: skip
        for step in (1, 2, 4, 8) if min(width, height) >= 8 else (1,):
            received = decoded(page, data, step)
            assert received is not None
            assert np.array_equal(received, by_pillow(data, step)), (width, height, step)


@pytest.mark.parametrize("turn", range(1, 9))
def test_it_is_upright(page: Any, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    data = jpeg(picture(33, 20), exif=exif)
    received = decoded(page, data)
    assert received is not None and np.array_equal(received, np.asarray(read_image(data)))


@pytest.mark.parametrize("curve", sorted(CURVES))
def test_its_colours_become_srgb(page: Any, curve: str) -> None:
    data = jpeg(picture(64, 48), icc_profile=profile(CURVES[curve]), subsampling=0)
    received, expected = decoded(page, data), np.asarray(read_image(data))
    assert received is not None and not np.array_equal(expected, by_pillow(data, 1))
    off = np.abs(received.astype(int) - expected.astype(int))
    assert off.max() <= 1 and (off > 0).mean() < 0.01


def test_a_profile_that_is_srgb_changes_nothing(page: Any) -> None:
    data = jpeg(picture(64, 48), icc_profile=profile(CURVES["gamma"], b"sRGB IEC61966-2.1"))
    received = decoded(page, data)
    assert received is not None and np.array_equal(received, by_pillow(data, 1))


@pytest.mark.parametrize("size", [(300, 200), (601, 457), (1003, 700), (150, 143), (4000, 80)])
def test_the_model_sees_a_large_jpeg_as_in_python(
    page: Any, size: tuple[int, int], tmp_path: Path
) -> None:
    file, preprocess = tmp_path / "large.jpg", Preprocess(64, 72)
    file.write_bytes(jpeg(picture(*size), quality=85))
    call = """([base64, preprocess]) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const stepFor = (width, height) => draftStep(width, height, preprocess.short_side);
      return Array.from(preprocessed(decodedJpeg(bytes, stepFor), preprocess));
    }"""
    packed = base64.b64encode(file.read_bytes()).decode()
    received = np.array(page.evaluate(call, [packed, preprocess.to_dict()]), np.uint8)
    assert np.abs(received.reshape(64, 64, 3).astype(int) - preprocess.load(file)).max() <= 1


def test_what_it_can_not_decode_is_left_to_the_browser(page: Any) -> None:
    whole = jpeg(picture(64, 48))
    assert decoded(page, jpeg(picture(64, 48).convert("CMYK"))) is None
    assert decoded(page, whole[: len(whole) // 2]) is None
    assert decoded(page, b"\xff\xd8\xff") is None
    assert decoded(page, whole.replace(b"\xff\xc0", b"\xff\xc9", 1)) is None  # arithmetic coding
    lut = profile(CURVES["gamma"]).replace(b"rXYZ", b"A2B0", 1)
    assert decoded(page, jpeg(picture(64, 48), icc_profile=lut)) is None


def test_damage_is_no_fault_of_the_page(page: Any) -> None:
    random = np.random.default_rng(0)
    whole = np.frombuffer(jpeg(picture(40, 30), icc_profile=profile(CURVES["table"])), np.uint8)
    for _ in range(400):
        damaged = whole.copy()
        places = random.integers(2, len(whole), 5)
        damaged[places] = random.integers(0, 256, 5)
        decoded(page, damaged.tobytes(), int(random.choice([1, 2, 8])))  # an error would be raised
