"""Robustness: corruptions that grow with severity, the same for a seed, within a budget."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pizzaiolo.core.labels import Labels
from pizzaiolo.evaluate import robustness as module
from pizzaiolo.evaluate.robustness import (
    CORRUPTIONS,
    FEWEST,
    Panel,
    Pixels,
    affordable,
    robustness,
    spoil,
    spread,
)

LABELS = Labels(("dark", "bright"), positive="bright")


def stripes(count: int = 6, side: int = 48) -> Pixels:
    """Pictures with edges and colours, all different."""
    random = np.random.default_rng(0)
    coarse = random.integers(40, 216, (count, 6, 6, 3), dtype=np.uint8)
    return coarse.repeat(side // 6, axis=1).repeat(side // 6, axis=2)


def by_brightness(pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A model of two classes that looks at the mean grey value alone."""
    mean = pixels.mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - mean, mean], axis=1).astype(np.float32), np.zeros((len(pixels), 1), "f4")


def two_shades(count: int) -> tuple[Pixels, NDArray[np.int64]]:
    truth = np.arange(count) % 2
    pixels = np.where(truth, 200, 60)[:, None, None, None].repeat(32, 1).repeat(32, 2).repeat(3, 3)
    return pixels.astype(np.uint8), truth


def panel_of(*given: Any, **settings: Any) -> Panel:
    found = robustness(*given, **settings)
    assert found is not None
    return found


def change(before: Pixels, after: Pixels) -> float:
    return float(np.abs(before.astype(np.float64) - after).mean())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_keeps_the_shape_and_grows_with_its_severity(name: str) -> None:
    pixels = stripes()
    before = pixels.copy()
    spoilt = [spoil(name, pixels, severity, seed=0) for severity in (1, 2, 3, 4, 5)]
    assert (pixels == before).all()
    assert all(s.shape == pixels.shape and s.dtype == np.uint8 for s in spoilt)
    if name != "rotation":  # squares turned by more look no more different
        changes = [change(pixels, s) for s in spoilt]
        assert changes == sorted(changes) and changes[0] > 0
    amounts = np.diff(CORRUPTIONS[name].amounts)
    assert len(amounts) == 4 and ((amounts > 0).all() or (amounts < 0).all())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_seed_spoils_in_the_same_way(name: str) -> None:
    pixels = stripes(20)
    once, again = (spoil(name, pixels, 3, seed=4) for _ in range(2))
    assert (once == again).all()
    if name not in ("blur", "jpeg"):  # which leave nothing to chance
        assert (spoil(name, pixels, 3, seed=5) != once).any()


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(CORRUPTIONS)), st.integers(1, 40), st.integers(1, 5))
def test_pictures_of_any_side_can_be_spoilt(name: str, side: int, severity: int) -> None:
    pixels = np.random.default_rng(side).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    assert spoil(name, pixels, severity, seed=0).shape == pixels.shape


def test_a_turned_picture_has_no_black_corners() -> None:
    white = np.full((1, 60, 60, 3), 255, np.uint8)
    for severity in (1, 2, 3, 4, 5):
        assert (spoil("rotation", white, severity, seed=0) == 255).all()


def test_a_quarter_turn_is_numpys() -> None:
    pixels = stripes(4)
    turned = spoil("rotation", pixels, 5, seed=0)
    for before, after in zip(pixels, turned, strict=True):
        # The middle of a picture of even side lies between pixels, so one line may be off by one.
        gaps = [np.abs(np.rot90(before, k).astype(int) - after)[2:-2, 2:-2] for k in (1, 3)]
        assert min(float((gap > 0).mean()) for gap in gaps) < 0.15


def test_an_occlusion_covers_its_share() -> None:
    white = np.full((5, 100, 100, 3), 255, np.uint8)
    for severity, share in enumerate(CORRUPTIONS["occlusion"].amounts, start=1):
        covered = (spoil("occlusion", white, severity, seed=0) == module.GREY).all(axis=3)
        assert covered.mean(axis=(1, 2)) == pytest.approx(share, abs=0.01)


def test_pictures_get_darker_and_brighter() -> None:
    grey = np.full((40, 8, 8, 3), 100, np.uint8)
    means = spoil("brightness", grey, 1, seed=0).mean(axis=(1, 2, 3))
    assert set(means.round()) == {71, 141}  # half a stop is a factor of 1.41


