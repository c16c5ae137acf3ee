"""The numbers of one pixel, and the page that shows every tensor with its pictures."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import UNLIKE, Labels
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import EXTRA_OF, UsageError
from pizzaiolo.inspect_tensors import Way, draw, follow, pixel_at, words, write_html
from pizzaiolo.inspect_tensors.answer import decision, logits_table
from pizzaiolo.inspect_tensors.parts import hexdump
from pizzaiolo.inspect_tensors.pixel import fit, read_place, turn_of, turned_back
from pizzaiolo.inspect_tensors.slots import ink_on, tint
from pizzaiolo.inspect_tensors.way import logits_of
from pizzaiolo.starter import load
from toy_predictor import LABELS, predictor

HOSTILE = """<script>alert('x')</script>&"$name.png"""
MOST = 2_000_000  # bytes of a page


def slope(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downwards."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, width).round()
    pixels[:, :, 1] = np.linspace(0, 255, height).round()[:, None]
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Way:
    """A slope, 90 x 60, on its way through a model of colours."""
    path = tmp_path_factory.mktemp("slope") / "slope.png"
    slope(90, 60).save(path)
    return follow(predictor(), path)


# --- one pixel ------------------------------------------------------------------------------------


def test_a_pixel_has_the_numbers_of_the_arrays(way: Way) -> None:
    pixel = pixel_at(way, (20, 7))
    assert pixel.input == tuple(way.pixels[7, 20].tolist())
    assert pixel.tensor == tuple(way.tensor[0, :, 7, 20].tolist())
    assert pixel.unit == pytest.approx([v / 255 for v in pixel.input])
    assert pixel.tensor == pytest.approx([(v - 0.5) / 0.5 for v in pixel.unit], abs=1e-6)
    assert pixel.picture is not None and pixel.decoded == way.picture.getpixel(pixel.picture)
    assert (pixel_at(way).x, pixel_at(way).y) == (16, 16)


@pytest.mark.parametrize("size", [(90, 60), (60, 90), (64, 64), (33, 500), (640, 480), (9, 7)])
@pytest.mark.parametrize("mode", ["crop", "pad", "squash"])
def test_a_pixel_comes_from_the_place_that_is_told(size: tuple[int, int], mode: str) -> None:
    preprocess, picture = Preprocess(32, 36, mode=mode), slope(*size)
    where = fit(preprocess, picture.size, preprocess.resized(picture).size)
    under, seen = where.sampled(np.asarray(picture), 32), preprocess(picture)
    slack = 3 + np.ceil(255 / min(size))  # what one pixel of the picture makes
    inner = slice(2, -2)
    inside = np.array([[where.place(x, y) is not None for x in range(32)] for y in range(32)])
    away = np.abs(under.astype(int) - seen).max(2)
    assert (away[inner, inner][inside[inner, inner]] <= slack).mean() > 0.95
    assert inside.all() == (mode != "pad" or size[0] == size[1])
    place = where.place(16, 16)
    assert place is not None and (under[16, 16] == picture.getpixel(place)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pixel_is_found_where_the_file_has_it(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8))
    stored.save(tmp_path / "turned.png", exif=exif)
    way = follow(predictor(), tmp_path / "turned.png")
    turn = turn_of(orientation, way.picture.size)
    for x in range(way.picture.width):
        for y in range(way.picture.height):
            assert stored.getpixel(turned_back((x, y), turn)) == way.picture.getpixel((x, y))
    if orientation > 1:
        back = way.picture.transpose(words.TURNED_BACK[orientation])
        assert back.tobytes() == stored.tobytes()


def test_what_was_padded_comes_from_nowhere(tmp_path: Path) -> None:
    slope(90, 30).save(tmp_path / "wide.png")
    way = follow(predictor(preprocess=Preprocess(32, 32, mode="pad")), tmp_path / "wide.png")
    pixel = pixel_at(way, (3, 0))
    assert (pixel.picture, pixel.decoded, pixel.input) == (None, None, (128, 128, 128))
    write_html(tmp_path / "page.html", way, pixel)
    assert "padding" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("text", ["", "5", "1,2,3", "a,b", "-1,4", "1.5,2", "²,1", "1;2"])
def test_a_wrong_text_for_a_pixel(text: str) -> None:
    with pytest.raises(UsageError, match="expected X,Y"):
        read_place(text)


@pytest.mark.parametrize("place", [(32, 0), (0, 32), (-1, 0), (10**8, 3)])
def test_a_pixel_outside_of_the_input(way: Way, place: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="expected 0,0 to 31,31"):
        pixel_at(way, place)


# --- the pictures of the page ---------------------------------------------------------------------


def test_text_on_any_colour_can_be_read() -> None:
    def luminance(colour: tuple[int, ...]) -> float:
        parts = [c / 255 for c in colour]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    colours = [tint(channel, value) for channel in range(3) for value in range(256)]
    colours += [(v, v, v) for v in range(256)]
    for colour in colours:
        under = luminance(colour) + 0.05
        contrast = under / 0.05 if ink_on(colour) == "#000" else 1.05 / under
        assert contrast >= 4.5, colour


def test_the_liveliest_maps_differ_between_parts() -> None:
    maps = np.zeros((1, 4, 56, 56), np.float32)
    maps[0, 1] = 5  # high, and the same everywhere
    maps[0, 2, :, :28] = 1  # one half of the picture
    maps[0, 3] = 2 * (np.indices((56, 56)).sum(0) % 2)  # restless, and the same in every part
    assert draw.liveliest(maps, 2)[0] == 2


def test_a_tile_is_dark_at_the_low_end_and_light_at_the_high_one() -> None:
    import base64
    import io

    values = np.array([[0, 1], [2, 9]], np.float32)
    data = base64.b64decode(draw.tile(values, 0, 2).partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int).sum(2)
    assert tuple(Image.open(io.BytesIO(data)).convert("RGB").getpixel((0, 0))) == draw.OVEN[0]
    assert pixels[0, 0] < pixels[0, 1] < pixels[1, 0] == pixels[1, 1]


def test_the_part_is_where_two_pictures_differ_most() -> None:
    one = np.zeros((64, 64, 3), np.uint8)
    other = one.copy()
    other[40:60, 10:20] = 200
    parts = draw.differing_part(one, other, 24)
    assert [p.shape for p in parts] == [(24, 24, 3)] * 2 and not parts[0].any()
    assert (parts[1] == 200).sum() == 20 * 10 * 3
    small = draw.differing_part(one[:9, :9], other[:9, :9], 24)
    assert small[0].shape == (9, 9, 3)


def test_a_histogram_counts_every_pixel(way: Way) -> None:
    svg = draw.histogram(way.pixels, (0.5, 0.4, 0.3), (0.5, 0.2, 0.3))
    assert svg.count('<polyline class="curve') == 3 and 'role="img"' in svg


def test_the_first_bytes_are_written_as_they_are() -> None:
    dump = hexdump(b"\x89PNG\r\n\x1a\n<b>&", 8)
    assert "<mark>89 50 4E 47 0D 0A 1A 0A</mark>" in dump and "3C 62 3E 26" in dump
    assert "&lt;b&gt;&amp;" in dump and "<b><b>" not in dump


# --- from logits to the verdict -------------------------------------------------------------------


def test_logits_give_the_probabilities_back() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1]], np.float32)
    labels = Labels(("a", "b", "c"))
    card = Card(labels, Preprocess(), {}, temperature=1.7)
    for made in (card, card.with_(scales=(1.0, 1.2, 0.9), offsets=(0.0, 0.1, 0.2))):
        logits = logits_of(probabilities, made) / (1 if made.scales else 1.7)
        shares = np.exp(logits) / np.exp(logits).sum()
        assert shares == pytest.approx(probabilities, abs=1e-6)


