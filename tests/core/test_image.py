"""The one image path, first half: any file becomes an upright RGB picture, or says why not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pizzaiolo.core.image import FORMATS, Limits, read_bytes, read_header, read_image, to_rgb
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import ImageError
from toy_pictures import encode

RED, WHITE = (255, 0, 0), (255, 255, 255)
EXIF_ORIENTATION = 0x0112


def plain(mode: str, colour: Any, side: int = 16) -> Image.Image:
    return Image.new(mode, (side, side), colour)


def grey(values: Any, kind: type) -> Image.Image:
    return Image.fromarray(np.full((16, 16), values, kind))


def middle(image: Image.Image) -> NDArray[np.int64]:
    assert image.mode == "RGB"
    return np.asarray(image.getpixel((image.width // 2, image.height // 2)), np.int64)


def noise(side: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))


# --- the mode table ---------------------------------------------------------------------------

HALF_RED = (255, 127, 127)  # red at alpha 128, over white
PALETTE = plain("RGB", RED).quantize(2)
MODES = {
    "1": (encode(plain("1", 1)), WHITE),
    "L": (encode(plain("L", 77)), (77, 77, 77)),
    "LA over white": (encode(plain("LA", (0, 128))), (127, 127, 127)),
    "P": (encode(PALETTE), RED),
    "P with a transparent colour": (encode(PALETTE, transparency=0), WHITE),
    "P with alphas": (encode(PALETTE, transparency=bytes([128, 255])), HALF_RED),
    "RGB": (encode(plain("RGB", RED)), RED),
    "RGB with a transparent colour": (encode(plain("RGB", RED), transparency=RED), WHITE),
    "L with a transparent grey": (encode(plain("L", 7), transparency=7), WHITE),
    "RGBA over white": (encode(plain("RGBA", (*RED, 128))), HALF_RED),
    "RGBA in WebP": (encode(plain("RGBA", (*RED, 128)), "WEBP", lossless=True), HALF_RED),
    "RGBA, clear": (encode(plain("RGBA", (0, 0, 0, 0))), WHITE),
    "CMYK in TIFF": (encode(plain("CMYK", (0, 255, 255, 0)), "TIFF"), RED),
    "YCbCr in TIFF": (encode(plain("RGB", RED).convert("YCbCr"), "TIFF"), (254, 0, 0)),
    "I;16": (encode(grey(0x8080, np.uint16)), (128, 128, 128)),
    "I;16, all of the range": (encode(grey(0xFFFF, np.uint16)), WHITE),
    "I;16 that is dark stays dark": (encode(grey(257, np.uint16)), (1, 1, 1)),
    "I with 16 bit": (encode(grey(0x8080, np.int32), "TIFF"), (128, 128, 128)),
    "I with 8 bit": (encode(grey(200, np.int32), "TIFF"), (200, 200, 200)),
    "I under zero": (encode(grey(-5, np.int32), "TIFF"), (0, 0, 0)),
    "F from 0 to 1": (encode(grey(0.5, np.float32), "TIFF"), (128, 128, 128)),
    "F from 0 to 255": (encode(grey(200, np.float32), "TIFF"), (200, 200, 200)),
    "F from 0 to 65535": (encode(grey(0x8080, np.float32), "TIFF"), (128, 128, 128)),
    "F without a number": (encode(grey(np.nan, np.float32), "TIFF"), (0, 0, 0)),
}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_becomes_rgb(name: str) -> None:
    data, colour = MODES[name]
    assert np.abs(middle(read_image(data)) - colour).max() <= 1


def test_one_infinite_pixel_leaves_a_float_picture_as_it_is() -> None:
    values = np.full((16, 16), 0.5, np.float32)
    values[0, 0], values[0, 1] = np.inf, -np.inf
    image = read_image(encode(Image.fromarray(values), "TIFF"))
    assert image.getpixel((8, 8)) == (128, 128, 128)
    assert (image.getpixel((0, 0)), image.getpixel((1, 0))) == (WHITE, (0, 0, 0))


def test_cmyk_jpeg_is_read_inverted_with_adobes_mark_and_without() -> None:
    """Pain: CMYK refused (turicreate) or silently garbled (matconvnet)."""
    adobe = encode(plain("CMYK", (0, 255, 255, 0)), "JPEG", quality=95)
    assert b"Adobe" in adobe
    assert np.abs(middle(read_image(adobe)) - RED).max() <= 3
    unmarked = plain("CMYK", (0, 255, 255, 0))
    assert np.abs(middle(to_rgb(unmarked)) - RED).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_of_several_frames_the_first_is_read(kind: str) -> None:
    others = [plain("RGB", (0, 255, 0)), plain("RGB", (0, 0, 255))]
    data = encode(plain("RGB", RED), kind, save_all=True, append_images=others)
    assert np.abs(middle(read_image(data)) - RED).max() <= 3


@pytest.mark.parametrize("short_side", [None, 100])
def test_mpo_as_phones_write_it_is_a_jpeg_with_more_behind(short_side: int | None) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    photo = Image.new("RGB", (800, 600), RED)
    data = encode(photo, "MPO", save_all=True, append_images=[photo.resize((80, 60))], exif=exif)
    header = read_header(data)
    assert (header.format, header.width, header.height, header.orientation) == ("MPO", 800, 600, 6)
    assert read_image(data, short_side=short_side).size == (
        (150, 200) if short_side else (600, 800)
    )


# --- colour profiles --------------------------------------------------------------------------


def swapped_profile() -> bytes:
    """An RGB profile whose red is sRGB's blue: what ignores it shows the wrong colour."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    place = {bytes(data[i : i + 4]): i for i in range(132, 132 + 12 * data[131], 12)}
    red, blue = place[b"rXYZ"] + 4, place[b"bXYZ"] + 4
    data[red : red + 8], data[blue : blue + 8] = data[blue : blue + 8], data[red : red + 8]
    return bytes(data).replace(b"s\0R\0G\0B", b"t\0e\0s\0t").replace(b"sRGB", b"test")


