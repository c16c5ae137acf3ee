"""Training: seconds from a DATASET to model.pt and test accuracy, ours against peers.

    python benchmarks/train.py [--seeds 3] [--ours default,quick,finetune] [--peers all|none|A,B]
                               [--epochs 3] [--no-rate]

Each seed is a split of the flagship set by `prepare`. Ours is timed as a whole command, imports
included, with an empty feature cache and with that which `prepare` leaves; a peer by its own clock,
without its start. The peers see the first split: the same copies, the same weights. Only the
reported halves of `flatbreads` and `not_food` are looked at, and no test picture takes part in a
choice. The rate is that of training all layers, one epoch, validation left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import Run, half, header, interval, peer, photos, pizzaiolo

OURS: dict[str, tuple[str, ...]] = {
    "default": (),
    "quick": ("--quality", "quick"),
    "good": ("--quality", "good"),
    "best": ("--quality", "best"),
    "finetune": ("--recipe", "finetune"),
}
PEERS = {
    "plain-frozen": ("run_plain.py", "--freeze"),
    "fastai-frozen": ("run_fastai.py", "--freeze"),
    "hf-frozen": ("run_hf.py", "--freeze"),
    "plain-tuned": ("run_plain.py",),
    "fastai-tuned": ("run_fastai.py",),
}
ASIDE = {"flatbreads": 0.05, "not_food": 0.005}  # share that may be called pizza
WANTED_FASTER, WANTED_RATE = 15.0, 1.5


@dataclass
class Figures:
    """What the splits gave for one way to train."""

    cold: list[float] = field(default_factory=list)  # seconds, empty feature cache
    warm: list[float] = field(default_factory=list)  # seconds, prepare's feature cache
    accuracy: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    called: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))


def measure(name: str, data: Path, cache: Path, folder: Path, figures: Figures) -> None:
    """Train one way on one split, cold and warm, and test the second model."""
    seconds, model = [], folder / f"{name}-warm"
    for out, kept in ((folder / f"{name}-cold", folder / f"{name}-cache"), (model, cache)):
        done = train(data, out, OURS[name], kept)
        seconds.append(done.seconds)
        figures.megabytes.append(done.megabytes)
    figures.cold.append(seconds[0])
    figures.warm.append(seconds[1])
    report = pizzaiolo("evaluate", model, data, "--out", folder / f"{name}-report").json()
    figures.accuracy.append(report["accuracy"]["value"])
    for aside in ASIDE:
        verdicts = [answer["verdict"] for answer in answers(aside, model)]
        figures.called[aside].append((verdicts.count("Pizza"), len(verdicts)))


def train(data: Path, out: Path, flags: tuple[str, ...], cache: Path) -> Run:
    """The train command as a whole."""
    return pizzaiolo("train", data, "--out", out, *flags, PIZZAIOLO_CACHE=str(cache))


def answers(name: str, model: Path) -> list[dict[str, Any]]:
    """What the model says to the reported half of a folder."""
    wanted = {file.name for file in half(name, "reported")}
    lines = pizzaiolo("predict", photos(name), "--model", model).output.splitlines()
    found = [json.loads(line) for line in lines]
    return [answer for answer in found if Path(answer["path"]).name in wanted]


def show_ours(name: str, figures: Figures) -> None:
    mean, low, high = interval(figures.accuracy)
    each = ", ".join(f"{value:.3f}" for value in figures.accuracy)
    print(
        f"{name:<14} {statistics.median(figures.cold):>6.1f} s, after prepare "
        f"{statistics.median(figures.warm):>6.1f} s; test {mean:.4f} ({low:.4f} to {high:.4f}; "
        f"{each}); peak {max(figures.megabytes):.0f} MB"
    )
    for aside, limit in ASIDE.items():
        calls, of = map(sum, zip(*figures.called[aside], strict=True))
        print(f"{'':<14} {aside}: {calls} of {of} called Pizza, {calls / of:.1%} ({limit:.1%})")


def show_peers(names: list[str], data: Path, epochs: int) -> dict[str, dict[str, Any]]:
    """Run the peers that are here; what is said of the test pictures is their last epoch's."""
    found = {}
    for name in names:
        script, *flags = PEERS[name]
        result = peer(script, data, epochs, *flags, judged_on="test")
        if "missing" in result:
            print(f"{name:<14} left out: {result['missing']}", flush=True)
            continue
        found[name] = result
        print(
            f"{name:<14} {result['train_s']:>6.1f} s, {epochs} epochs; "
            f"test {result['val_acc']:.4f}",
            flush=True,
        )
    return found


def show_ratios(figures: dict[str, Figures], peers: dict[str, dict[str, Any]]) -> None:
    frozen = {name: r for name, r in peers.items() if name.endswith("-frozen")}
    if not frozen:
        return
    fastest = min(frozen, key=lambda name: frozen[name]["train_s"])
    seconds = frozen[fastest]["train_s"]
    for name, ours in figures.items():
        cold, warm = (seconds / statistics.median(x) for x in (ours.cold, ours.warm))
        print(
            f"{name}: {cold:.1f} times faster than {fastest}, {warm:.1f} times after prepare "
            f"({WANTED_FASTER:.0f} is wanted)"
        )


def show_rate(data: Path, folder: Path) -> None:
    """Pictures a second when all layers learn, ours against plain PyTorch's."""
    train(data, folder / "rate", ("--recipe", "scratch", "--epochs", "1"), folder / "rate-cache")
    with (folder / "rate" / "history.csv").open(newline="") as file:
        ours = float(list(csv.DictReader(file))[-1]["pictures_per_second"])
    print(f"all layers: {ours:.1f} pictures/s", end="", flush=True)
    result = peer("run_plain.py", data, 1)
    if "missing" in result:
        print(f"; plain PyTorch left out: {result['missing']}")
        return
    pictures = sum(1 for file in (data / "images" / "train").rglob("*") if file.is_file())
    # Its clock holds one look at the validation pictures, and it says what such a look takes.
    theirs = pictures / (result["train_s"] - result["predict_s"])
    print(f", plain PyTorch {theirs:.1f}: {ours / theirs:.2f} times ({WANTED_RATE} is wanted)")


def chosen(text: str, known: dict[str, Any]) -> list[str]:
    """The names in a list with commas; `all` and `none` are lists too."""
    names = {"all": list(known), "none": []}.get(text, text.split(","))
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"{unknown[0]} is not known, there are {', '.join(known)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ours", default="default,quick,finetune")
    parser.add_argument("--peers", default="all")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--no-rate", action="store_true")
    parser.add_argument("--source", type=Path, default=None, help="other photos than the flagship")
    given = parser.parse_args()
    ours, peers = chosen(given.ours, OURS), chosen(given.peers, PEERS)
    header()
    figures: dict[str, Figures] = {name: Figures() for name in ours}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in range(given.seeds):
            data, cache = folder / f"data{seed}", folder / f"cache{seed}"
            pizzaiolo(
                "prepare", given.source or photos("pizza_not_pizza"), "--out", data,
                "--seed", str(seed), PIZZAIOLO_CACHE=str(cache),
            )  # fmt: skip
            (place := folder / str(seed)).mkdir()
            for way in ours:
                measure(way, data, cache, place, figures[way])
        for way in ours:
            show_ours(way, figures[way])
        show_ratios(figures, show_peers(peers, folder / "data0", given.epochs))
        if not given.no_rate:
            show_rate(folder / "data0", folder)


if __name__ == "__main__":
    main()
