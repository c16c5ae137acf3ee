"""What the pixels suffer from: measures of grey pictures, and the flags they raise."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageEnhance, ImageFilter

from pizzaiolo.config import PrepareConfig
from pizzaiolo.demo.sample import render_sample
from pizzaiolo.prepare.inspect import look_closely
from pizzaiolo.prepare.quality import Quality, channel_moments, mean_and_std, measure

ANY_PICTURE = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


def quality_of(image: Image.Image) -> Quality:
    return look_closely(image)[1]


def flags(image: Image.Image, **settings: Any) -> list[str]:
    return quality_of(image).flags(PrepareConfig(**settings))


@given(ANY_PICTURE)
def test_the_measures_are_those_of_the_pixels(grey: "np.ndarray[Any, Any]") -> None:
    found = measure(grey, np.bincount(grey.ravel(), minlength=256))
    assert found.brightness == pytest.approx(grey.mean() / 255)
    assert found.contrast == pytest.approx(grey.std() / 255, abs=1e-9)
    share = np.bincount(grey.ravel()) / grey.size
    share = share[share > 0]
    assert found.entropy == pytest.approx(float(-(share * np.log2(share)).sum()), abs=1e-9)
    assert (grey <= round(found.dark_end * 255)).mean() >= 0.05
    assert (grey <= round(found.bright_end * 255)).mean() >= 0.95
    if min(grey.shape) >= 3:
        wide = grey.astype(float)
        around = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
        expected = (4 * wide[1:-1, 1:-1] - around).var()
        assert found.sharpness == pytest.approx(expected, rel=1e-3, abs=0.5)


def test_sharpness_falls_with_blur() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8))
    blurred = noise.filter(ImageFilter.GaussianBlur(3))
    assert quality_of(noise).sharpness > 10 * quality_of(blurred).sharpness > 0


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return render_sample("pizza", 3)


def test_a_good_photo_has_no_flag(photo: Image.Image) -> None:
    assert flags(photo) == []


def test_each_fault_has_its_flag_and_its_setting(photo: Image.Image) -> None:
    blurred = photo.filter(ImageFilter.GaussianBlur(9))
    dark = ImageEnhance.Brightness(photo).enhance(0.2)
    bright = Image.eval(photo, lambda value: 200 + value // 5)
    plain = Image.new("L", (80, 80), 90)
    plain.paste(200, (0, 0, 40, 80))
    assert "blurry" in flags(blurred) and "blurry" not in flags(blurred, blur_below=0.0)
    assert "dark" in flags(dark) and "dark" not in flags(dark, dark_below=0.0)
    assert "over_exposed" in flags(bright)
    assert "over_exposed" not in flags(bright, bright_above=1.0)
    assert "low_information" in flags(plain.convert("RGB"), information_below=1.5)
    assert "low_information" not in flags(plain.convert("RGB"), information_below=0.5)


def test_the_channels_mean_and_spread_are_those_of_all_pixels() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), np.uint8)
    moments = [
        channel_moments(np.asarray(Image.fromarray(picture).histogram())) for picture in pixels
    ]
    found = mean_and_std(np.asarray(moments))
    assert found["mean"] == pytest.approx(pixels.mean((0, 1, 2)) / 255, abs=1e-4)
    assert found["std"] == pytest.approx(pixels.std((0, 1, 2)) / 255, abs=1e-4)
