"""The way as one self-contained HTML page, made without Jinja: the light install has none."""

from __future__ import annotations

import json
import tempfile
from html import escape
from pathlib import Path
from string import Template

from PIL import Image

from .. import __version__
from ..core.bundle import write_text
from ..core.labels import human
from ..core.plot import RULES as CHART_STYLE
from ..core.preprocess import Preprocess
from ..core.shell import base_style, one_script
from ..errors import UsageError
from . import answer, draw, parts, words
from .pixel import Fit, Pixel, fit_of, turn_of
from .slots import REACH, RUN, TINTS, Slots, slots_of
from .stages import Stage, is_pooled, stages_of, written
from .way import Way

HERE = Path(__file__).parent
SUFFIXES = (".html", ".htm")
MOST_CLICKED = 288  # of the input's side, pixels: a larger one has no place in the page's 2 MB
FIRST = 460  # of the photo at the top, pixels
WORTH_SEEING = 1.3  # pixels of the picture that become one of the input
ZOOM = 48  # pixels of the enlarged part of the input


def check_page(path: Path) -> None:
    """Raise `UsageError` where a page can't be written: before the work, not after it."""
    if path.is_dir():
        raise UsageError(f"--html {path} is a folder, expected a file", hint="--html way.html")
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--html {path} ends with {path.suffix or 'nothing'!r}, expected .html")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        why = "it is a file" if folder.is_file() else error.strerror or str(error)
        raise UsageError(
            f"--html {path} can't be written: {folder}: {why}", hint="choose another folder"
        ) from None


def write_html(path: Path, way: Way, pixel: Pixel) -> None:
    """Write the page of a picture that was followed, whole or not at all."""
    template = Template((HERE / "page.html").read_text(encoding="utf-8"))
    fit, slots, stages = fit_of(way), slots_of(way, pixel), stages_of(way)
    named = {stage.name: stage for stage in stages}
    values = {
        **_opening(way, fit, pixel),
        **_before(way, fit, stages),
        **_one_pixel(way, fit, pixel, slots),
        **_tensor(way, slots, named),
        **_network(way, named),
        "route": parts.route(stages, str(way.answer.verdict)),
        "rows": parts.rows(stages),
        "code": escape(_code(way, pixel)),
        "version": __version__,
    }
    write_text(path, template.substitute(values))


def _opening(way: Way, fit: Fit, pixel: Pixel) -> dict[str, str]:
    preprocess = way.card.preprocess
    low, high = draw.ends(preprocess.mean, preprocess.std)
    script, script_hash = one_script(HERE / "pixel.js")
    data = f'<script type="application/json" id="data">{_data(way, fit)}</script>'
    style = base_style() + CHART_STYLE + draw.STYLE + (HERE / "style.css").read_text("utf-8")
    return {
        "style": style,
        "script_hash": script_hash,
        "script": f"{data}\n<script>{script}</script>" if _is_clicked(preprocess) else "",
        "name": escape(way.path.name),
        "model": escape(words.model_name(way)),
        "verdict": escape(str(way.answer.verdict)),
        "verdict_word": escape(str(way.answer.verdict)),
        "sure": escape(f"{human(str(way.answer.label))} with {way.answer.sure}"),
        "first": draw.photo(way.picture, FIRST),
        "photo": draw.photo(way.picture),
        "ring": _ring(fit, pixel),
        "size": str(preprocess.size),
        "last": str(preprocess.size - 1),
        "count": f"{way.pixels.size:,}",
        "low": f"{low:.3g}",
        "high": f"{high:.3g}",
    }


def _is_clicked(preprocess: Preprocess) -> bool:
    return preprocess.size <= MOST_CLICKED


def _data(way: Way, fit: Fit) -> str:
    preprocess = way.card.preprocess
    values = {
        "size": preprocess.size, "mean": preprocess.mean, "std": preprocess.std,
        "step": fit.step, "corner": fit.corner, "picture": fit.size,
        "turn": turn_of(way.header.orientation, fit.size),
        "reach": REACH, "run": RUN, "tints": TINTS,
    }  # fmt: skip
    return json.dumps(values)