@pytest.mark.parametrize(
    ("kind", "image"),
    [
        ("PNG", plain("RGB", RED)),
        ("PNG", plain("RGBA", (*RED, 255))),
        ("PNG", plain("RGB", RED).quantize(2)),
        ("JPEG", plain("RGB", RED)),
        ("WEBP", plain("RGB", RED)),
        ("TIFF", plain("RGB", RED)),
    ],
)
def test_colours_go_through_the_profile_to_srgb(kind: str, image: Image.Image) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.abs(middle(read_image(encode(image, kind, **options))) - RED).max() <= 3
    managed = read_image(encode(image, kind, icc_profile=swapped_profile(), **options))
    assert np.abs(middle(managed) - (0, 0, 255)).max() <= 8


def test_what_is_transparent_stays_white_under_a_profile() -> None:
    data = encode(plain("RGBA", (0, 0, 0, 0)), icc_profile=swapped_profile())
    assert np.abs(middle(read_image(data)) - WHITE).max() <= 2


@pytest.mark.parametrize("profile", [b"", b"no profile", swapped_profile()[:300]])
def test_a_broken_profile_is_left_aside(profile: bytes) -> None:
    data = encode(plain("RGB", (90, 80, 70)), icc_profile=profile)
    assert middle(read_image(data)).tolist() == [90, 80, 70]


def test_a_profile_of_another_kind_of_picture_is_left_aside() -> None:
    data = encode(plain("L", 90), icc_profile=swapped_profile())
    assert middle(read_image(data)).tolist() == [90, 90, 90]


# --- orientation ------------------------------------------------------------------------------

