"""Which unlabelled photos to label next: those that the model would learn most from."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..config import PrepareConfig
from ..console import log, track
from ..core.bundle import write_text
from ..core.labels import CLOSE, UNLIKE, Labels, human
from ..core.manifest import Dataset
from ..core.page import thumbnail, write_page
from ..errors import InputError, UsageError
from ..predict import Predictor, load_file
from ..prepare.candidate import one_line, readable
from ..prepare.sources.collect import every_file
from ..prepare.vectors import Features, unit
from .copies import known_pictures, with_known_novelty, without_copies
from .diverse import pick
from .unlabelled import EXACT, NEAR, LeftOut, Looker, Photo, Shortlist

CSV, PAGE, LEFT_OUT = "suggestions.csv", "suggestions.html", "suggestions-left-out.csv"
TEMPLATE = Path(__file__).with_name("suggest.html")
POOL, LEAST_POOL = 10, 1000  # photos that are compared: so many for each suggested, at least
# Measured on two splits, 20 draws each: 100 labelled photos, and 50 more of some 690. These bring
# 0.7 points of held-out accuracy more than 50 at random (0.2 to 1.3, and 0.1 to 1.1); doubt alone
# as much.
NEW = 0.5  # so much more counts the doubt of what is twice as novel as the cut
LEAD = 2.0  # the power of that worth against being different
DOUBTS = (0.8, CLOSE), (0.2, "unsure")  # of how close the two likeliest classes are, in words
SHOWN, SHOWN_LEFT_OUT, SIDE = 200, 50, 200  # pictures on the page, files named, pixels


@dataclass(frozen=True)
class Suggestion:
    """A photo to label: `why` in words, the likeliest class and its probability."""

    photo: Photo
    score: float
    why: str
    predicted: str
    probability: float

    @property
    def path(self) -> str:
        """Where the photo lies."""
        return readable(str(self.photo.file))


def suggest(
    model: Path | str,
    dataset: Path | str | Dataset,
    folder: Path | str,
    out: Path | str,
    count: int = 50,
) -> dict[str, Any]:
    """Rank the photos below a folder by what labelling them is worth, the best first.

    Looked for are photos of which the model is unsure, or which are unlike its training, and which
    differ from each other. Copies of what the DATASET holds, or left out, and of each other are
    not suggested, nor what can't be read; each of those is named with its reason. Writes
    suggestions.csv, suggestions.html and suggestions-left-out.csv into `out`.
    Raises `UsageError`, `InputError`, `ModelFileError` or `DatasetError`.
    """
    started = time.monotonic()
    if count < 1:
        raise UsageError(f"count is {count}, expected at least 1 photo to suggest")
    folder, out = Path(folder), Path(out)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {what}, expected a folder of photos without labels")
    if next(every_file(folder, out.resolve()), None) is None:
        raise InputError(f"{folder} holds no files", hint="put photos into it, in any subfolders")
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    predictor = load_file(model)
    known = known_pictures(predictor, data)
    with_known_novelty(predictor, data, known)
    listed = _shortlist(predictor, data, folder, out, max(POOL * count, LEAST_POOL))
    photos, copies = without_copies(listed.photos, known)
    listed.left_out.extend(copies)
    chosen = _chosen(predictor.labels, photos, known.embeddings.mean(axis=0), count)
    if len(chosen) < count:
        log.warning("%d photos are worth a suggestion, %d were asked for", len(chosen), count)
    result = {
        "folder": str(folder), "found": listed.found, "suggested": len(chosen),
        "left_out": listed.reasons, "suggestions": str(out / CSV), "page": str(out / PAGE),
        "seconds": round(time.monotonic() - started, 2),
    }  # fmt: skip
    _write(out, result, chosen, listed.left_out)
    return result


def _shortlist(
    predictor: Predictor, data: Dataset, folder: Path, out: Path, most: int
) -> Shortlist:
    """All files below the folder looked at, the most promising kept."""
    shas = {row.sha256: f"{row.path} of the data set" for row in data.rows if row.sha256}
    hashes = {int(row.phash, 16): f"{row.path} of the data set" for row in data.rows if row.phash}
    listed = Shortlist(most, worth, hashes)
    looker = Looker(predictor, _settings(data), shas)
    for seen in track(looker.look(every_file(folder, out.resolve())), "looking at photos"):
        listed.take(seen)
    return listed


def _settings(data: Dataset) -> PrepareConfig:
    """How the data set was prepared: what it would reject is of no use."""
    names = {field.name for field in fields(PrepareConfig)}
    return PrepareConfig(**{k: v for k, v in data.settings.items() if k in names})


def worth(photo: Photo) -> float:
    """What labelling a photo is worth by itself, 0 to 1."""
    return worth_of(photo.unsure, photo.novelty)


def worth_of(unsure: float, novelty: float | None) -> float:
    """Doubt (1 less the margin, 0 to 1), which counts more where the novelty is over its cut."""
    beyond = min(max((novelty or 0.0) - 1.0, 0.0), 1.0)
    return unsure * (1 + NEW * beyond) / (1 + NEW)


def _chosen(
    labels: Labels, photos: Sequence[Photo], middle: Features, count: int
) -> list[Suggestion]:
    """The photos to label, the first the best; `middle` [D] is that of the known embeddings."""
    if not photos:
        return []
    quality = np.array([worth(photo) for photo in photos])
    away = np.stack([photo.embedding for photo in photos]) - middle
    places = pick(quality**LEAD, unit(away), count)
    return [_suggestion(labels, photos[i], float(quality[i])) for i in places]


def _suggestion(labels: Labels, photo: Photo, score: float) -> Suggestion:
    likeliest = int(photo.probabilities.argmax())
    why = [words for least, words in DOUBTS if photo.unsure >= least][:1]
    why += [UNLIKE] if (photo.novelty or 0.0) > 1 else []
    probability = float(photo.probabilities[likeliest])
    words = ", ".join(why) or "different from the others"
    return Suggestion(photo, score, words, labels.names[likeliest], probability)


def _write(
    out: Path, result: dict[str, Any], chosen: Sequence[Suggestion], left: Sequence[LeftOut]
) -> None:
    """Write the three files, each whole or not at all; the list of suggestions is the last."""
    _write_page(out / PAGE, result, chosen, left)
    _write_csv(
        out / LEFT_OUT,
        ("path", "reason", "detail"),
        ((readable(str(x.file)), x.reason, x.detail) for x in left),
    )
    _write_csv(
        out / CSV,
        ("path", "score", "why", "predicted", "probability"),
        ((s.path, f"{s.score:.4f}", s.why, s.predicted, f"{s.probability:.4f}") for s in chosen),
    )


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([header, *rows])
    write_text(path, buffer.getvalue())


def _write_page(
    path: Path, result: dict[str, Any], chosen: Sequence[Suggestion], left: Sequence[LeftOut]
) -> None:
    folder = Path(result["folder"])
    by_reason: dict[str, list[dict[str, str]]] = {reason: [] for reason in result["left_out"]}
    for item in left:
        if len(by_reason[item.reason]) < SHOWN_LEFT_OUT:
            named = {"path": _below(item.file, folder), "detail": one_line(item.detail)}
            by_reason[item.reason].append(named)
    shown = [
        {"item": s, "path": _below(s.photo.file, folder), "picture": thumbnail(s.photo.file, SIDE)}
        for s in chosen[:SHOWN]
    ]
    copies = sum(result["left_out"].get(reason, 0) for reason in (EXACT, NEAR))
    values = {
        "title": "Photos to label next",
        "subtitle": f"{result['found']:,} files in {one_line(str(folder))}",
        "version": __version__,
        "r": result,
        "copies": copies,
        "unusable": len(left) - copies,
        "shown": shown,
        "left_out": by_reason,
        "human": human,
    }
    write_page(path, TEMPLATE, values)


def _below(file: Path, folder: Path) -> str:
    return one_line(str(file.relative_to(folder)))
