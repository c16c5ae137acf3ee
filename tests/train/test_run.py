"""A training as a whole: the RUN, its promises, and what is left when it is cut off."""

import csv
import json
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pizzaiolo.config import BACKBONE, TrainConfig, load_config
from pizzaiolo.core.bundle import UNFINISHED, load_pt
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import DatasetError, PizzaioloError, StorageError, UsageError, WorkError
from pizzaiolo.model.deployed import load_deployed
from pizzaiolo.predict import load_file
from pizzaiolo.train.run import train
from toy_network import Own

pytestmark = pytest.mark.usefixtures("one_thread")
FILES = [
    "config.toml", "curves.svg", "history.csv", "last.ckpt", "model.pt", "run.json", "tensorboard"
]  # fmt: skip
QUICK = TrainConfig(model="cnn", size=32, epochs=3, batch_size=7)


OWN = TrainConfig(size=32, epochs=2, batch_size=7)


@pytest.fixture(scope="module")
def summary(
    tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> dict[str, Any]:
    """What a short training returns; its RUN stays for the whole module."""
    return train(tiny_dataset, tmp_path_factory.mktemp("short") / "run", QUICK)


@pytest.fixture(scope="module")
def run(summary: dict[str, Any]) -> Path:
    return Path(summary["run"])


def history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def state(run: Path) -> dict[str, Tensor]:
    return load_pt(run / "model.pt")[1]


def same_bits(a: Path, b: Path) -> bool:
    first, second = state(a), state(b)
    return all(torch.equal(first[name], second[name]) for name in first)


def snapshot(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_the_summary_has_the_documented_keys(summary: dict[str, Any], run: Path) -> None:
    assert list(summary) == [
        "run", "dataset", "model", "backbone", "recipe", "best_epoch", "validation", "seconds"
    ]  # fmt: skip
    assert list(summary["validation"]) == ["accuracy", "f1", "loss"]
    assert (summary["backbone"], summary["recipe"]) == ("cnn", "scratch")
    assert Path(summary["model"]) == run / "model.pt"
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_the_run_holds_what_the_design_says(run: Path) -> None:
    assert sorted(os.listdir(run)) == FILES


def test_the_best_epoch_has_the_lowest_validation_loss(summary: dict[str, Any], run: Path) -> None:
    losses = [float(line["validation_loss"]) for line in history(run)]
    assert [int(line["epoch"]) for line in history(run)] == [1, 2, 3]
    assert summary["best_epoch"] == 1 + losses.index(min(losses))
    assert summary["validation"]["loss"] == min(losses)


def test_the_saved_weights_are_those_of_the_best_epoch(
    summary: dict[str, Any], run: Path, tiny_dataset: Dataset
) -> None:
    """Pain: early stopping that keeps the last weights. Measured again from the files."""
    predictor, rows = load_file(run), tiny_dataset.split("validation")
    answers = predictor.predict_many([tiny_dataset.picture(row) for row in rows])
    right = [(a.probabilities or {})[row.label] for a, row in zip(answers, rows, strict=True)]
    loss = -torch.tensor(right, dtype=torch.float64).log().mean()
    assert float(loss) == pytest.approx(summary["validation"]["loss"], abs=1e-5)


def test_the_settings_train_the_same_model_again(
    run: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = load_config(TrainConfig, run / "config.toml", {})
    assert config == replace(QUICK, recipe="scratch", quality="good")
    train(tiny_dataset, tmp_path / "again", config)
    assert same_bits(run, tmp_path / "again")


def test_another_seed_gives_another_model(run: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    """Pain: a seed without effect."""
    train(tiny_dataset, tmp_path / "other", replace(QUICK, seed=1))
    assert not same_bits(run, tmp_path / "other")


def test_loader_processes_change_nothing(run: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    train(tiny_dataset, tmp_path / "two", replace(QUICK, workers=2))
    assert same_bits(run, tmp_path / "two")


def test_the_card_says_what_it_was_trained_on(run: Path, tiny_dataset: Dataset) -> None:
    card, _ = load_pt(run / "model.pt")
    assert card.labels == tiny_dataset.labels.unsure_below(0.95)
    assert card.labels.reject_band == (0.5, 0.95) and card.training["choices"] == {}
    assert card.data["fingerprint"] == tiny_dataset.fingerprint
    assert card.data["train_per_class"] == [10, 10]
    assert card.training["model"] == "cnn" and card.training["best_epoch"] >= 1
    assert set(card.versions) == {"pizzaiolo", "python", "torch", "timm"}
    assert card.weights_licence.startswith("none")
    facts = json.loads((run / "run.json").read_text())
    assert facts["card"] == json.loads(card.to_json())
    assert facts["dataset"] == str(tiny_dataset.root.resolve())


def test_the_model_file_holds_tensors_only(run: Path) -> None:
    """Pain: the break of PyTorch 2.6, and files that run code."""
    content = torch.load(run / "model.pt", weights_only=True)
    assert all(isinstance(value, Tensor) for value in content["state"].values())


def test_tensorboard_reads_every_epoch(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    for name in ("train_loss", "validation_loss", "validation_accuracy", "validation_f1", "lr"):
        found = [(e.step, e.value) for e in events.Scalars(name)]
        assert [step for step, _ in found] == [1, 2, 3]
        assert found[0][1] == pytest.approx(float(history(run)[0][name]), rel=1e-5)


@pytest.mark.parametrize("network", [Own, Own()], ids=["class", "object"])
def test_a_persons_module_from_python(tiny_dataset: Dataset, tmp_path: Path, network: Any) -> None:
    summary = train(tiny_dataset, tmp_path / "run", OWN, network)
    assert (summary["backbone"], summary["recipe"]) == ("Own", "scratch")
    assert 'model = "Own"' in (tmp_path / "run" / "config.toml").read_text()


def test_a_persons_module_from_a_file(tiny_dataset: Dataset, tmp_path: Path) -> None:
    code = write_own(tmp_path, "pass")
    train(tiny_dataset, tmp_path / "run", replace(OWN, model=code))
    _, deployed = load_deployed(tmp_path / "run" / "model.pt", code)
    assert deployed.network.embed(torch.rand(2, 3, 32, 32)).shape == (2, 2)


def test_a_person_s_process_stays_as_it_was(tiny_dataset: Dataset, tmp_path: Path) -> None:
    """Pain: after training torch computed deterministically, and every draw was the seed's."""

    def drawn() -> list[float]:
        return [random.random(), float(np.random.random()), float(torch.rand(()))]

    torch.use_deterministic_algorithms(False)  # whatever ran before in this process
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    expected = drawn()
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    modes = []
    train(tiny_dataset, tmp_path / "run", replace(OWN, epochs=1), watched(modes))
    assert modes and all(modes) and not torch.are_deterministic_algorithms_enabled()
    assert drawn() == expected


def watched(modes: list[bool]) -> type[nn.Module]:
    class Watched(Own):
        def forward(self, x: Tensor) -> Tensor:
            modes.append(torch.are_deterministic_algorithms_enabled())
            return super().forward(x)

    return Watched


def test_small_copies_are_warned_of(
    tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", logger="pizzaiolo"):
        train(tiny_dataset, tmp_path / "run", replace(OWN, size=64), Own())
    assert "short side of 48 pixels, the model wants 73" in caplog.text


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_a_class_is_refused(
    tiny_dataset: Dataset, tmp_path: Path, split: str
) -> None:
    rows = tuple(r for r in tiny_dataset.rows if (r.split, r.label) != (split, "pizza"))
    with pytest.raises(DatasetError, match=f"the {split} split has no picture of 'pizza'"):
        train(replace(tiny_dataset, rows=rows), tmp_path / "run", OWN, Own())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_picture_that_is_bad_by_now_is_named(
    make_dataset: Callable[..., Dataset], tmp_path: Path, damage: str
) -> None:
    dataset = make_dataset(tmp_path / "data")
    picture = dataset.picture(dataset.split("train")[4])
    picture.unlink() if damage == "gone" else picture.write_bytes(b"x")
    with pytest.raises(DatasetError) as caught:
        train(dataset, tmp_path / "run", OWN, Own())
    assert str(picture) in caught.value.message and caught.value.hint == "run prepare again"
    assert not (tmp_path / "run").exists()


def cut_off(how: Callable[[], None], after: int = 3) -> nn.Module:
    """A module that is cut off in its third training batch."""

    class CutOff(Own):
        steps = 0

        def forward(self, x: Tensor) -> Tensor:
            self.steps += self.training
            if self.steps == after:
                how()
            return super().forward(x)

    return CutOff()


def interrupt() -> None:
    raise KeyboardInterrupt


def fill_the_disk() -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("how", "kind"), [(interrupt, KeyboardInterrupt), (fill_the_disk, StorageError)]
)
def test_a_training_that_is_cut_off_leaves_nothing(
    tiny_dataset: Dataset, tmp_path: Path, how: Callable[[], None], kind: type[BaseException]
) -> None:
    out = tmp_path / "run"
    with pytest.raises(kind):
        train(tiny_dataset, out, OWN, cut_off(how))
    assert not out.exists()
    train(tiny_dataset, out, OWN, Own())
    assert sorted(os.listdir(out)) == FILES


def test_an_earlier_run_stays_whole_when_the_next_is_cut_off(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    train(tiny_dataset, out, OWN, Own())
    before = snapshot(out)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_dataset, out, replace(OWN, seed=1), cut_off(interrupt))
    assert snapshot(out) == before


def test_a_second_run_takes_the_place_of_the_first(tiny_dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(tiny_dataset, out, OWN, Own())
    events = set(os.listdir(out / "tensorboard"))
    train(tiny_dataset, out, replace(OWN, seed=1, epochs=1), Own())
    assert sorted(os.listdir(out)) == FILES and len(history(out)) == 1
    assert not events & set(os.listdir(out / "tensorboard"))
    assert load_pt(out / "model.pt")[0].training["seed"] == 1


def test_what_a_killed_training_left_blocks_nothing(tiny_dataset: Dataset, tmp_path: Path) -> None:
    left = tmp_path / "run" / UNFINISHED / "tensorboard"
    left.mkdir(parents=True)
    (left / "events.out.tfevents.1").write_bytes(b"")
    train(tiny_dataset, tmp_path / "run", OWN, Own())
    assert sorted(os.listdir(tmp_path / "run")) == FILES


def write_own(folder: Path, line: str) -> str:
    (folder / "net.py").write_text(
        "import os, signal\nfrom torch import nn\n"
        "class Own(nn.Module):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(3, num_classes)\n"
        "    def forward(self, x):\n"
        f"        if self.training: {line}\n"
        "        return self.layer(x.mean((2, 3)))\n"
    )
    return f"{folder / 'net.py'}:Own"


def test_ctrl_c_in_the_middle_leaves_nothing(tiny_dataset: Dataset, tmp_path: Path) -> None:
    code = write_own(tmp_path, f"os.kill(os.getpid(), {int(signal.SIGINT)})")
    command = ["train", str(tiny_dataset.root), "--out", str(tmp_path / "run"), "--model", code]
    done = subprocess.run(
        [sys.executable, "-m", "pizzaiolo", *command, "--size", "32"],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 130 and "Traceback" not in done.stderr, done.stderr
    assert "interrupted" in done.stderr and not (tmp_path / "run").exists()


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file may grow over `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_when_the_model_is_written(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    with files_up_to(1_000_000), pytest.raises(StorageError) as caught:
        train(tiny_dataset, tmp_path / "run", replace(QUICK, epochs=1))
    assert "\n" not in caught.value.message and not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["file", "strangers"])
def test_an_out_that_is_something_else_is_left_alone(
    tiny_dataset: Dataset, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "run"
    stranger = out if kind == "file" else out / "thesis.txt"
    stranger.parent.mkdir(exist_ok=True)
    stranger.write_text("years of work")
    with pytest.raises(StorageError, match=r"is a file|holds other files"):
        train(tiny_dataset, out, OWN, Own())
    assert stranger.read_text() == "years of work"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "resnet81"}, "no model"),
        ({"recipe": "bake"}, "recipe is 'bake'"),
        ({"optimizer": "lyon"}, "optimizer is 'lyon'"),
        ({"optimizer": "bnbadam", "model": "cnn"}, "optimizer 'bnbadam' can't be made here"),
        ({"time_budget": "5 parsecs"}, "the time '5 parsecs' is not known"),
        ({"precision": "fp16", "model": "cnn", "device": "cpu"}, "can't train in fp16"),
        ({"epochs": 0}, "epochs is 0"),
        ({"oven": 1}, "unknown key 'oven'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tiny_dataset: Dataset, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    from pizzaiolo.config import from_dict

    with pytest.raises(UsageError, match=words):
        train(tiny_dataset, tmp_path / "run", from_dict(TrainConfig, settings))
    assert not (tmp_path / "run").exists()


def test_batch_norm_on_one_picture_is_a_clear_error(tiny_dataset: Dataset, tmp_path: Path) -> None:
    own = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(3), nn.Linear(3, 2))
    with pytest.raises(UsageError, match="BatchNorm can't learn from one picture") as caught:
        train(tiny_dataset, tmp_path / "run", replace(OWN, batch_size=1), own)
    assert "--batch-size 2" in (caught.value.hint or "")


def test_a_full_device_is_a_clear_error(tiny_dataset: Dataset, tmp_path: Path) -> None:
    def fill() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with pytest.raises(WorkError, match="memory of the device") as caught:
        train(tiny_dataset, tmp_path / "run", OWN, cut_off(fill))
    assert "--batch-size" in (caught.value.hint or "") and not (tmp_path / "run").exists()


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PizzaioloError, match="expected a DATASET"):
        train(tmp_path, tmp_path / "run", OWN)


def test_what_a_time_budget_bought_is_not_measured_again(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought = iter(["good", "quick"])
    monkeypatch.setattr("pizzaiolo.train.run._affordable", lambda *_: next(bought))
    monkeypatch.setattr("pizzaiolo.train.defaults.MODELS", {"good": BACKBONE, "quick": BACKBONE})
    config = TrainConfig(time_budget="1h", size=32)
    first = train(tiny_dataset, tmp_path / "run", config)
    assert train(tiny_dataset, tmp_path / "run", config, resume=True) == first
    assert next(bought) == "quick", "it was asked once"


def test_settings_without_effect_are_told(
    tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = TrainConfig(model=BACKBONE, size=32, epochs=3, mixup=0.2)
    with caplog.at_level("WARNING", logger="pizzaiolo"):
        train(tiny_dataset, tmp_path / "run", config)
    assert "recipe head has no use for epochs, mixup" in caplog.text
