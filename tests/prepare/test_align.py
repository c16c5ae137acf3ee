"""Laying one picture over another: the map that was planted comes back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hard_copies import grey, texture
from pizzaiolo.prepare.align import compare, detail, refine, warp

SAME = np.eye(2, 3, dtype=np.float32)[None]
small = st.floats(-0.05, 0.05)


def picture(seed: int = 0) -> np.ndarray:
    return grey(texture(seed)).astype(np.float32)[None]


def test_the_map_of_nothing_changes_nothing() -> None:
    seen, inside = warp(picture(), SAME)
    assert seen == pytest.approx(picture(), abs=0.1) and (inside == 1).all()


def test_a_map_shifts_and_what_lies_outside_is_told() -> None:
    shifted = SAME.copy()
    shifted[0, 0, 2] = 2 * 16 / 64  # 16 pixels of 64 to the right
    seen, inside = warp(picture(), shifted)
    assert seen[0, :, :48] == pytest.approx(picture()[0, :, 16:], abs=0.5)
    assert (inside[0, :, :48] == 1).all() and (inside[0, :, 48:] == 0).all()


@given(st.lists(small, min_size=6, max_size=6), st.integers(0, 50))
@settings(max_examples=25, deadline=None)
def test_a_planted_map_is_found(change: list[float], seed: int) -> None:
    planted = SAME + np.array(change, np.float32).reshape(1, 2, 3)
    template, _ = warp(picture(seed), planted)
    found = refine(picture(seed), template, SAME, 30)
    assert found == pytest.approx(planted, abs=0.01)
    match = compare(picture(seed), template, found)
    assert match.agreed[0] > 0.9 and match.off[0] < 0.1


def test_the_same_picture_agrees_and_another_does_not() -> None:
    source = np.concatenate([picture(0), picture(0), picture(0)])
    template = np.concatenate([picture(0), picture(1), 0.5 * picture(0) + 40])
    match = compare(source, template, np.repeat(SAME, 3, 0))
    assert match.agreed[[0, 2]] == pytest.approx(1, abs=0.05)
    assert match.off[[0, 2]] == pytest.approx(0, abs=0.05)
    assert match.agreed[1] < 0.4 and match.off[1] > 0.3


def test_a_bar_over_a_quarter_spoils_nothing() -> None:
    captioned = picture()
    captioned[0, 48:] = 255
    for pair in ((picture(), captioned), (captioned, picture())):
        match = compare(*pair, SAME)
        assert match.agreed[0] > 0.9 and match.off[0] < 0.1


@pytest.mark.parametrize(
    "change",
    [
        [[0.4, 0, 0], [0, 0.4, 0]],
        [[1, 0, 1.2], [0, 1, 0]],
        [[1, 0.3, 0], [-0.3, 1, 0]],
        [[1, 0, 0], [0, 0.4, 0]],
    ],
    ids=["too small a part", "hardly in sight", "turned by 17 degrees", "stretched"],
)
def test_what_does_not_happen_to_copies_is_no_agreement(change: list[list[float]]) -> None:
    maps = np.array([change], np.float32)
    template, _ = warp(picture(), maps)
    assert compare(picture(), template, maps).agreed.tolist() == [0]


def test_detail_is_blind_to_brightness_and_to_slow_changes() -> None:
    plain = detail(picture(), 4, floor=0.01)
    ramp = np.linspace(0, 60, 64, dtype=np.float32)
    assert detail(0.5 * picture() + 30, 4, floor=0.01) == pytest.approx(plain, abs=0.01)
    assert np.corrcoef(detail(picture() + ramp, 4).ravel(), plain.ravel())[0, 1] > 0.97
    assert np.abs(detail(np.full((1, 64, 64), 99, np.float32), 4)).max() < 1e-3