def test_the_table_of_logits_shows_each_step(way: Way) -> None:
    warm = replace(way, card=way.card.with_(temperature=2.0))
    warm = replace(warm, logits=logits_of(way.probabilities, warm.card))
    assert "÷ 2</th>" in logits_table(warm) and "÷" not in logits_table(way)
    many = Labels(tuple(f"class {i}" for i in range(20)))
    shares = np.full((1, 20), 0.05, np.float32)
    crowd = replace(way, card=way.card.with_(labels=many), probabilities=shares, logits=shares)
    assert "with 12 more" in logits_table(crowd)


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "over": ({"reject_band": None}, {}, ["over the threshold", "no band", "verdict is Pizza"]),
    "band": ({"threshold": 0.3, "reject_band": (0.3, 0.9)}, {}, ["too close to call", "inside"]),
    "under": ({"threshold": 0.9}, {}, ["under the threshold"]),
    "novel": ({}, {"novelty": 3.2, "reason": UNLIKE}, ["over the limit, 1.00", UNLIKE]),
    "known": ({}, {"novelty": 0.4, "reason": None}, ["The limit is 1.00: it has seen"]),
    "blind": ({}, {"novelty": None}, ["doesn't know what its training pictures"]),
    "no limit": ({"max_novelty": None}, {"novelty": 0.4}, ["sets no limit"]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_explained(way: Way, case: str) -> None:
    changes, answer, expected = CASES[case]
    shares = np.array([[0.2, 0.8]], np.float32)
    labels = replace(LABELS, **{"threshold": 0.5, "reject_band": (0.5, 0.7), **changes})
    made = labels.decide(shares[0].tolist(), answer.get("novelty"))
    answered = replace(
        way.answer, label=made.label, verdict=made.verdict, confidence=made.confidence,
        **{"reason": made.reason, "novelty": None, **answer},
    )  # fmt: skip
    told = decision(
        replace(way, card=way.card.with_(labels=labels), probabilities=shares, answer=answered)
    )
    plain = re.sub(r"<[^>]+>", "", told)
    assert [text for text in expected if text not in plain] == [], plain


# --- the page -------------------------------------------------------------------------------------


def test_the_page_has_every_stage_and_needs_no_network(
    starter: Path, pizza_file: Path, tmp_path: Path
) -> None:
    way = follow(load(starter), pizza_file)
    write_html(tmp_path / "page.html", way, pixel_at(way))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(page.encode()) < MOST
    body = page.partition("<body>")[2]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    for name in ("file", "pixels", "input", "tensor", "maps", "embedding", "probabilities"):
        assert f'<section id="{name}"' in body and f'href="#{name}"' in body
    assert body.count('class="tiles maps"') == 5 and "[1, 1280, 7, 7]" in body
    assert "$" not in re.sub(r"<script.*?</script>", "", body, flags=re.DOTALL)
    assert re.findall(r'<img(?![^>]*\salt="[^"]+")(?![^>]*hidden)[^>]{0,80}', body) == []


def test_a_page_of_noise_and_a_large_input_stay_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    for size in (288, 600):
        way = follow(predictor(preprocess=Preprocess(size, size)), tmp_path / "noise.png")
        write_html(tmp_path / "page.html", way, pixel_at(way))
        assert (tmp_path / "page.html").stat().st_size < MOST
    assert "<script" not in (tmp_path / "page.html").read_text()  # nothing to click on


def test_every_id_is_there_once(way: Way, tmp_path: Path) -> None:
    write_html(tmp_path / "page.html", way, pixel_at(way))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) > 20 and len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


