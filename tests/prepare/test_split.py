"""The split: groups stay together, classes are spread, and nothing moves when pictures come."""

from collections import Counter, defaultdict
from math import sqrt
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pizzaiolo.core.manifest import SPLITS
from pizzaiolo.prepare.split import assign_splits

RATIOS = (0.7, 0.15, 0.15)
names = st.integers(0, 12).map(lambda n: f"g{n}")
items = st.lists(st.tuples(names, st.sampled_from("abc")), max_size=60)
shares = st.tuples(*[st.floats(0.05, 1)] * 3)
memories = st.dictionaries(names, st.sampled_from(SPLITS))


def strata(items: list[tuple[str, str]]) -> dict[str, set[str]]:
    """The groups of each class; a group counts for its commonest label."""
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for group, label in items:
        members[group][label] += 1
    found: dict[str, set[str]] = defaultdict(set)
    for group, labels in members.items():
        found[min(labels, key=lambda name: (-labels[name], name))].add(group)
    return found


@given(items=items, ratios=shares, seed=st.integers(0, 9), fixed=memories, exact=st.booleans())
@settings(deadline=None)
def test_groups_stay_together_and_every_class_is_everywhere(
    items: list[tuple[str, str]], ratios: tuple[float, ...], seed: int, fixed: dict[str, str],
    exact: bool,
) -> None:  # fmt: skip
    groups, labels = [g for g, _ in items], [label for _, label in items]
    splits = assign_splits(groups, labels, ratios, seed, fixed=fixed, exact=exact)
    assert len(splits) == len(items) and set(splits) <= set(SPLITS)
    of_group = dict(zip(groups, splits, strict=True))
    assert splits == [of_group[group] for group in groups]
    labels_of = {group: {label for other, label in items if other == group} for group in groups}
    for label in labels:
        pure = {group for group, own in labels_of.items() if own == {label}}
        assert (
            len({of_group[group] for group, other in items if other == label}) == 3 or len(pure) < 3
        )


@given(items=items, order=st.randoms(), fixed=memories, exact=st.booleans())
@settings(deadline=None)
def test_the_order_of_the_pictures_does_not_matter(
    items: list[tuple[str, str]], order: Random, fixed: dict[str, str], exact: bool
) -> None:
    def deal(items: list[tuple[str, str]]) -> dict[str, str]:
        groups, labels = [g for g, _ in items], [label for _, label in items]
        splits = assign_splits(groups, labels, RATIOS, 0, fixed=fixed, exact=exact)
        return dict(zip(groups, splits, strict=True))

    assert deal(items) == deal(order.sample(items, len(items)))


@pytest.mark.parametrize("exact", [False, True])
def test_another_seed_gives_another_split_and_the_same_seed_the_same(exact: bool) -> None:
    """Pain: a seed without effect."""
    groups = [f"g{i}" for i in range(100)]
    made = [tuple(assign_splits(groups, ["a"] * 100, RATIOS, s, exact=exact)) for s in range(5)]
    assert len(set(made)) == 5
    assert made[3] == tuple(assign_splits(groups, ["a"] * 100, RATIOS, 3, exact=exact))


# --- how near the counts come to the ratios ----------------------------------------------------


