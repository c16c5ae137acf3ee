"""Wrong labels: planted shares are found again, and sound labels are left in peace."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pizzaiolo.core.labels import Labels
from pizzaiolo.improve.diagnose.noise import Noise, label_noise, noise_share
from pizzaiolo.prepare.label_noise import two_looks

LABELS = Labels(("other", "pizza"), positive="pizza")
COUNT = 800
TRUTH = np.arange(COUNT) % 2
PATHS = [f"{i}.jpg" for i in range(COUNT)]


def features(seed: int, apart: float, truth: np.ndarray = TRUTH) -> np.ndarray:
    """Embeddings of two classes; with 0.6 a model is right for about 97 of 100."""
    noise = np.random.default_rng(seed).normal(size=(len(truth), 64))
    noise[:, :12] += apart * (2 * truth[:, None] - 1)
    return noise.astype(np.float32)


def flipped(seed: int, share: float, one_sided: bool) -> np.ndarray:
    pool = np.flatnonzero(TRUTH == 1) if one_sided else np.arange(COUNT)
    wrong = np.random.default_rng(seed).choice(pool, round(share * COUNT), replace=False)
    given = TRUTH.copy()
    given[wrong] = 1 - given[wrong]
    return given


def estimate(seed: int, given: np.ndarray, apart: float = 0.6) -> Noise:
    return label_noise(features(seed, apart), given, PATHS, LABELS, PATHS, seed)


@pytest.mark.parametrize("one_sided", [False, True], ids=["both", "one"])
@pytest.mark.parametrize("seed", range(3))
def test_15_percent_are_estimated_at_10_to_20(seed: int, one_sided: bool) -> None:
    found = estimate(seed, flipped(seed, 0.15, one_sided))
    assert found.share.value is not None and 0.10 <= found.share.value <= 0.20
    assert found.share.low is not None and found.share.high is not None
    assert found.share.low <= 0.15 <= found.share.high
    assert found.found


def test_the_class_that_bears_the_wrong_labels_is_named() -> None:
    found = estimate(0, flipped(0, 0.15, one_sided=True))  # pizzas that are called other
    assert found.by_class["other"] > 3 * found.by_class["pizza"]


def test_the_suspects_are_mostly_the_flipped() -> None:
    given = flipped(1, 0.1, one_sided=False)
    wrong = {PATHS[i] for i in np.flatnonzero(given != TRUTH)}
    found = estimate(1, given)
    assert np.mean([suspect.path in wrong for suspect in found.suspects]) > 0.7
    assert all(suspect.label != suspect.suggested for suspect in found.suspects)


@pytest.mark.parametrize("apart", [0.6, 0.3, 0.15, 0.0], ids=["good", "fair", "poor", "blind"])
@pytest.mark.parametrize("seed", range(2))
def test_sound_labels_are_not_suspected_whatever_the_model(seed: int, apart: float) -> None:
    found = estimate(seed, TRUTH, apart)
    assert not found.found
    assert found.share.value is not None and found.share.value < 0.1


def test_one_class_or_no_groups_say_nothing() -> None:
    whole = label_noise(features(0, 0.6), TRUTH * 0, PATHS, LABELS, PATHS)
    together = label_noise(features(0, 0.6), TRUTH, ["one"] * COUNT, LABELS, PATHS)
    for found in (whole, together):
        assert found.share.value is None and not found.found and not found.suspects


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(2, 4), st.floats(0.2, 1))
def test_an_interval_lies_between_0_and_1_and_holds_the_share(
    seed: int, classes: int, independent: float
) -> None:
    random = np.random.default_rng(seed)
    looks = [random.dirichlet(np.full(classes, 0.3), 60) for _ in range(2)]
    found = noise_share(looks[0], looks[1], random.integers(0, classes, 60), independent)
    assert found.value is not None and found.low is not None and found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.fixture
def looks() -> Callable[[float], tuple[np.ndarray, np.ndarray]]:
    def look(share: float) -> tuple[np.ndarray, np.ndarray]:
        given = flipped(3, share, one_sided=False)
        found = two_looks(features(3, 0.6), given, PATHS)
        assert found is not None
        return found

    return look


def test_near_duplicates_widen_the_interval(
    looks: Callable[[float], tuple[np.ndarray, np.ndarray]],
) -> None:
    given, (first, second) = flipped(3, 0.15, one_sided=False), looks(0.15)
    alone, alike = (noise_share(first, second, given, share) for share in (1.0, 0.4))
    assert alone.low is not None and alike.low is not None
    assert alone.high is not None and alike.high is not None
    assert alike.low < alone.low and alike.high > alone.high