def _ring(fit: Fit, pixel: Pixel) -> str:
    """The ring around the pixel on the whole picture; hidden where it was padded."""
    middles = [fit.corner[i] + (at + 0.5) * fit.step[i] for i, at in enumerate((pixel.x, pixel.y))]
    left, top = (100 * at / side for at, side in zip(middles, fit.size, strict=True))
    hidden = " hidden" if pixel.picture is None else ""
    style = f"left:{left:.3f}%;top:{top:.3f}%"
    return f'<i class="spot" data-on="picture" style="{style}"{hidden}></i>'


def _frame(fit: Fit, side: int) -> str:
    """A frame around what the model sees of the whole picture."""
    (left, top), (width, height) = (
        [100 * at / of for at, of in zip(ends, fit.size, strict=True)]
        for ends in (fit.corner, [side * step for step in fit.step])
    )
    place = f"left:{left:.3f}%;top:{top:.3f}%;width:{width:.3f}%;height:{height:.3f}%"
    return f'<i class="frame" style="{place}"></i>'


def _before(way: Way, fit: Fit, stages: list[Stage]) -> dict[str, str]:
    file, pixels, given = stages[:3]
    cropped = way.card.preprocess.mode == "crop"
    width, height = way.picture.size
    resized = way.resized.size
    return {
        "file_facts": parts.facts(file, "bytes", len(way.data)),
        "hex": parts.hexdump(way.data, words.marked(way.header)),
        "hex_count": str(min(len(way.data), parts.HEX_ROWS * parts.HEX_WIDE)),
        "signature": escape(words.signature(way.header, way.data)),
        "compression": words.compression(way),
        "pixels_facts": parts.facts(pixels, "height, width, channel", 3 * width * height),
        "decoding": _paragraphs(words.decoding(way)),
        "frame": _frame(fit, way.card.preprocess.size) if cropped else "",
        "frame_alt": "; a frame shows what the model will see" if cropped else "",
        "frame_says": words.seen(way, fit),
        "height": f"{height:,}",
        "width": f"{width:,}",
        "turned": _turned(way),
        "input_facts": parts.facts(given, "height, width, channel", way.pixels.nbytes),
        "resizing": words.resizing(way, fit),
        "resized": draw.photo(way.resized),
        "resized_ratio": f"{resized[0]} / {resized[1]}",
        "resized_shape": f"{resized[1]:,} rows, {resized[0]:,} columns",
    }


def _paragraphs(texts: list[str]) -> str:
    return "\n".join(f"<p>{escape(text)}</p>" for text in texts)


def _turned(way: Way) -> str:
    """Before and after the turn that the camera asks for; nothing where it asks for none."""
    orientation = way.header.orientation
    if orientation == 1:
        return ""
    back = words.TURNED_BACK[orientation]
    stored = way.picture.transpose(back)
    figures = "".join(
        f'<figure><img class="whole" src="{draw.photo(image, 320)}" alt="{alt}">'
        f"<figcaption>{alt}: {[image.height, image.width, 3]}</figcaption></figure>"
        for image, alt in ((stored, "As it is stored"), (way.picture, "Upright"))
    )
    return (
        "<h3>Turned upright</h3><p>The camera stored the picture as its sensor lies and wrote a "
        f"note beside it: EXIF orientation {orientation}, to be {words.TURNS[orientation]}. A "
        "program that doesn't read the note shows the network another picture.</p>"
        f'<div class="figures two">{figures}</div>'
    )


def _one_pixel(way: Way, fit: Fit, pixel: Pixel, slots: Slots) -> dict[str, str]:
    side = way.card.preprocess.size
    middles = (100 * (pixel.x + 0.5) / side, 100 * (pixel.y + 0.5) / side)
    under = fit.sampled(draw.as_pixels(way.picture), side)
    clicked = _is_clicked(way.card.preprocess)
    hidden = f'<img id="file-pixels" hidden src="{draw.exact(under)}" alt="">' if clicked else ""
    zoomed = [draw.exact(part) for part in draw.differing_part(way.pixels, under, ZOOM)]
    return {
        "x": str(pixel.x),
        "y": str(pixel.y),
        "spot_input": f"left:{middles[0]:.3f}%;top:{middles[1]:.3f}%",
        "input": draw.exact(way.pixels) if clicked else draw.photo(Image.fromarray(way.pixels)),
        "input_zoom": zoomed[0],
        "without_mean": _without_mean(fit, zoomed[1]),
        "at": parts.slot("code", "at", slots),
        "under": hidden,
        "pixel_table": parts.pixel_table(way, slots),
        "footprint": words.footprint(fit),
    }


