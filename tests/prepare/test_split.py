"""The split: groups stay together, classes are spread, and little moves when pictures come."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pizzaiolo.core.manifest import SPLITS
from pizzaiolo.prepare.split import assign_splits

RATIOS = (0.7, 0.15, 0.15)
items = st.lists(
    st.tuples(st.integers(0, 12).map(lambda n: f"g{n}"), st.sampled_from("abc")), max_size=60
)
shares = st.tuples(*[st.floats(0.05, 1)] * 3)


@given(items=items, ratios=shares, seed=st.integers(0, 9))
@settings(deadline=None)
def test_groups_stay_together_and_every_class_is_everywhere(
    items: list[tuple[str, str]], ratios: tuple[float, ...], seed: int
) -> None:
    groups, labels = [g for g, _ in items], [label for _, label in items]
    splits = assign_splits(groups, labels, ratios, seed)
    assert len(splits) == len(items) and set(splits) <= set(SPLITS)
    of_group = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        of_group[group].add(split)
    assert all(len(found) == 1 for found in of_group.values())
    assert splits == assign_splits(groups, labels, ratios, seed)
    members = defaultdict(Counter)
    for group, label in items:
        members[group][label] += 1
    stratum = {g: min(c, key=lambda name: (-c[name], name)) for g, c in members.items()}
    for label in set(stratum.values()):
        own = {next(iter(of_group[g])) for g, name in stratum.items() if name == label}
        assert len(own) == 3 or list(stratum.values()).count(label) < 3


@given(st.permutations(range(30)))
@settings(max_examples=20)
def test_the_order_of_the_pictures_does_not_matter(order: list[int]) -> None:
    groups, labels = [f"g{i // 2}" for i in range(30)], ["ab"[i % 4 // 2] for i in range(30)]
    plain = dict(zip(groups, assign_splits(groups, labels, RATIOS, 0), strict=True))
    mixed = assign_splits([groups[i] for i in order], [labels[i] for i in order], RATIOS, 0)
    assert all(plain[groups[i]] == split for i, split in zip(order, mixed, strict=True))


@pytest.mark.parametrize("ratios", [RATIOS, (0.5, 0.25, 0.25), (0.9, 0.05, 0.05), (1, 2, 1)])
@pytest.mark.parametrize("size", [1, 5])
def test_the_shares_are_near_the_ratios_in_every_class(
    ratios: tuple[float, ...], size: int
) -> None:
    groups = [f"g{i // size}" for i in range(1000)]
    labels = ["a" if int(g[1:]) % 4 else "b" for g in groups]
    splits = assign_splits(groups, labels, ratios, 3)
    for label in "ab":
        own = [s for s, name in zip(splits, labels, strict=True) if name == label]
        for split, ratio in zip(SPLITS, ratios, strict=True):
            assert own.count(split) / len(own) == pytest.approx(ratio / sum(ratios), abs=0.02)


@pytest.mark.parametrize("count", range(3, 12))
def test_a_small_class_has_a_picture_in_every_split(count: int) -> None:
    groups = [f"g{i}" for i in range(count)]
    for seed in range(5):
        assert set(assign_splits(groups, ["a"] * count, (0.9, 0.05, 0.05), seed)) == set(SPLITS)


def test_another_seed_gives_another_split() -> None:
    """Pain: a seed without effect."""
    groups = [f"g{i}" for i in range(100)]
    made = {tuple(assign_splits(groups, ["a"] * 100, RATIOS, seed)) for seed in range(5)}
    assert len(made) == 5


def test_few_pictures_move_when_some_are_added() -> None:
    groups = [f"g{i}" for i in range(300)]
    before = assign_splits(groups, ["a"] * 300, RATIOS, 0)
    after = assign_splits([*groups, *"xyz"], ["a"] * 303, RATIOS, 0)
    moved = sum(a != b for a, b in zip(before, after, strict=False))
    assert moved <= 3


def test_one_huge_group_does_not_starve_the_splits() -> None:
    groups = ["huge"] * 90 + [f"g{i}" for i in range(10)]
    for seed in range(8):
        splits = assign_splits(groups, ["a"] * 100, RATIOS, seed)
        assert set(splits) == set(SPLITS) and len(set(splits[:90])) == 1


def test_fewer_splits_can_be_asked_for() -> None:
    groups = [f"g{i}" for i in range(40)]
    splits = assign_splits(groups, ["a"] * 40, (0.7, 0.15), 0, ("train", "test"))
    assert Counter(splits) == {"train": 33, "test": 7}
    assert assign_splits([], [], RATIOS, 0) == []
