"""HEIC, as iPhones write it by default: read like any other picture, or said what is missing."""

import base64
import sys

import numpy as np
import pytest

from pizzaiolo.core.image import Limits, read_header, read_image
from pizzaiolo.errors import ImageError

# 64 x 48 pixels, red on the left and green on the right, made for this test.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAWltZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA"
    "AAAAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABjQABAAAAAAAAAH4AAAAjaWluZgAAAAAAAQAAABVpbmZlAgAA"
    "AAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA6WlwcnAAAADKaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34"
    "+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5"
    "uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAQAAAAAEAAAAw"
    "AAAAAQAAAAAAAAAC////8AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAF2lwbWEAAAAAAAAAAQABBIECBIMAAACGbWRh"
    "dAAAAHooAa8J4DkjJL//+f+///aheQ/aW1cE4/sFr//Gpn//NdXURjWLKvDfXL9HiaeTlLFWIx3wqpbF80lOTuaf"
    "asFPKxanwixifywPCgV7H6pewC9zxKnCiGgx72X5BKhP+RR+iyAGCiKErUanXWZjqr5qlfA5yPe/vUpIxg=="
)


def test_its_pixels_are_read() -> None:
    pytest.importorskip("pi_heif")
    image = read_image(HEIC)
    assert image.mode == "RGB" and image.size == (64, 48)
    pixels = np.asarray(image, np.int64)
    assert np.abs(pixels[24, 12] - (200, 30, 40)).max() < 12
    assert np.abs(pixels[24, 52] - (20, 200, 60)).max() < 12


def test_its_header_is_read_before_it_is_decoded() -> None:
    pytest.importorskip("pi_heif")
    header = read_header(HEIC)
    assert (header.format, header.width, header.height) == ("HEIF", 64, 48)
    with pytest.raises(ImageError) as caught:
        read_image(HEIC, Limits(max_pixels=1000))
    assert caught.value.code == "too_many_pixels"


@pytest.mark.parametrize("length", [24, 100, 300, len(HEIC) - 60])
def test_a_truncated_one_is_an_image_error(length: int) -> None:
    pytest.importorskip("pi_heif")
    with pytest.raises(ImageError) as caught:
        read_image(HEIC[:length])
    assert caught.value.code in ("unreadable", "not_an_image")


def test_without_its_reader_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(ImageError, match=r"HEIC.*pip install 'pizzaiolo\[heic\]'") as caught:
        read_image(HEIC)
    assert caught.value.code == "not_an_image"