def _without_mean(fit: Fit, picture: str) -> str:
    """The enlarged part as it would be with a pixel taken here and there; where that differs."""
    if min(fit.step) < WORTH_SEEING:
        return ""
    return (
        f'<figure><img class="dots" src="{picture}" alt="The same part, made without a mean">'
        "<figcaption>The same with single pixels taken and those between thrown away: fine "
        "patterns break. Here it shows most</figcaption></figure>"
    )


def _tensor(way: Way, slots: Slots, named: dict[str, Stage]) -> dict[str, str]:
    preprocess, tensor = way.card.preprocess, named["tensor"]
    low, high = draw.ends(preprocess.mean, preprocess.std)
    return {
        "tensor_facts": parts.facts(tensor, "pictures, channel, height, width", way.tensor.nbytes),
        "mean": written(preprocess.mean),
        "std": written(preprocess.std),
        "planes": parts.planes(way),
        "patch_side": str(2 * REACH + 1),
        "sheets": parts.sheets(slots),
        "memory": parts.memory(way, slots),
        "histogram": draw.histogram(way.pixels, preprocess.mean, preprocess.std),
        "histogram_says": f"Byte 0 has become {low:.3g} and byte 255 has become {high:.3g}; "
        f"this photo has {tensor.low:.3g} to {tensor.high:.3g}, mean {tensor.mean:.3g}.",
    }


def _network(way: Way, named: dict[str, Stage]) -> dict[str, str]:
    embedding, pooled = way.embedding[0], is_pooled(way)
    top = int(embedding.argmax())
    why = f", the mean of map {top} of the last stage" if pooled else ""
    return {
        "maps": _maps(way),
        "features": f"{embedding.size:,}",
        "embedding_facts": parts.facts(
            named["embedding"], "pictures, features", way.embedding.nbytes
        ),
        "embedding_says": words.embedding(way, pooled),
        "embedding_low": f"{embedding.min():.3g}",
        "embedding_high": f"{embedding.max():.3g}",
        "strip": draw.strip(embedding, f"The {embedding.size:,} numbers of the embedding as bars"),
        "top_features": f"The highest is number {top}{why}: {embedding[top]:.3g}.",
        "probabilities_facts": parts.facts(
            named["probabilities"], "pictures, classes", way.probabilities.nbytes
        ),
        "logits_say": _paragraphs(words.logits(way.card, embedding.size)),
        "logits": answer.logits_table(way),
        "decision": answer.decision(way),
    }


def _maps(way: Way) -> str:
    if not way.maps:
        return f"<p>{escape(words.no_maps(way))}</p>"
    stages = [
        parts.maps_of_stage(number, maps, way.card.preprocess.size)
        for number, maps in enumerate(way.maps, start=1)
    ]
    return "\n".join([f"<p>{words.MAPS}</p>", *stages])


def _code(way: Way, pixel: Pixel) -> str:
    model = "" if words.is_starter(way.card) or way.model is None else repr(str(way.model))
    return f"""import pizzaiolo
from pizzaiolo.inspect_tensors import follow

way = follow(pizzaiolo.load({model}), {str(way.path)!r})
print(way.pixels.shape, way.pixels.dtype)  # {way.pixels.shape} {way.pixels.dtype}
print(way.tensor.shape, way.tensor.dtype)  # {way.tensor.shape} {way.tensor.dtype}
print(way.pixels[{pixel.y}, {pixel.x}])  # {list(pixel.input)}
print(way.tensor[0, :, {pixel.y}, {pixel.x}])  # {[round(v, 4) for v in pixel.tensor]}
print(way.answer.verdict)  # {way.answer.verdict}"""
