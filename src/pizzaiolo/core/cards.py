"""The card of any model file, read without running it and without PyTorch."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from ..console import log
from ..errors import ModelFileError, UsageError
from . import onnx_file, openvino_file
from .archive import CARD, Records, read_archive
from .bundle import CARD_KEY, not_ours
from .card import Card
from .labels import Labels, guess_positive
from .preprocess import Preprocess


def read_card(path: Path) -> Card:
    """The card of a model file whose sum fits.

    Raises `ModelFileError` for a file that is cut off, altered, of a newer version, or none of
    pizzaiolo's.
    """
    card = find_card(path)
    if card is None:
        raise ModelFileError(
            f"{path} is an ONNX model without a card, so its classes are unknown",
            hint="name them in the order of its outputs: --labels not_pizza,pizza",
        )
    return card


def find_card(path: Path) -> Card | None:
    """As `read_card`; None for an ONNX file that was never given a card."""
    if path.suffix == ".onnx":
        text = onnx_file.card_text(path)
    elif path.suffix == ".xml":
        text = openvino_file.card_text(path)
    elif path.suffix == ".pt":
        text = _card_of_pt(path)
    else:
        return card_of(read_archive(path))
    return None if text is None else Card.from_json(text)


def card_of(records: Records) -> Card:
    """The card among the records of a .ts or .pt2 archive."""
    return Card.from_json(records[CARD].decode("utf-8", "replace"))


def _card_of_pt(path: Path) -> str:
    """The text behind the card's name in the archive's list of tensors, which is only looked at.

    `pickletools` takes a pickle apart and never builds what it describes.
    """
    import pickletools

    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = [
                n for n in archive.namelist() if n.count("/") == 1 and n.endswith("/data.pkl")
            ]
            texts = [a for _, a, _ in pickletools.genops(archive.read(name)) if isinstance(a, str)]
        return texts[texts.index(CARD_KEY) + 1]
    except (zipfile.BadZipFile, ValueError, IndexError, EOFError, NotImplementedError):
        raise not_ours(path, "it holds no card") from None


def assumed_card(path: Path, names: tuple[str, ...], side: int) -> Card:
    """A card for a model without one: the classes, and the usual picture, with a warning.

    `side` is that of the pictures that the graph takes, pixels.
    """
    short = round(side * Preprocess().short_side / Preprocess().size)
    log.warning(
        "%s has no card: its classes are taken to be %s, a picture the middle %d x %d pixels of "
        "one with a short side of %d, and its probabilities as they are",
        path, ", ".join(names), side, side, short,
    )  # fmt: skip
    labels = Labels(names, positive=guess_positive(names))
    return Card(labels, Preprocess(side, short), {"kind": "unknown", "name": path.name})


def check_labels(card: Card | None, labels: Sequence[str] | None, path: Path) -> None:
    """Raise `UsageError` where labels are named for a model that has its own."""
    if card is not None and labels is not None and tuple(labels) != card.labels.names:
        raise UsageError(
            f"labels are {', '.join(labels)}, but the card of {path} names "
            f"{', '.join(card.labels.names)}",
            hint="leave --labels out, it is for models without a card",
        )