BACK = {  # what a camera stores so that the turn makes it upright
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip
EXACT = {
    "JPEG": {"quality": 95, "subsampling": 0}, "PNG": {}, "TIFF": {}, "WEBP": {"lossless": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}  # fmt: skip


def corners() -> Image.Image:
    """60 x 40 pixels with four different corners."""
    pixels = np.full((40, 60, 3), 255, np.uint8)
    pixels[:20, :30], pixels[:20, 30:], pixels[20:, :30] = RED, (0, 255, 0), (0, 0, 255)
    return Image.fromarray(pixels)


def stored(orientation: int, kind: str) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    back = BACK[orientation]
    image = corners() if back is None else corners().transpose(back)
    return encode(image, kind, exif=exif, **EXACT[kind])


@pytest.mark.parametrize("orientation", BACK)
@pytest.mark.parametrize("kind", EXACT)
def test_every_orientation_comes_out_upright(orientation: int, kind: str) -> None:
    """Pain: EXIF rotation ignored (torchvision, TensorFlow, YOLOv5)."""
    image = read_image(stored(orientation, kind))
    assert image.size == (60, 40)
    for x, y in ((10, 10), (50, 10), (10, 30), (50, 30)):
        expected = np.asarray(corners().getpixel((x, y)), int)
        assert np.abs(np.asarray(image.getpixel((x, y)), int) - expected).max() < 40


@pytest.mark.parametrize("orientation", BACK)
@pytest.mark.parametrize("kind", EXACT)
def test_the_headers_sides_and_turn_tell_the_upright_size(orientation: int, kind: str) -> None:
    header = read_header(stored(orientation, kind))
    sides = (header.width, header.height)
    assert (sides[::-1] if header.orientation >= 5 else sides) == (60, 40)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_is_none_is_left_aside(value: int) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = value
    data = encode(corners(), "JPEG", exif=exif)
    assert read_header(data).orientation == 1 and read_image(data).size == (60, 40)


# --- draft scaling ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1600, 1200), (1200, 1601), (4000, 700), (513, 512), (300, 200)])
@pytest.mark.parametrize("mode", ["crop", "pad", "squash"])
def test_draft_decoding_keeps_what_the_resize_needs_and_shows_the_same(
    size: tuple[int, int], mode: str
) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    photo = Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC)
    data, preprocess = encode(photo, "JPEG", quality=95), Preprocess(mode=mode)
    drafted = read_image(data, short_side=preprocess.short_side)
    assert min(drafted.size) >= min(preprocess.short_side, *size)
    whole = preprocess(read_image(data)).astype(int)
    apart = np.abs(preprocess.load(data).astype(int) - whole)
    assert np.percentile(apart, 99) <= 6  # a row of padding more or less is no matter


def test_a_large_jpeg_is_decoded_at_a_fraction() -> None:
    assert read_image(encode(Image.new("RGB", (4096, 4096)), "JPEG"), short_side=256).width == 512
    assert read_image(encode(Image.new("RGB", (600, 512)), "JPEG"), short_side=256).height == 256
    assert read_image(encode(Image.new("RGB", (600, 511)), "JPEG"), short_side=256).height == 511


# --- limits, before decoding ------------------------------------------------------------------


def png_that_claims(width: int, height: int) -> bytes:
    """A header of any size over pixels that are not there: decoding it would fail."""
    import struct
    import zlib

    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [ihdr, b"IDAT" + zlib.compress(b""), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
    )


@pytest.mark.parametrize(
    ("data", "limits", "code", "words"),
    [
        (png_that_claims(300, 200), Limits(max_pixels=59_999), "too_many_pixels", "300 x 200"),
        (png_that_claims(60_000, 60_000), Limits(), "too_many_pixels", "pixels"),
        (png_that_claims(20, 9), Limits(min_side=10), "too_small", "20 x 9"),
        (bytes(101), Limits(max_bytes=100), "too_many_bytes", "101 bytes, the limit is 100"),
    ],
)
def test_limits_are_read_from_the_header(
    data: bytes, limits: Limits, code: str, words: str
) -> None:
    """Pain: upload bombs; a byte limit alone does not bound the pixels."""
    with pytest.raises(ImageError, match=words) as caught:
        read_image(data, limits)
    assert caught.value.code == code


def test_limits_are_inclusive() -> None:
    data = encode(Image.new("RGB", (20, 10)))
    assert read_image(data, Limits(len(data), 200, 10)).size == (20, 10)


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(10**12)  # sparse: it takes no space and would take all memory
    with pytest.raises(ImageError) as caught:
        read_bytes(tmp_path / "large.jpg")
    assert caught.value.code == "too_many_bytes"


# --- files that are none ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_an_error_not_half_a_picture(kind: str, share: float) -> None:
    """Pain: tolerating truncation poisons a run."""
    data = encode(noise(), kind)
    with pytest.raises(ImageError) as caught:
        read_image(data[: int(share * len(data))])
    assert caught.value.code in ("unreadable", "not_an_image")


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "unreadable", "empty"),
        (b"Flour, water, salt.", "not_an_image", "known kind .JPEG, PNG"),
        (b"<!doctype html><title>404</title>", "not_an_image", "no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image", "no picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "not_an_image", "known kind"),
        (encode(plain("RGB", RED), "PPM"), "not_an_image", "known kind"),
        (encode(plain("RGB", RED), "ICO"), "not_an_image", "known kind"),
        (encode(plain("RGB", RED), "EPS"), "not_an_image", "known kind"),
    ],
)
def test_what_is_no_picture_of_a_known_kind_says_so(data: bytes, code: str, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        read_image(data)
    assert caught.value.code == code


@pytest.mark.parametrize("kind", FORMATS)
def test_the_content_decides_not_the_suffix(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(encode(plain("RGB", RED), kind))
    assert read_header(path).format == kind
    assert np.abs(middle(read_image(str(path))) - RED).max() <= 5


@pytest.mark.parametrize(
    ("name", "words"), [("", "a folder"), ("gone.jpg", "missing"), ("x" * 300, "name too long")]
)
def test_a_path_that_is_no_file_says_what_it_is(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        read_bytes(tmp_path / name)
    assert caught.value.code == "unreadable"


def test_no_permission_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "locked.jpg").write_bytes(b"x")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ImageError, match="Permission denied"):
        read_image(tmp_path / "locked.jpg")
