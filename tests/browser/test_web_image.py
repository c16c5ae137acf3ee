"""The exported page's image path and decision, run by the browser, against Python's."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pizzaiolo.core.labels import Labels
from pizzaiolo.core.novelty import Novelty
from pizzaiolo.core.preprocess import FILTERS, MODES, Preprocess

PAGE = Path(__file__).parents[2] / "src" / "pizzaiolo" / "export" / "page"
# Shrinking a little and much, enlarging, one side each way, tall enough that Pillow starts with
# the height, long enough that only the middle is seen, and already of the right size.
SIZES = [(320, 240), (57, 90), (40, 31), (90, 60), (66, 500), (700, 40), (72, 72), (641, 479)]
PREPROCESS = """([width, height, base64, preprocess]) => {
  const rgb = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const rows = (x, y, wide, count) => {
    const part = new Uint8ClampedArray(wide * count * 4);
    for (let row = 0; row < count; row++)
      for (let column = 0; column < wide; column++)
        for (let c = 0; c < 3; c++)
          part[(row * wide + column) * 4 + c] = rgb[((y + row) * width + x + column) * 3 + c];
    return part;
  };
  return Array.from(preprocessed({ width, height, rows }, preprocess));
}"""


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    """An empty page that knows the two scripts."""
    page = browser.new_page()
    for name in ("image.js", "decide.js"):
        page.add_script_tag(path=PAGE / name)
    yield page
    page.close()


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def seen(page: Any, pixels: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """What the page's model sees of pixels [H, W, 3]."""
    height, width, _ = pixels.shape
    packed = base64.b64encode(pixels.tobytes()).decode()
    values = page.evaluate(PREPROCESS, [width, height, packed, preprocess.to_dict()])
    return np.array(values, np.uint8).reshape(preprocess.size, preprocess.size, 3)


def furthest(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("mode", MODES)
def test_the_browser_resizes_as_pillow_does(page: Any, mode: str, filter: str) -> None:
    preprocess = Preprocess(64, 72, mode, filter)
    for size in SIZES:
        pixels = noise(*size)
        received = seen(page, pixels, preprocess)
        assert furthest(received, preprocess(Image.fromarray(pixels))) <= 1, size


def test_the_measure_sees_another_filter(page: Any) -> None:
    pixels = noise(320, 240)
    received = seen(page, pixels, Preprocess(64, 72, "crop", "bilinear"))
    assert furthest(received, Preprocess(64, 72, "crop", "bicubic")(Image.fromarray(pixels))) > 10


LABELS = [
    Labels(("not_pizza", "pizza"), "pizza", 0.4, (0.4, 0.7), 1.0),
    Labels(("pizza", "not_pizza"), "pizza", 0.5),
    Labels(("cat", "dog"), None, 0.5, (0.4, 0.6)),
    Labels(("a", "b", "c"), None, 0.5, (0.0, 0.5), 1.5),
    Labels(("a", "b", "c")),
]


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: "/".join(labels.names))
def test_the_browser_decides_as_python_does(page: Any, labels: Labels) -> None:
    random = np.random.default_rng(1)
    shares = random.dirichlet(np.full(len(labels.names), 0.7), 200).round(2)
    novelties = [None, *random.uniform(0, 2, 198).round(1).tolist(), 1.0]
    cases = [[row, novelty] for row, novelty in zip(shares.tolist(), novelties, strict=True)]
    call = "([labels, cases]) => cases.map(([p, novelty]) => decide(labels, p, novelty))"
    received = page.evaluate(call, [labels.to_dict(), cases])
    for (row, novelty), answer in zip(cases, received, strict=True):
        expected = labels.decide(row, novelty)
        given = (answer["label"], answer["confidence"], answer["reason"])
        assert given == (expected.label, expected.confidence, expected.reason), (row, novelty)


def test_the_browser_scores_novelty_as_python_does(page: Any) -> None:
    random = np.random.default_rng(2)
    directions = np.linalg.qr(random.normal(size=(40, 5)))[0].T
    novelty = Novelty.from_facts(
        Novelty(
            random.normal(0, 0.1, 40).astype(np.float32),
            directions.astype(np.float32),
            random.normal(0, 0.2, (3, 5)).astype(np.float32),
            random.uniform(0.01, 0.1, 5).astype(np.float32),
            0.02,
            7.5,
        ).to_facts()
    )
    embeddings = random.normal(0, 2, (60, 40)).astype(np.float32)
    embeddings[0], embeddings[1, 3], embeddings[2] = 0, 1e-30, np.abs(embeddings[2])
    call = "([facts, rows]) => rows.map(noveltyFrom(facts))"
    received = page.evaluate(call, [novelty.to_facts(), embeddings.tolist()])
    assert np.allclose(received, novelty.scores(embeddings), rtol=1e-5)
    assert page.evaluate("noveltyFrom(null)") is None


def test_an_embedding_that_is_no_number_is_most_unlike(page: Any) -> None:
    facts = Novelty(
        np.zeros(2, np.float32), np.eye(2, dtype=np.float32), np.zeros((1, 2), np.float32),
        np.ones(2, np.float32), 1.0, 1.0,
    ).to_facts()  # fmt: skip
    assert page.evaluate("(facts) => noveltyFrom(facts)([NaN, 1])", facts) == 1e9
    assert Novelty.from_facts(facts).scores(np.array([[np.nan, 1]]))[0] == 1e9
