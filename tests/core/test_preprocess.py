"""The one image path, second half: golden tensors, sides, and normalisation."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pizzaiolo.core.preprocess import (
    FILTERS,
    MAX_ASPECT,
    MODES,
    PAD_COLOUR,
    Preprocess,
    resize_short_side,
)
from pizzaiolo.errors import ImageError, ModelFileError, UsageError


def picture(width: int = 300, height: int = 200) -> Image.Image:
    """Smooth colours with sharp lines: what aliases where a filter does not widen."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    lines = np.where((x // 2 + y // 3) % 2, 255, 0)
    return Image.fromarray(
        np.stack([lines, x * 255 // width, y * 255 // height], axis=2).astype(np.uint8)
    )


def digest(pixels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()[:16]


GOLDEN = {  # of picture(); a change here changes the answers of every model file that is out
    ("crop", "bicubic"): "e6361359cc5d1828",
    ("crop", "bilinear"): "88509b4d8f15fbf7",
    ("crop", "lanczos"): "c5481c724f224316",
    ("crop", "nearest"): "dd38e4a1151d5809",
    ("pad", "bicubic"): "85e38255e00ecf14",
    ("pad", "bilinear"): "eef535bf02bb0a28",
    ("pad", "lanczos"): "749578214601521b",
    ("pad", "nearest"): "5d839a2fa7352cfc",
    ("squash", "bicubic"): "62b28048e4b03860",
    ("squash", "bilinear"): "f2293e7944a85ebc",
    ("squash", "lanczos"): "02d20b1f3618f05e",
    ("squash", "nearest"): "207322ee989b1da6",
}


@pytest.mark.parametrize(("mode", "filter_name"), GOLDEN)
def test_golden_tensors(mode: str, filter_name: str) -> None:
    """Pain: preprocessing that differs at inference (Ultralytics, PyTorch, Teachable Machine)."""
    pixels = Preprocess(size=112, short_side=128, mode=mode, filter=filter_name)(picture())
    assert pixels.shape == (112, 112, 3) and pixels.dtype == np.uint8
    assert digest(pixels) == GOLDEN[mode, filter_name]


def test_golden_pixels() -> None:
    pixels = Preprocess(size=112, short_side=128)(picture())
    assert [pixels[y, x].tolist() for y, x in ((0, 0), (56, 56), (111, 5))] == [
        [255, 53, 16],
        [0, 127, 127],
        [239, 60, 237],
    ]


def test_a_shrunk_picture_is_anti_aliased() -> None:
    """Pain: resize without anti-aliasing, up to 76 of 255 per pixel (torchvision, YOLOs-CPP)."""
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = Preprocess(size=80, short_side=80)(Image.fromarray(stripes))
    assert np.abs(pixels[10:-10, 10:-10].astype(int) - 128).max() <= 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "size", [(300, 200), (200, 300), (224, 224), (31, 33), (1, 1000), (1000, 1), (1, 1), (3, 2001)]
)
def test_every_aspect_becomes_the_square(mode: str, size: tuple[int, int]) -> None:
    pixels = Preprocess(mode=mode)(Image.new("RGB", size, (9, 99, 199)))
    assert pixels.shape == (224, 224, 3)
    assert (pixels[111:113, 111:113] == (9, 99, 199)).all(axis=2).any()


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (30_000, 3)])
def test_a_line_of_pixels_costs_no_more_than_a_photo(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crop of 1 x 20,000 pixels would else pass through 256 x 5,120,000: 4 GB."""
    made, resize = [], Image.Image.resize

    def spy(self: Image.Image, to: tuple[int, int], *rest: object) -> Image.Image:
        made.append(to[0] * to[1])
        assert made[-1] < 2_000_000
        return resize(self, to, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", spy)
    assert Preprocess()(Image.new("RGB", size)).shape == (224, 224, 3) and made


@pytest.mark.parametrize("length", [999, 1000, 1001, 4000])
def test_of_a_long_picture_the_very_centre_is_shown(length: int) -> None:
    ramp = np.abs(np.arange(length) * 2 - (length - 1))  # symmetric about the centre
    row = np.minimum(ramp, 255).astype(np.uint8)
    image = Image.fromarray(np.broadcast_to(row[None, :, None], (10, length, 3)).copy())
    assert length > MAX_ASPECT * 10
    pixels = Preprocess()(image).astype(int)
    assert np.abs(pixels - pixels[:, ::-1]).max() <= 1
    assert np.abs(Preprocess()(image.rotate(90, expand=True)).astype(int)
                  - pixels.transpose(1, 0, 2)).max() <= 1  # fmt: skip


def test_crop_takes_the_centre_of_the_resized_picture() -> None:
    """Pain: a centre crop hides what lies at the edge; so the mode is a stored choice."""
    image = Image.new("RGB", (400, 200), (0, 0, 255))
    image.paste((255, 0, 0), (100, 0, 300, 200))
    crop, pad, squash = (
        Preprocess(size=100, short_side=100, mode=m)(image) for m in ("crop", "pad", "squash")
    )
    assert (crop[:, 3:-3] == (255, 0, 0)).all()
    assert (pad[:20] == PAD_COLOUR).all() and (pad[-20:] == PAD_COLOUR).all()
    assert pad[50, 50].tolist() == [255, 0, 0] and pad[50, 3].tolist() == [0, 0, 255]
    assert squash[50, 50].tolist() == [255, 0, 0] and squash[3, 3].tolist() == [0, 0, 255]


@given(
    width=st.integers(1, 300), height=st.integers(1, 300), side=st.integers(1, 64),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_resize_short_side_keeps_the_aspect(width: int, height: int, side: int) -> None:
    resized = resize_short_side(Image.new("RGB", (width, height)), side, "nearest")
    assert min(resized.size) == side
    assert max(resized.size) == max(side, round(max(width, height) * side / min(width, height)))
    assert (resized.width >= resized.height) == (width >= height) or resized.width == side


def test_a_path_its_bytes_and_the_picture_give_the_same_tensor(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    picture(900, 700).save(buffer, "PNG")
    (tmp_path / "p.png").write_bytes(buffer.getvalue())
    preprocess = Preprocess()
    tensors = [preprocess.load(tmp_path / "p.png"), preprocess.load(str(tmp_path / "p.png")),
               preprocess.load(buffer.getvalue()), preprocess(picture(900, 700))]  # fmt: skip
    assert len({digest(t) for t in tensors}) == 1


def test_load_of_no_picture_raises() -> None:
    with pytest.raises(ImageError, match="no picture"):
        Preprocess().load(b"text")


def test_normalise_is_torchvisions_formula() -> None:
    """Pain: normalisation forgotten or done twice at inference."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    preprocess = Preprocess(size=64, short_side=64, mean=mean, std=std)
    pixels = np.stack([preprocess(picture()), preprocess(picture(100, 300))])
    ours = preprocess.normalise(pixels)
    assert ours.shape == (2, 3, 64, 64) and ours.dtype == np.float32 and ours.flags.c_contiguous
    for channel in range(3):
        theirs = (pixels[..., channel] / 255.0 - mean[channel]) / std[channel]
        np.testing.assert_allclose(ours[:, channel], theirs, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("filter_name", FILTERS)
def test_dict_round_trip(mode: str, filter_name: str) -> None:
    made = Preprocess(96, 110, mode, filter_name, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    assert Preprocess.from_dict(made.to_dict()) == made
    assert Preprocess.from_dict({**made.to_dict(), "mean": [0.1, 0.2, 0.3]}) == made


DAMAGE = {
    "size": [0, -1, 224.5, "224", None, True, 10**9], "short_side": [100, "256", None],
    "mode": ["zoom", 3, None], "filter": ["cubic", None, []],
    "mean": [0.5, [0.5], ["a", "b", "c"], None, [0.1] * 4, [float("nan")] * 3],
    "std": [[0, 1, 1], [1, 1, -1], "111", None, [float("inf")] * 3], "sise": [224],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, vs in DAMAGE.items() for v in vs])
def test_damaged_values_of_a_card_are_refused(key: str, value: object) -> None:
    with pytest.raises(ModelFileError, match="preprocessing in the card is damaged"):
        Preprocess.from_dict({**Preprocess().to_dict(), key: value})


@pytest.mark.parametrize("values", [None, 7, [], [1], "text"])
def test_values_that_are_no_mapping_are_refused(values: object) -> None:
    with pytest.raises(ModelFileError, match="damaged"):
        Preprocess.from_dict(values)  # type: ignore[arg-type]


def test_a_wrong_choice_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="'cropp'") as caught:
        Preprocess(mode="cropp")
    assert "'crop'" in (caught.value.hint or "")
