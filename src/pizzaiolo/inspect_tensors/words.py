"""The sentences of the page that hang on the photo."""

from __future__ import annotations

from PIL import Image

from ..core.card import Card
from ..core.image import Header
from ..core.labels import human
from .pixel import Fit
from .way import Way

SIGNATURES = {
    "JPEG": (3, "so begins every JPEG"),
    "MPO": (3, "so begins every JPEG, also one with more pictures behind it"),
    "PNG": (8, "so begins every PNG; the second to the fourth are its letters"),
    "GIF": (6, "the letters GIF and a version"),
    "BMP": (2, "the letters BM, for bitmap"),
    "WEBP": (4, "the letters RIFF, a box; WEBP stands after its length"),
    "TIFF": (4, "it says in which order the bytes of a number lie"),
}
TURNS = {
    2: "mirrored from left to right", 3: "turned by half", 4: "mirrored from top to bottom",
    5: "mirrored and turned by a quarter", 6: "turned by a quarter, clockwise",
    7: "mirrored and turned by a quarter", 8: "turned by a quarter, anticlockwise",
}  # fmt: skip
STORED = {
    "L": "one number a pixel, how light it is", "1": "black and white",
    "P": "numbers of the colours in a palette", "CMYK": "four inks", "YCbCr": "light and colour",
    "RGBA": "a fourth number a pixel, how opaque it is", "LA": "how light and how opaque each is",
}  # fmt: skip
_FLIP = Image.Transpose
TURNED_BACK = {  # from upright to stored
    2: _FLIP.FLIP_LEFT_RIGHT, 3: _FLIP.ROTATE_180, 4: _FLIP.FLIP_TOP_BOTTOM, 5: _FLIP.TRANSPOSE,
    6: _FLIP.ROTATE_90, 7: _FLIP.TRANSVERSE, 8: _FLIP.ROTATE_270,
}  # fmt: skip
SHARES = {2: "a half", 4: "a quarter", 8: "an eighth"}


def model_name(way: Way) -> str:
    """What the photo goes through."""
    name = str(way.card.architecture.get("name", "the network"))
    if is_starter(way.card):
        return f"the starter, {name}"
    return f"{way.model.name}, {name}" if way.model else name


def marked(header: Header) -> int:
    """How many of the first bytes name the format."""
    return SIGNATURES.get(header.format, (0, ""))[0]


def signature(header: Header, data: bytes) -> str:
    """What the first bytes mean."""
    count, meaning = SIGNATURES.get(header.format, (0, ""))
    if not count:
        return f"From the first bytes a program knows that this is {header.format}."
    first = " ".join(f"{byte:02X}" for byte in data[:count])
    return f"{first}: {meaning}. The name of the file plays no part."


def compression(way: Way) -> str:
    """How many bytes the file has for how many numbers."""
    width, height = way.picture.size
    numbers, count = 3 * width * height, len(way.data)
    told = f"{numbers:,} numbers ({width:,} × {height:,} pixels × 3) are in {count:,} bytes"
    if numbers > 1.5 * count:
        return f"{told}: packed {numbers / count:.0f} times smaller."
    return f"{told}."


def decoding(way: Way) -> list[str]:
    """What else happens between the bytes and the pixels."""
    found = []
    if way.header.mode != "RGB":
        stored = STORED.get(way.header.mode, f"the mode {way.header.mode}")
        found.append(f"The file stores {stored}; it becomes red, green and blue.")
    factor = round(min(way.picture.size) / min(way.decoded.size))
    if factor > 1:
        width, height = way.decoded.size
        found.append(
            f"For the model, this large JPEG is decoded at {SHARES.get(factor, 'a part')} of its "
            f"size, {width:,} × {height:,}: as much as it needs, and faster."
        )
    return found


def seen(way: Way, fit: Fit) -> str:
    """How much of the picture the model sees."""
    preprocess = way.card.preprocess
    if preprocess.mode == "squash":
        return "The model sees all of it, pressed into a square."
    if preprocess.mode == "pad":
        return "The model sees all of it; what a square lacks is filled with grey."
    width, height = way.picture.size
    share = preprocess.size**2 * fit.step[0] * fit.step[1] / (width * height)
    return f"In the frame is what the model will see: {min(share, 1):.0%} of the picture."