@pytest.mark.parametrize("ratios", [RATIOS, (0.5, 0.25, 0.25), (0.9, 0.05, 0.05), (1, 2, 1)])
@pytest.mark.parametrize("count", [100, 1000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_counts_are_as_near_to_the_ratios_as_chance_brings_them(
    ratios: tuple[float, ...], count: int, seed: int
) -> None:
    """Nearer is impossible: what goes by its own hash alone is drawn independently."""
    groups = [f"g{i}" for i in range(4 * count)]
    labels = ["a" if i % 4 else "b" for i in range(4 * count)]
    splits = assign_splits(groups, labels, ratios, seed)
    for label in "ab":
        own = [s for s, name in zip(splits, labels, strict=True) if name == label]
        for split, ratio in zip(SPLITS, ratios, strict=True):
            share = ratio / sum(ratios)
            bound = 4 * sqrt(share * (1 - share) / len(own))
            assert own.count(split) / len(own) == pytest.approx(share, abs=bound)


@pytest.mark.parametrize("ratios", [RATIOS, (0.5, 0.25, 0.25), (0.9, 0.05, 0.05), (1, 2, 1)])
@pytest.mark.parametrize("size", [1, 5])
def test_an_exact_split_has_the_ratios_in_every_class(ratios: tuple[float, ...], size: int) -> None:
    groups = [f"g{i // size}" for i in range(1000)]
    labels = ["a" if int(g[1:]) % 4 else "b" for g in groups]
    splits = assign_splits(groups, labels, ratios, 3, exact=True)
    for label in "ab":
        own = [s for s, name in zip(splits, labels, strict=True) if name == label]
        for split, ratio in zip(SPLITS, ratios, strict=True):
            wanted = ratio / sum(ratios) * len(own)
            assert own.count(split) == pytest.approx(wanted, abs=size)


def test_new_groups_make_up_for_what_old_ones_hold_in_an_exact_split() -> None:
    groups = [f"g{i}" for i in range(100)]
    fixed = dict.fromkeys(groups[:40], "train") | dict.fromkeys(groups[40:52], "test")
    splits = assign_splits(groups, ["a"] * 100, RATIOS, 0, fixed=fixed, exact=True)
    assert Counter(splits) == {"train": 70, "validation": 15, "test": 15}
    assert splits[:52] == [fixed[group] for group in groups[:52]]


def test_fewer_splits_can_be_asked_for() -> None:
    groups = [f"g{i}" for i in range(40)]
    splits = assign_splits(groups, ["a"] * 40, (0.7, 0.15), 0, ("train", "test"), exact=True)
    assert Counter(splits) == {"train": 33, "test": 7}
    assert set(assign_splits(groups, ["a"] * 40, (1,), 0, ("train",))) == {"train"}
    assert assign_splits([], [], RATIOS, 0) == []


# --- pictures that come later -----------------------------------------------------------------

BASE = [(f"g{i}", "ab"[i % 2]) for i in range(120)]
BASE_SPLITS = assign_splits(*zip(*BASE, strict=True), RATIOS, 0)  # type: ignore[arg-type]
additions = st.lists(
    st.integers(100, 300).map(lambda n: (f"g{n}", "ab"[n % 2] if n < 180 else "cde"[n % 3])),
    max_size=50,
)


@given(additions)
@settings(deadline=None)
def test_no_picture_moves_when_others_are_added(added: list[tuple[str, str]]) -> None:
    """New groups, new classes, and new members of groups that were there."""
    groups, labels = zip(*BASE, *added, strict=True)
    assert assign_splits(groups, labels, RATIOS, 0)[: len(BASE)] == BASE_SPLITS


@given(items=items, later=items, seed=st.integers(0, 3), exact=st.booleans())
@settings(deadline=None)
def test_what_was_dealt_before_stays_even_in_the_smallest_class(
    items: list[tuple[str, str]], later: list[tuple[str, str]], seed: int, exact: bool
) -> None:
    groups, labels = [g for g, _ in items], [label for _, label in items]
    splits = assign_splits(groups, labels, RATIOS, seed, exact=exact)
    before = dict(zip(groups, splits, strict=True))
    later = [(group if group in before else f"new {group}", label) for group, label in later]
    grown = [*items, *later]
    if any(len({before.get(g) for g in own} - {None}) < 3 for own in strata(grown).values()):
        return  # a class that lacks a split may take an old group
    groups, labels = [g for g, _ in grown], [label for _, label in grown]
    splits = assign_splits(groups, labels, RATIOS, seed, fixed=before, exact=exact)
    after = dict(zip(groups, splits, strict=True))
    assert {group: after[group] for group in before} == before


def test_a_lacking_split_gets_one_group_and_a_new_one_where_there_is_any() -> None:
    old = [f"g{i}" for i in range(9)]
    fixed = dict.fromkeys(old, "train")
    alone = assign_splits(old, ["a"] * 9, RATIOS, 0, fixed=fixed)
    assert Counter(alone) == {"train": 7, "validation": 1, "test": 1}
    grown = assign_splits([*old, "x", "y"], ["a"] * 11, RATIOS, 0, fixed=fixed)
    assert set(grown[:9]) == {"train"} and set(grown[9:]) == {"validation", "test"}


def test_in_a_tiny_class_at_most_two_groups_go_elsewhere_than_their_hash_says() -> None:
    """What fills a lacking split is one group, so that little moves when the class grows."""
    many = [f"g{i}" for i in range(1000)]
    natural = dict(zip(many, assign_splits(many, ["a"] * 1000, RATIOS, 0), strict=True))
    for start in range(0, 1000, 6):
        few = many[start : start + 6]
        dealt = assign_splits(few, ["a"] * len(few), RATIOS, 0)
        lacking = set(SPLITS) - {natural[group] for group in few}
        elsewhere = [group for group, s in zip(few, dealt, strict=True) if natural[group] != s]
        assert len(elsewhere) == len(lacking)


def test_the_group_that_fills_a_split_is_the_one_that_a_larger_share_would_bring_there() -> None:
    """So it goes on filling it for as long as can be."""
    few, many = [f"g{i}" for i in range(20)], [f"m{i}" for i in range(400)]
    for seed in range(8):
        filled = assign_splits(few, ["a"] * 20, (0.98, 0.01, 0.01), seed)
        for split, other in (("validation", 2), ("test", 1)):
            for share in range(1, 99):
                ratios = [99 - share, share, share]
                ratios[other] = 1
                natural = assign_splits([*few, *many], ["a"] * 420, ratios, seed)[:20]
                if split in natural:
                    break
            assert {g for g, s in zip(few, filled, strict=True) if s == split} <= {
                g for g, s in zip(few, natural, strict=True) if s == split
            }


# --- small classes and large groups -----------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("count", range(3, 12))
def test_a_small_class_has_a_picture_in_every_split(count: int, exact: bool) -> None:
    groups = [f"g{i}" for i in range(count)]
    for seed in range(5):
        made = assign_splits(groups, ["a"] * count, (0.9, 0.05, 0.05), seed, exact=exact)
        assert set(made) == set(SPLITS)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("size", [10, 90])
def test_a_group_of_half_the_class_goes_to_train_and_starves_no_split(
    size: int, exact: bool
) -> None:
    groups = ["huge"] * size + [f"g{i}" for i in range(10)]
    for seed in range(8):
        splits = assign_splits(groups, ["a"] * len(groups), RATIOS, seed, exact=exact)
        assert set(splits) == set(SPLITS) and set(splits[:size]) == {"train"}
