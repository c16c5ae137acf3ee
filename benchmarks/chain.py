"""From photos to a trained model: seconds and peak memory, against a limit and a peer.

    python benchmarks/chain.py [--peer-epochs 3] [--repeat 1]

The peer is the official tutorial's plain PyTorch loop with a frozen body (run_plain.py of the
peers' folder) on the same split and the same weights; 0 epochs leave it out.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from common import Run, header, peer, photos, pizzaiolo

LIMIT = 90.0  # seconds from photos to model.pt on 2 quiet cores
STEPS = ("prepare", "train", "evaluate", "export")


def chain(folder: Path) -> dict[str, Run]:
    """All steps on a fresh cache."""
    data, model = folder / "data", folder / "run"
    arguments: dict[str, tuple[str | Path, ...]] = {
        "prepare": (photos("pizza_not_pizza"), "--out", data),
        "train": (data, "--out", model),
        "evaluate": (model, data, "--out", folder / "report"),
        "export": (model, "--out", folder / "m.onnx"),
    }
    cache = {"PIZZAIOLO_CACHE": str(folder / "cache")}
    return {step: pizzaiolo(step, *arguments[step], **cache) for step in STEPS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-epochs", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    header()
    with tempfile.TemporaryDirectory() as name:
        rounds = []
        for number in range(given.repeat):
            (folder := Path(name) / str(number)).mkdir()
            rounds.append(chain(folder))
        print(f"{'step':<10} {'seconds (median)':>17} {'peak MB':>8}")
        for step in STEPS:
            seconds = statistics.median(r[step].seconds for r in rounds)
            print(f"{step:<10} {seconds:>17.1f} {max(r[step].megabytes for r in rounds):>8.0f}")
        ours = statistics.median(r["prepare"].seconds + r["train"].seconds for r in rounds)
        print(f"photos to model.pt: {ours:.1f} s, {ours / LIMIT:.2f} of the limit of {LIMIT:.0f} s")
        accuracy = rounds[-1]["evaluate"].json()["accuracy"]
        print("test accuracy: {value:.3f} ({low:.3f} to {high:.3f})".format(**accuracy))
        if given.peer_epochs:
            train = statistics.median(r["train"].seconds for r in rounds)
            validation = rounds[-1]["train"].json()["validation"]["accuracy"]
            theirs = peer("run_plain.py", folder / "data", given.peer_epochs, "--freeze")
            if "missing" in theirs:
                raise SystemExit(theirs["missing"])
            print(
                f"plain PyTorch, frozen, {given.peer_epochs} epochs: {theirs['train_s']:.0f} s, "
                f"validation {theirs['best_val_acc']:.3f}; ours {train:.1f} s as a whole command, "
                f"validation {validation:.3f}: {theirs['train_s'] / train:.1f} times faster"
            )


if __name__ == "__main__":
    main()
