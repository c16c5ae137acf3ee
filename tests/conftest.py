"""Pictures and models that many tests share; all made here, none downloaded."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from PIL.Image import Image

    from pizzaiolo.core.manifest import Dataset

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared" / "data"

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# A shell's background job ignores Ctrl-C, and so would the commands that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Service(NamedTuple):
    """A running `pizzaiolo serve` and where it answers."""

    process: subprocess.Popen[str]
    address: str


class Done(NamedTuple):
    """What a command left: its exit code and both streams."""

    code: object
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the test run's own."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["PIZZAIOLO_CACHE"] = str(folder)
    yield folder
    del os.environ["PIZZAIOLO_CACHE"]


@pytest.fixture(scope="session")
def starter(cache: Path) -> Path:
    """The starter's model file, built once a test run."""
    from pizzaiolo.starter import starter_file

    return starter_file()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of rendered pictures with planted faults: pizza/ and not_pizza/."""
    from pizzaiolo.demo.sample import write_sample_folder

    folder = tmp_path_factory.mktemp("rendered") / "photos"
    write_sample_folder(folder, per_class=40, seed=7)
    return folder


@pytest.fixture(scope="session")
def pizza_file(photos: Path) -> Path:
    """One good rendered pizza."""
    return photos / "pizza" / "pizza_0010.jpg"


@pytest.fixture(scope="session")
def dataset(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendered pictures as a DATASET."""
    from pizzaiolo import prepare

    return Path(prepare(photos, tmp_path_factory.mktemp("prepared") / "data")["dataset"])


@pytest.fixture(scope="session")
def draw() -> Callable[..., Image]:
    """A picture of soft colours; another seed gives one that looks like no other."""
    import numpy as np
    from PIL import Image

    def make(seed: int, size: tuple[int, int] = (80, 64)) -> Image.Image:
        colours = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
        return Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC)

    return make


@pytest.fixture(scope="session")
def make_folder(draw: Callable[..., Image]) -> Callable[..., Path]:
    """A folder of class folders with `count` pictures each, every one different."""

    def make(
        root: Path, classes: Sequence[str] = ("a", "b"), count: int = 8, seed: int = 0
    ) -> Path:
        for place, name in enumerate(classes):
            (root / name).mkdir(parents=True)
            for i in range(count):
                draw(seed + 1000 * place + i).save(root / name / f"{i}.png")
        return root

    return make


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., Dataset]:
    """Writes a DATASET of small noisy pictures; the classes differ in brightness."""
    import numpy as np
    from PIL import Image

    from pizzaiolo.core.labels import Labels, guess_positive
    from pizzaiolo.core.manifest import Dataset, Row, fingerprint

    def make(
        root: Path, classes: tuple[str, ...] = ("not_pizza", "pizza"), **counts: int
    ) -> Dataset:
        noise, rows = np.random.default_rng(0), []
        for place, label in enumerate(classes):
            for split, count in ({"train": 10, "validation": 4, "test": 6} | counts).items():
                for i in range(count):
                    name = f"images/{split}/{label}/{i:02}.png"
                    (root / name).parent.mkdir(parents=True, exist_ok=True)
                    grey = 60 + 120 * place / (len(classes) - 1)
                    pixels = noise.normal(grey, 40, (48, 48, 3)).clip(0, 255).astype(np.uint8)
                    Image.fromarray(pixels).save(root / name)
                    key = f"{split}_{label}_{i}"
                    rows.append(Row(key, label, sha256=key, group=key, split=split, file=name))
        labels = Labels(classes, positive=guess_positive(classes))
        made = Dataset(root, labels, {"size": 48}, fingerprint(rows), tuple(rows))
        made.save({})
        return made

    return make


@pytest.fixture(scope="session")
def tiny_dataset(
    make_dataset: Callable[..., Dataset], tmp_path_factory: pytest.TempPathFactory
) -> Dataset:
    """A DATASET of 40 small pictures of two classes."""
    return make_dataset(tmp_path_factory.mktemp("tiny") / "data")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One torch thread: tiny networks wait more for threads than they compute."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def run_folder(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RUN of the smallest network, trained for one epoch: quick, and no good."""
    from pizzaiolo import TrainConfig, train

    config = TrainConfig(model="cnn", size=32, epochs=1)
    return Path(train(dataset, tmp_path_factory.mktemp("trained") / "run", config)["run"])


@pytest.fixture(scope="session")
def serve(starter: Path) -> Callable[..., AbstractContextManager[Service]]:
    """Runs `pizzaiolo serve` on the starter and a free port, in a process of its own."""

    @contextmanager
    def serve(*flags: str) -> Iterator[Service]:
        command = [sys.executable, "-m", "pizzaiolo", "serve", "--port", "0"]
        with subprocess.Popen(
            [*command, "--model", str(starter), *flags], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stderr
            address = re.search(r"http://\S+", process.stderr.readline())
            assert address, process.stderr.read()
            try:
                yield Service(process, address[0])
            finally:
                process.kill()

    return serve


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Done]]:
    """Runs `pizzaiolo` with these arguments inside the test's own process: much faster."""
    from pizzaiolo import cli, console

    handlers, level = console.log.handlers[:], console.log.level

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["pizzaiolo", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return Done(stop.value.code or 0, *capsys.readouterr())

    yield run
    console.log.handlers[:], console.log.level = handlers, level


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared photos; skips where they are absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared photos (../shared/data) are not here")
    return SHARED