@pytest.mark.parametrize(("mode", "told"), [
    ("crop", "In the frame is what the model will see: 67% of the picture."),
    ("pad", "what a square lacks is filled with grey"),
    ("squash", "pressed into a square"),
])  # fmt: skip
def test_the_page_tells_what_the_model_sees(tmp_path: Path, mode: str, told: str) -> None:
    slope(240, 160).save(tmp_path / "large.jpg")
    way = follow(predictor(preprocess=Preprocess(32, 32, mode=mode)), tmp_path / "large.jpg")
    write_html(tmp_path / "page.html", way, pixel_at(way))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert told in page and ('<i class="frame"' in page) == (mode == "crop")
    assert "this large JPEG is decoded at a quarter of its size, 60 × 40" in page
    assert "Here it shows most" in page


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 2)])
@pytest.mark.parametrize("mode", ["crop", "pad", "squash"])
def test_odd_pictures_have_a_page(tmp_path: Path, size: tuple[int, int], mode: str) -> None:
    Image.new("RGB", size, "red").save(tmp_path / "odd.png")
    way = follow(predictor(preprocess=Preprocess(32, 32, mode=mode)), tmp_path / "odd.png")
    for place in (None, (0, 0), (31, 31)):
        pixel = pixel_at(way, place)
        write_html(tmp_path / "page.html", way, pixel)
        assert pixel.decoded == (None if pixel.input == (128, 128, 128) else (255, 0, 0))


