"""Damaged files: a picture or an `ImageError`, never another error and never noise on stderr."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pizzaiolo.core.image import FORMATS, Limits, read_image
from pizzaiolo.errors import ImageError
from toy_pictures import encode

RED = (255, 0, 0)
EXIF_ORIENTATION = 0x0112


def plain(mode: str, colour: Any, side: int = 16) -> Image.Image:
    return Image.new(mode, (side, side), colour)


def noise(side: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))


SEEDS = [encode(noise(16), kind) for kind in FORMATS] + [
    encode(noise(16), "TIFF", compression="jpeg"),
    encode(noise(16), "MPO", save_all=True, append_images=[noise(8)]),
    encode(noise(16).quantize(8), "PNG", transparency=bytes([0, 9])),
    encode(noise(16), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"),
]


@pytest.mark.filterwarnings("ignore:::PIL")  # pytest takes away the filter that the module sets
@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(
    data=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.binary(max_size=6), st.integers(0, 6)),
                     min_size=1, max_size=5),
)  # fmt: skip
def test_a_damaged_file_is_a_picture_or_an_image_error(
    data: bytes, changes: list[tuple[float, bytes, int]]
) -> None:
    for place, new, gone in changes:
        at = int(place * len(data))
        data = data[:at] + new + data[at + gone :]
    try:
        assert read_image(data, Limits(max_pixels=100_000)).mode == "RGB"
    except ImageError as error:
        assert error.message and "\n" not in error.code


def test_a_decoders_own_kind_of_error_is_an_image_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's AVIF decoder raises RuntimeError for damaged colour planes."""

    def fail(self: Image.Image) -> None:
        raise RuntimeError("Decoding of color planes failed")

    monkeypatch.setattr("PIL.AvifImagePlugin.AvifImageFile.load", fail)
    with pytest.raises(ImageError, match="color planes"):
        read_image(encode(plain("RGB", RED), "AVIF"))


def stderr_of(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_pillows_remarks_on_metadata_stay_off_stderr(tmp_path: Path) -> None:
    exif, path = Image.Exif(), tmp_path / "odd.jpg"
    exif[0x010E], exif[EXIF_ORIENTATION] = "a description", 1
    path.write_bytes(encode(plain("RGB", RED), "JPEG", exif=exif.tobytes()[:-20]))
    remarked = f"from PIL import Image; Image.open({str(path)!r}).getexif()"
    assert "UserWarning" in stderr_of(remarked)  # so it is a picture that Pillow remarks on
    ours = f"from pizzaiolo.core.image import read_image; read_image({str(path)!r})"
    assert stderr_of(ours) == ""