def resizing(way: Way, fit: Fit) -> str:
    """What makes the picture as large as the model wants it."""
    preprocess = way.card.preprocess
    size, width = preprocess.size, fit.step[0]
    how = {
        "crop": f"The short side becomes {preprocess.short_side} pixels, and of the middle "
        f"{size} × {size} are kept.",
        "pad": f"The long side becomes {size} pixels, and the rest is filled with grey.",
        "squash": f"Both sides become {size} pixels; the picture loses its proportions.",
    }[preprocess.mode]
    start = f"The network wants one size for all photos, {size} × {size}. {how} "
    if width <= 1.05:
        return start + "Here nothing has to shrink: new pixels lie between the old ones."
    by = f"The filter is {preprocess.filter}"
    if way.decoded.size != way.picture.size:
        by += ", after what the decoder has done of it"
    return start + (
        f"Each pixel is now a weighted mean of those that fall together, here about {width:.1f} "
        f"in each direction. {by}."
    )


def footprint(fit: Fit) -> str:
    """What an input pixel is of the decoded ones."""
    across, down = fit.step
    if min(across, down) < 1:
        return "The picture was enlarged, so several pixels of the input come from one of its own."
    return (
        f"One pixel of the input covers about {across:.1f} × {down:.1f} of the decoded picture. "
        "Its number is their weighted mean: near to that of the one in the middle, seldom equal."
    )


def embedding(way: Way, pooled: bool) -> str:
    """How the embedding comes out of the last feature maps."""
    features = way.embedding.shape[1]
    if not pooled or not way.maps:
        return f"The last layers make one row of {features:,} numbers of all that was found."
    maps = way.maps[-1]
    return (
        f"Each of the {features:,} last maps becomes one number, its mean: {maps.size:,} numbers "
        f"become {features:,}. Where something was is gone; what was there is left."
    )


def logits(card: Card, features: int) -> list[str]:
    """How probabilities come out of the embedding."""
    if is_starter(card):
        made = (
            "The starter's network knows 1,000 things, pizza among them; the odds of pizza against "
            "all others make these two logits."
        )
    else:
        made = (
            f"For each class, the last layer multiplies the {features:,} numbers by weights that "
            "it has learnt and adds them up. That is the logit of the class."
        )
    found = [made]
    if card.scales:
        found.append("A calibration with numbers for each class has changed them already.")
    elif card.temperature != 1:
        found.append(
            f"They are divided by the temperature, {card.temperature:.3g}: found on validation "
            "pictures, so that of all answers with 90 % about nine in ten are right."
        )
    found.append(
        "Softmax takes e to the power of each and divides by the sum: now all are over 0 and add "
        "up to 1."
    )
    found.append(
        "The model file gives the probabilities; the logits are worked back from them, with a "
        "mean of 0. The same number more on each changes nothing."
    )
    return found


def asked(way: Way) -> tuple[str, float]:
    """The class whose probability decides, for people, and that probability."""
    labels, shares = way.card.labels, way.probabilities[0].tolist()
    if len(labels.names) == 2:
        at = labels.binary_positive or 0
        return human(labels.names[at]), shares[at]
    return human(str(way.answer.label)), float(way.answer.confidence or 0)


def is_starter(card: Card) -> bool:
    """Whether it is the model that answers where none is named."""
    return card.architecture.get("kind") == "starter"


MAPS = (
    "A layer moves small filters over the tensor. Each makes a map: light where it found what it "
    "looks for, dark where it didn't. First these are edges and colours, later textures and parts. "
    "From stage to stage there are fewer places and more maps; here is the end of each stage."
)


def no_maps(way: Way) -> str:
    """Why there are no feature maps to be seen."""
    if way.maps is None:
        return (
            "They can't be seen in this file, or not with what is installed here. A RUN and its "
            "model.pt always show them, an .onnx file with one more package: pip install onnx."
        )
    return (
        "This network has no square maps in it: it may be a transformer, which works on a list of "
        "patches."
    )
