"""Bursts: one camera, a few seconds, one group."""

import pytest

from pizzaiolo.prepare.bursts import MOST_IN_A_SECOND, Shot, burst_pairs


def at(second: int, camera: str | None = "Pixel 8") -> Shot:
    return camera, f"2024-05-06T07:{second // 60:02}:{second % 60:02}"


@pytest.mark.parametrize(
    ("shots", "pairs"),
    [
        ([at(0), at(2)], [(0, 1)]),
        ([at(0), at(3)], []),
        ([at(58), at(0), at(60)], [(0, 2)]),
        ([at(4), at(0), at(2)], [(1, 2), (0, 2)]),  # longer than two seconds, but one burst
        ([at(0), at(0, "Canon")], []),
        ([at(0, None), at(0, None)], []),
        ([("Pixel 8", None), ("Pixel 8", None)], []),
        ([], []),
    ],
)
def test_photos_of_one_camera_in_quick_succession(
    shots: list[Shot], pairs: list[tuple[int, int]]
) -> None:
    assert list(burst_pairs(shots, 2.0)) == pairs


def test_no_seconds_no_bursts() -> None:
    assert list(burst_pairs([at(0), at(0)], 0.0)) == []


def test_a_clock_that_was_never_set_makes_no_burst() -> None:
    assert list(burst_pairs([at(0)] * (MOST_IN_A_SECOND + 1), 2.0)) == []
    assert len(list(burst_pairs([at(0)] * MOST_IN_A_SECOND, 2.0))) == MOST_IN_A_SECOND - 1
