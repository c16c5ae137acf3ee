"""Photos that no one has labelled: each is looked at once, only the best stay in memory."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..config import PrepareConfig
from ..core.image import Limits, read_bytes, read_image
from ..core.preprocess import resize_short_side
from ..errors import ImageError
from ..predict import BATCH, Embedding, Pixels, Predictor
from ..prepare.candidate import readable
from ..prepare.inspect import DETAIL_SIDE, look_closely, perceptual_hashes
from ..prepare.likeness import SIDE, Greys

WORKERS, AHEAD = 4, 3  # threads that decode; batches under way
EXACT, NEAR = "exact_duplicate", "near_duplicate"  # reasons, as prepare calls them


@dataclass(frozen=True, slots=True)
class Photo:
    """An unlabelled photo that could be read.

    `probabilities` [C] are calibrated where the model is, `embedding` is [D], `hashes` are the
    pHash and that of the mirror image, `grey` is uint8 [64, 64]. `novelty` is over 1 where nearly
    all of training is more usual, None where the model file does not know.
    """

    file: Path
    probabilities: NDArray[np.float32]
    embedding: Embedding
    novelty: float | None
    hashes: tuple[int, int]
    grey: Greys

    @property
    def unsure(self) -> float:
        """How close the two likeliest classes are: 1 less the margin, 0 to 1."""
        second, first = np.sort(self.probabilities)[-2:].tolist()
        return float(1.0 - (first - second))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not suggested: the reason, as in rejected.csv, and what there is to say."""

    file: Path
    reason: str
    detail: str


@dataclass
class Shortlist:
    """The `most` photos of the highest scores so far, and why others were left out.

    `hashes` names the pictures that are known by their perceptual hashes: another one with the
    same is a copy. Memory is that of `most` photos, and a few hundred bytes for each file.
    """

    most: int
    score: Callable[[Photo], float]
    hashes: dict[int, str]
    found: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
    heap: list[tuple[float, int, Photo]] = field(default_factory=list)

    def take(self, seen: Photo | LeftOut) -> None:
        """Count a file, and keep its photo if it is among the best so far; of equals the first."""
        self.found += 1
        if isinstance(seen, LeftOut):
            self.left_out.append(seen)
        elif original := self.hashes.get(seen.hashes[0]):
            self.left_out.append(LeftOut(seen.file, NEAR, f"looks like {original}"))
        else:
            self.hashes[seen.hashes[0]] = readable(str(seen.file))
            push = heapq.heappush if len(self.heap) < self.most else heapq.heappushpop
            push(self.heap, (self.score(seen), -self.found, seen))

    @property
    def photos(self) -> list[Photo]:
        """The kept photos, the highest score first."""
        return [photo for _, _, photo in sorted(self.heap, key=lambda e: e[:2], reverse=True)]

    @property
    def reasons(self) -> dict[str, int]:
        """How many files were left out, by reason, the most frequent first."""
        return dict(Counter(left.reason for left in self.left_out).most_common())


@dataclass(frozen=True, slots=True)
class _Decoded:
    file: Path
    sha: str
    pixels: Pixels
    hashes: tuple[int, int]
    grey: Greys


@dataclass(frozen=True)
class Looker:
    """Looks at files with a model, as `prepare` with the settings of a data set would take them."""

    predictor: Predictor
    config: PrepareConfig
    shas: dict[str, str]

    def look(self, files: Iterable[Path]) -> Iterator[Photo | LeftOut]:
        """What each file is, in order; a few batches are in memory, however many files come.

        `shas` names the contents that are known; that of every file is added to it.
        """
        with ThreadPoolExecutor(WORKERS) as pool:
            stream = (pool.submit(self._decode, file) for file in files)
            waiting = deque(islice(stream, AHEAD * BATCH))
            while waiting:
                ready = [waiting.popleft().result() for _ in range(min(BATCH, len(waiting)))]
                waiting.extend(islice(stream, BATCH))
                yield from self._answered([self._once(item) for item in ready])

    def _decode(self, file: Path) -> _Decoded | LeftOut:
        config = self.config
        limits = Limits(config.max_bytes, config.max_pixels, config.min_side)
        try:
            data = read_bytes(file, limits)
            sha = hashlib.sha256(data).hexdigest()
            if original := self.shas.get(sha):
                return LeftOut(file, EXACT, f"the same bytes as {original}")
            preprocess = self.predictor.card.preprocess
            image = read_image(data, limits, max(preprocess.short_side, DETAIL_SIDE))
            return self._measured(file, sha, image, preprocess(image))
        except ImageError as error:
            return LeftOut(file, error.code, readable(error.message))
        except Exception as error:  # a decoder's own fault must not stop the other files
            return LeftOut(file, "unreadable", f"{type(error).__name__}: {error}")

    def _measured(
        self, file: Path, sha: str, image: Image.Image, pixels: Pixels
    ) -> _Decoded | LeftOut:
        if min(image.size) > DETAIL_SIDE:
            image = resize_short_side(image, DETAIL_SIDE)
        small, quality = look_closely(image)
        spread = 255 * quality.contrast
        if spread < self.config.blank_range:
            return LeftOut(file, "blank", f"grey values spread by {spread:.1f} of 255")
        grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
        hashes = perceptual_hashes(small)
        return _Decoded(file, sha, pixels, hashes, np.asarray(grey, np.uint8))

    def _once(self, item: _Decoded | LeftOut) -> _Decoded | LeftOut:
        """The item, or that its content has been seen meanwhile."""
        if isinstance(item, LeftOut):
            return item
        if original := self.shas.get(item.sha):
            return LeftOut(item.file, EXACT, f"the same bytes as {original}")
        self.shas[item.sha] = readable(str(item.file))
        return item

    def _answered(self, items: list[_Decoded | LeftOut]) -> Iterator[Photo | LeftOut]:
        good = [item for item in items if isinstance(item, _Decoded)]
        rows = iter(self._figures(good))
        for item in items:
            if isinstance(item, LeftOut):
                yield item
            else:
                probabilities, embedding, novelty = next(rows)
                # Copies: a row would keep its whole batch in memory.
                own = probabilities.copy(), embedding.copy()
                yield Photo(item.file, *own, novelty, item.hashes, item.grey)

    def _figures(
        self, good: list[_Decoded]
    ) -> Iterator[tuple[NDArray[np.float32], Embedding, float | None]]:
        if good:
            probabilities, embeddings = self.predictor.run(np.stack([g.pixels for g in good]))
            yield from zip(
                probabilities, embeddings, self.predictor.scores(embeddings), strict=True
            )