def test_the_curve_falls_where_the_model_is_weak() -> None:
    pixels, truth = two_shades(40)
    panel = panel_of(by_brightness, LABELS, pixels, truth)
    assert panel.n == panel.of == 40 and panel.clean.accuracy == 1
    assert list(panel.curves) == list(CORRUPTIONS)
    for name, curve in panel.curves.items():
        assert [p.severity for p in curve] == [1, 2, 3, 4, 5]
        assert all(p.low <= p.accuracy <= p.high for p in curve)
        expected = {"brightness": 0.3 < curve[4].accuracy < 0.8}
        assert expected.get(name, curve[4].accuracy == 1), name


def test_the_answer_is_the_models_verdict_with_its_threshold() -> None:
    pixels, truth = two_shades(16)
    strict = Labels(LABELS.names, positive="bright", threshold=0.9)
    assert panel_of(by_brightness, strict, pixels, truth).clean.accuracy == 0.5


def test_the_same_seed_gives_the_same_panel() -> None:
    pixels, truth = two_shades(30)
    once, again = (panel_of(by_brightness, LABELS, pixels, truth, seed=2) for _ in range(2))
    assert once.curves == again.curves


class Clock:
    """Time that passes only while the model answers: `each` seconds for a picture."""

    def __init__(self, each: float) -> None:
        self.now, self.each, self.answered = 0.0, each, 0

    def __call__(self) -> float:
        return self.now

    def run(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.now += self.each * len(pixels)
        self.answered += len(pixels)
        return by_brightness(pixels)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Clock]]:
    def patched(each: float) -> Clock:
        made = Clock(each)
        monkeypatch.setattr(module, "perf_counter", made)
        return made

    yield patched  # type: ignore[misc]


@pytest.mark.parametrize(("each", "seconds"), [(0.012, 20), (0.03, 20), (0.1, 90)])
def test_the_budget_of_seconds_is_kept(clock: type[Clock], each: float, seconds: float) -> None:
    pixels, truth = two_shades(200)
    time = clock(each)
    panel = panel_of(time.run, LABELS, pixels, truth, seconds=seconds)
    assert FEWEST <= panel.n < 100 and panel.of == 200
    assert panel.seconds == pytest.approx(time.now, abs=0.01)
    assert 0.7 * seconds < panel.seconds <= seconds


def test_a_quick_model_answers_a_hundred_pictures(clock: type[Clock]) -> None:
    pixels, truth = two_shades(200)
    assert panel_of(clock(0.001).run, LABELS, pixels, truth).n == 100


def test_a_slow_model_gives_no_panel_and_says_so(
    clock: type[Clock], caplog: pytest.LogCaptureFixture
) -> None:
    """Pain: curves of a handful of pictures, after minutes."""
    pixels, truth = two_shades(200)
    time = clock(0.5)
    with caplog.at_level("WARNING", "pizzaiolo"):
        assert robustness(time.run, LABELS, pixels, truth, seconds=20) is None
    assert "no robustness" in caplog.text and "of 20" in caplog.text
    assert time.answered == 16  # the first batch, twice
    few, answers = two_shades(3)
    assert panel_of(clock(0.1).run, LABELS, few, answers, seconds=20).n == 3


def test_no_pictures_are_refused() -> None:
    pixels, truth = two_shades(0)
    with pytest.raises(ValueError, match="no pictures"):
        robustness(by_brightness, LABELS, pixels, truth)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 9))
def test_every_beginning_holds_the_classes_as_evenly_as_it_can(
    labels: list[int], seed: int
) -> None:
    truth = np.array(labels)
    order = spread(truth, len(truth), seed)
    assert sorted(order.tolist()) == list(range(len(truth)))
    full = np.bincount(truth, minlength=4)
    for length in range(1, len(truth) + 1):
        held = np.bincount(truth[order[:length]], minlength=4)
        unfinished = held[held < full]
        assert held.max() - min(unfinished, default=held.max()) <= 1


@settings(deadline=None)
@given(st.floats(1e-4, 10), st.floats(0, 100), st.integers(0, 500))
def test_what_is_affordable_fits_and_is_enough_to_tell(
    each: float, seconds: float, count: int
) -> None:
    taken = affordable(each, seconds, count)
    assert taken == 0 or min(FEWEST, count) <= taken <= count
    assert taken * each <= seconds
