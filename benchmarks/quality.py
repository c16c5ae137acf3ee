"""How right the answers are on real photos: cleaning, the starter, and the default recipe.

    python benchmarks/quality.py [--seeds 3]

`seeds` splits of the flagship set are trained and tested one after the other. The pictures of the
test split take part in no choice.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tempfile
from collections import Counter
from pathlib import Path

from common import PHOTOS, header, photos, pizzaiolo

ASIDE = ("flatbreads", "not_food")


def cleaning(folder: Path) -> None:
    """What `prepare` does with each kind of file of the messy folder."""
    from pizzaiolo.core.manifest import Dataset

    pizzaiolo("prepare", photos("messy"), "--out", folder)
    rows = {row.path: row for row in Dataset.open(folder).rows}
    with (PHOTOS / "messy_truth.csv").open(newline="") as file:
        truth = list(csv.DictReader(file))
    outcomes = Counter((t["status"], rows[t["path"]].reason or "kept") for t in truth)
    for (status, outcome), count in sorted(outcomes.items()):
        print(f"  {status:<16} {outcome:<16} {count:>4}")
    near = [(rows[t["path"]], rows[t["of"]]) for t in truth if t["status"] == "near_duplicate"]
    both = [(a, b) for a, b in near if a.kept and b.kept]
    together = sum(a.group == b.group for a, b in both)
    apart = sum(a.split != b.split for a, b in both)
    print(f"  near-duplicates with their original: {together} of {len(near)}, leaking: {apart}")


def answers(what: str, folder: Path, *model: str | Path) -> Counter[str]:
    """How often each label, or each verdict, is given for the pictures of a folder."""
    lines = pizzaiolo("predict", folder, *model).output.splitlines()
    return Counter(str(json.loads(line)[what]) for line in lines)


def starter() -> None:
    """The starter's share of right answers in each class."""
    rates = []
    for label in ("pizza", "not_pizza"):
        found = answers("label", photos("pizza_not_pizza") / label)
        rates.append(found[label] / found.total())
    print(
        f"  balanced accuracy {statistics.mean(rates):.3f} "
        f"(pizza {rates[0]:.3f}, other {rates[1]:.3f})"
    )
    for name in ASIDE:
        found = answers("verdict", photos(name))
        print(f"  {name}: {found['Pizza']} of {found.total()} called Pizza")


def trained(folder: Path, seeds: int) -> None:
    """The default recipe on several splits."""
    values = []
    for seed in range(seeds):
        data, model = folder / f"data{seed}", folder / f"run{seed}"
        pizzaiolo("prepare", photos("pizza_not_pizza"), "--out", data, "--seed", str(seed))
        pizzaiolo("train", data, "--out", model)
        report = pizzaiolo("evaluate", model, data, "--out", folder / f"report{seed}").json()
        accuracy = report["accuracy"]["value"]
        aside = {name: answers("verdict", photos(name), "--model", model) for name in ASIDE}
        shown = ", ".join(f"{n} {c['Pizza']} of {c.total()} called Pizza" for n, c in aside.items())
        print(f"  seed {seed}: test accuracy {accuracy:.3f}, balanced "
              f"{report['balanced_accuracy']['value']:.3f}, {shown}")  # fmt: skip
        values.append(accuracy)
    print(f"  mean test accuracy {statistics.mean(values):.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    header()
    with tempfile.TemporaryDirectory() as name:
        print("cleaning the messy folder")
        cleaning(Path(name) / "messy")
        print("the starter, no training")
        starter()
        print("the default recipe")
        trained(Path(name), given.seeds)


if __name__ == "__main__":
    main()