def test_a_small_picture_is_enlarged(tmp_path: Path) -> None:
    slope(9, 7).save(tmp_path / "small.png")
    way = follow(predictor(), tmp_path / "small.png")
    write_html(tmp_path / "page.html", way, pixel_at(way))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "new pixels lie between the old ones" in page and "The picture was enlarged" in page
    assert "Here it shows most" not in page


def test_a_hostile_name_is_only_a_name(tmp_path: Path) -> None:
    path = tmp_path / HOSTILE.replace("/", "_")
    slope(40, 40).save(path)
    labels = Labels(("<b>no</b>", "<i>yes</i>"), "<i>yes</i>")
    way = follow(predictor(Path("<u>m.onnx"), labels=labels), path)
    write_html(tmp_path / "page.html", way, pixel_at(way))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    assert not re.search(r"<b>no</b>|<i>yes|<u>m", page, re.IGNORECASE)


@pytest.mark.parametrize("kind", ["L", "P", "CMYK", "RGBA", "1"])
def test_every_mode_has_a_page(tmp_path: Path, kind: str) -> None:
    file = tmp_path / ("x.tif" if kind == "CMYK" else "x.png")
    slope(50, 40).convert(kind).save(file)
    way = follow(predictor(), file)
    write_html(tmp_path / "page.html", way, pixel_at(way))
    assert words.STORED[kind] in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_turned_photo_is_shown_before_and_after(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    slope(80, 40).save(tmp_path / "turned.jpg", exif=exif)
    way = follow(predictor(), tmp_path / "turned.jpg")
    write_html(tmp_path / "page.html", way, pixel_at(way))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "As it is stored: [40, 80, 3]" in page and "Upright: [80, 40, 3]" in page
    assert "EXIF orientation 6, to be turned by a quarter, clockwise" in page
    assert 'data-k="stored"' in page


def test_the_light_install_writes_the_page_and_says_what_shows_the_maps(
    starter: Path, pizza_file: Path, tmp_path: Path
) -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({tuple(EXTRA_OF)!r}))\n"
        f"sys.argv = ['pizzaiolo', 'inspect', {str(pizza_file)!r}, '--model', {str(starter)!r}, "
        "'--html', 'page.html']\n"
        "from pizzaiolo.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "pip install onnx" in page and "tiles maps" not in page


# --- the command ----------------------------------------------------------------------------------


def test_the_command_writes_a_page_and_tells_of_a_pixel(
    command: Any, starter: Path, pizza_file: Path, tmp_path: Path
) -> None:
    page = tmp_path / "new" / "way.html"
    asked = ["inspect", pizza_file, "--model", starter, "--pixel", "3,200"]
    done = command(*asked, "--html", page)
    assert done.code == 0 and page.is_file() and f"Page  {page}" in done.out
    assert "pixel 3,200" in done.out and "[0, :, 200, 3]" in done.out
    import json

    found = json.loads(command(*asked, "--json").out)
    assert found["page"] is None and (found["pixel"]["x"], found["pixel"]["y"]) == (3, 200)
    assert len(found["pixel"]["tensor"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--html", "."], "--html . is a folder, expected a file"),
        (["--html", "photo.jpg"], "ends with '.jpg', expected .html"),
        (["--html", "file/page.html"], "can't be written"),
        (["--html", "/proc/page.html"], "can't be written"),
        (["--pixel", "9"], "--pixel is '9', expected X,Y"),
        (["--pixel", "224,0"], "the pixel 224,0 is outside of the model's input"),
    ],
)
def test_wrong_flags_are_one_message(
    command: Any, starter: Path, pizza_file: Path, tmp_path: Path, arguments: list[str],
    message: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    done = command("inspect", pizza_file, "--model", starter, *arguments)
    assert done.code == 2 and done.out == "" and message in done.err
    assert done.err.startswith("error: ") and "Traceback" not in done.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_a_bad_picture_leaves_no_page(command: Any, starter: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no picture")
    html = tmp_path / "page.html"
    done = command("inspect", tmp_path / "bad.jpg", "--model", starter, "--html", html)
    assert done.code == 2 and "holds no picture" in done.err and not html.exists()
