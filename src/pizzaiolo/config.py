"""Settings of every step: the same frozen dataclass is the flags, the TOML section and the JSON.

A recipe is a TOML file with one section per step (`[prepare]`, `[train]`, ...); a command reads
its own section, flags override it, and an unknown key is an error that names the nearest one.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from .errors import InputError, UsageError, nearest
from .settings import Config, duration, option

C = TypeVar("C", bound="Config")
BACKBONE = "tf_efficientnet_lite0"  # whose weights come with the installation
MAX_SEED = 2**32 - 1  # the largest that NumPy, PyTorch and scikit-learn all take
MAX_PIXELS = 178_956_970  # Pillow reads no larger picture


@dataclass(frozen=True)
class PrepareConfig(Config):
    """How pictures are collected, cleaned, grouped and split."""

    size: int = option(256, "short side of the written copies, pixels", low=32, high=4096)
    format: str = option("jpg", "file format of the copies", choices=("jpg", "png"))
    quality: int = option(95, "JPEG quality of the copies", low=50, high=100)
    shards: str | None = option(
        None,
        "write the copies into a few large files instead of a file each",
        choices=("webdataset", "parquet"),
    )
    shard_mb: int = option(256, "megabytes of pictures in a shard, at most", low=1, high=100_000)
    ratios: tuple[float, ...] = option((0.7, 0.15, 0.15), "shares of train, validation and test")
    seed: int = option(0, "seed of the split", low=0, high=MAX_SEED)
    exact_split: bool = option(
        False, "cut exactly at the ratios; adding pictures later may then move some"
    )
    min_side: int = option(32, "smaller pictures are rejected, pixels", low=1)
    blank_range: float = option(
        4.0, "a picture whose grey values spread less than this is blank, of 255", low=0.0
    )
    blur_below: float = option(
        0.02, "blurry: variance of the Laplacian below this share of the grey variance", low=0.0
    )
    dark_below: float = option(
        0.31, "dark: 95 % of the grey values lie below this, of 1", low=0.0, high=1.0
    )
    bright_above: float = option(
        0.7, "over-exposed: 95 % of the grey values lie above this, of 1", low=0.0, high=1.0
    )
    information_below: float = option(
        1.0, "low information: grey values with less entropy than this, bits of 8", low=0.0
    )
    near_distance: int = option(
        10,
        "perceptual hashes that differ in at most so many of 64 bits are near-duplicates",
        low=0,
        high=16,
    )
    drop_near: bool = option(False, "reject near-duplicates instead of only grouping them")
    features: bool = option(
        True,
        "look with the default backbone too: finds harder copies, odd pictures and wrong labels; "
        "training reuses what it computes",
    )
    burst_seconds: float = option(
        2.0,
        "photos of one camera so many seconds apart or less share a group; 0 turns it off",
        low=0.0,
    )
    max_pixels: int = option(
        100_000_000, "larger pictures are rejected, pixels", low=1, high=MAX_PIXELS
    )
    max_bytes: int = option(100_000_000, "larger files are rejected, bytes", low=1)
    min_per_class: int = option(6, "a class with fewer kept pictures is an error", low=3)
    positive: str | None = option(None, "the class that the question is about")
    classes: tuple[str, ...] = option(
        (), "rename or merge classes: pizza=margherita,calzone; other=* takes the rest; repeatable"
    )
    per_class: int = option(1000, "pictures of each class of food101: and hf: sources", low=6)
    download_seconds: float = option(30.0, "a download that takes longer fails", low=0.1)
    download_connections: int = option(8, "downloads at once", low=1, high=64)
    download_private: bool = option(False, "download from private and local addresses too")
    workers: int | None = option(None, "processes that read pictures (default: one a core)", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.ratios) != 3 or abs(sum(self.ratios) - 1) > 1e-6 or min(self.ratios) <= 0:
            raise UsageError(
                f"ratios are {self.ratios}, expected three positive shares that add up to 1",
                hint="for example --ratios 0.7,0.15,0.15",
            )


@dataclass(frozen=True)
class TrainConfig(Config):
    """How a model is defined and trained."""

    model: str | None = option(
        None,
        "a timm name, several as a+b, 'cnn', or path/to/file.py:Class for your own module "
        f"(default: {BACKBONE}; for recipe head of quality good with lite2, best with "
        "lite1 too)",
    )
    recipe: str | None = option(
        None,
        "head: train a layer on frozen features; finetune: all layers; scratch: random start "
        "(default: head for a pretrained model, scratch for the others)",
        choices=("head", "finetune", "scratch"),
    )
    quality: str | None = option(
        None,
        "how much to spend: larger models, more epochs (default: quick for head, else good)",
        choices=("quick", "good", "best"),
    )
    time_budget: str | None = option(None, "the best that can be had in so long: 90s, 5m, 1h")
    epochs: int | None = option(None, "passes over the training pictures", low=1, high=10_000)
    batch_size: int = option(32, "pictures in a mini-batch", low=1, high=65_536)
    loss: str = option("cross_entropy", "loss", choices=("cross_entropy", "focal", "bce"))
    optimizer: str = option("adamw", "optimiser: adamw, adam, sgd, rmsprop, or any that timm has")
    lr: float | None = option(None, "learning rate (default: by recipe and optimiser)", low=0.0)
    backbone_lr_factor: float = option(
        0.1, "learning rate of the backbone as a share of the head's (finetune)", low=0.0, high=1.0
    )
    schedule: str = option(
        "cosine", "how the rate changes after warm-up", choices=("cosine", "one_cycle", "constant")
    )
    warmup: float = option(0.1, "share of the steps in which the rate rises", low=0.0, high=1.0)
    momentum: float = option(0.9, "momentum of SGD and RMSprop", low=0.0, high=1.0)
    weight_decay: float = option(0.01, "weight decay", low=0.0)
    clip_grad: float | None = option(None, "gradients are scaled down to this norm", low=0.0)
    ema: float = option(
        0.0,
        "decay per step of the averaged weights that are kept; 0 keeps the last",
        low=0.0,
        high=1.0,
    )
    label_smoothing: float = option(0.0, "label smoothing", low=0.0, high=0.5)
    balance: str = option(
        "none",
        "against unequal classes: weights in the loss, or sampling as often",
        choices=("none", "weights", "sampling"),
    )
    augment: str = option(
        "light",
        "random changes of training pictures (finetune and scratch); light: crops, flips, colours",
        choices=("none", "light", "trivial", "rand"),
    )
    mixup: float = option(0.0, "mixup: alpha of the Beta distribution; 0 is off", low=0.0)
    cutmix: float = option(0.0, "CutMix: alpha of the Beta distribution; 0 is off", low=0.0)
    erase: float = option(0.0, "chance that a rectangle is erased", low=0.0, high=1.0)
    knowledge: bool = option(
        True, "keep what the pretrained network knows of its own classes (head and finetune)"
    )
    sure: float = option(
        0.95,
        "for x and not_x: from 0.5 up to this probability of x the verdict is 'Not sure'",
        low=0.5,
        high=1.0,
    )
    dropout: float = option(0.0, "dropout before the last layer", low=0.0, high=0.95)
    drop_path: float = option(0.0, "stochastic depth of the backbone", low=0.0, high=0.95)
    patience: int = option(8, "stop after so many epochs without improvement", low=1)
    shuffle_buffer: int = option(
        10_000, "pictures of a sharded data set that are shuffled at a time", low=1
    )
    size: int | None = option(None, "input side, pixels (default: the model's own)", low=32)
    resize_mode: str | None = option(
        None,
        "how a picture becomes square (default: the model's own, mostly crop)",
        choices=("crop", "pad", "squash"),
    )
    pretrained: bool = option(True, "start from pretrained weights where the recipe allows it")
    weights: str | None = option(None, "file of weights to start from (.pth, .pt, .safetensors)")
    find_lr: bool = option(False, "try rising rates first, draw them in RUN/lr.svg, take the best")
    seed: int = option(0, "one seed for everything", low=0, high=MAX_SEED)
    workers: int = option(0, "DataLoader processes", low=0)
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    precision: str = option(
        "auto", "numbers that training computes with", choices=("auto", "fp32", "bf16", "fp16")
    )
    checkpoint_seconds: float = option(
        60.0, "last.ckpt is written at least this often, and after every epoch", low=0.0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.time_budget is not None:
            duration(self.time_budget)


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """What is measured and how it is shown."""

    split: str = option("test", "which split to look at", choices=("train", "validation", "test"))
    bootstrap: int = option(1000, "resamples by group behind each interval", low=100)
    seed: int = option(0, "seed of the resampling", low=0, high=MAX_SEED)
    max_mistakes: int = option(100, "mistakes shown as pictures in the report", low=0)
    settle: bool = option(
        True,
        "RUN or .pt: choose how it decides (confidence, threshold, novelty) on the validation "
        "split, and keep that in the model file",
    )
    aim: str | None = option(
        None, "what the threshold is for: f1, precision=0.95 or recall=0.98 (default: as it is)"
    )
    cost: str | None = option(
        None, "the threshold of least cost: false_pizza=5,missed_pizza=1 (with your class names)"
    )
    answered: float | None = option(
        None,
        "wished accuracy of what is answered; the rest is 'Not sure' (default: as trained)",
        low=0.5,
        high=0.9999,
    )
    explain: bool = option(True, "show in each mistake what the answer is due to (RUN or .pt)")
    robustness_seconds: float = option(
        15.0, "seconds for answering spoilt pictures (blur, noise, ...); 0 leaves it out", low=0.0
    )


@dataclass(frozen=True)
class ImproveConfig(Config):
    """What is searched for, how long, and what the result must keep to."""

    trials: int | None = option(
        None, "settings to try (default: 100, or as many as the time allows)", low=1
    )
    timeout: str | None = option(
        None, "time for all of it, search, diagnosis and the winner: 90s, 10m, 2h"
    )
    aim: str = option(
        "accuracy", "what the best is best in", choices=("accuracy", "f1", "log_loss")
    )
    max_latency_ms: float | None = option(
        None, "slower models are left out, milliseconds a picture on this machine", low=0.0
    )
    max_mb: float | None = option(None, "larger model files are left out, megabytes", low=0.0)
    folds: int = option(5, "parts that judge by turns: the validation split is one", low=2, high=20)
    workers: int = option(1, "processes that search at once", low=1, high=256)
    wish: float | None = option(
        None, "accuracy that is wished for: about how many more photos it takes", low=0.0, high=1.0
    )
    diagnose: bool = option(True, "say what would help: photos, labels, model or settings")
    ablation: bool = option(True, "say what each setting of the winner brings")
    seed: int = option(0, "seed of folds and search", low=0, high=MAX_SEED)
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.timeout is not None:
            duration(self.timeout)


@dataclass(frozen=True)
class ExportConfig(Config):
    """How an exported file is checked before it is kept."""

    opset: int = option(18, "ONNX operator set", low=18, high=24)
    tolerance: float = option(1e-4, "largest allowed difference of any probability", low=0.0)
    pictures: int = option(32, "real pictures of the check", low=7)
    int8: bool = option(False, "compute in 8 bits (.onnx), as the suffix .int8.onnx does")
    max_drop: float = option(
        0.5, "accuracy that int8 may lose on validation pictures, points", low=0.0, high=100.0
    )
    calibration: int = option(128, "training pictures that set the ranges of int8", low=1)


@dataclass(frozen=True)
class ServeConfig(Config):
    """Where the service listens and what it refuses."""

    host: str = option("127.0.0.1", "address to listen on")
    port: int = option(8000, "port to listen on", low=0, high=65_535)
    max_bytes: int = option(20_000_000, "largest request, bytes", low=1)
    max_pixels: int = option(50_000_000, "largest picture, pixels", low=1, high=MAX_PIXELS)
    max_files: int = option(32, "most pictures in one request", low=1)
    workers: int = option(1, "processes that answer, each with its own model", low=1)
    concurrency: int | None = option(
        None, "pictures that one process answers at once (default: its share of the cores)", low=1
    )
    queue: int = option(64, "requests that may wait; more get 503", low=0)
    timeout: float = option(30.0, "a request that waits longer gets 503, seconds", low=0.0)
    max_wait: float = option(
        0.8, "a request that would have to wait longer gets 503 at once, seconds", low=0.0
    )
    upload_timeout: float = option(
        60.0, "a request that takes longer to arrive gets 408, seconds", low=0.1
    )
    max_batch: int = option(10_000, "most pictures in one request to /v1/predict/batch", low=1)
    keys: str | None = option(
        None, "file of API keys, see `pizzaiolo key`; PIZZAIOLO_KEYS adds more"
    )
    rate: float | None = option(
        None, "requests a minute of one key, or of one address without keys; more get 429", low=0.1
    )
    allowed_hosts: tuple[str, ...] = option(
        (), "a name by which the service may be asked for, repeatable, * for any (default: this "
        "machine's own on a loopback address, any on others)",
    )  # fmt: skip
    cors: tuple[str, ...] = option(
        (), "a web site whose pages may ask, repeatable: https://my.example"
    )
    feedback: str | None = option(
        None, "folder for pictures that people correct, in a folder of each class"
    )
    feedback_mb: int = option(1000, "most of them, megabytes", low=1)
    proof: str | None = option(
        None, "folder of pictures, in a folder of each class, that a new model has to answer as "
        "well as the old one",
    )  # fmt: skip
    access_log: bool = option(False, "tell every request on stderr, as a line of JSON")


SECTIONS: dict[str, type[Config]] = {
    "prepare": PrepareConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "improve": ImproveConfig,
    "export": ExportConfig,
    "serve": ServeConfig,
}


def from_dict(kind: type[C], values: Mapping[str, Any], where: str = "settings") -> C:
    """Settings from a mapping; unknown keys are errors that name the nearest."""
    known = {f.name for f in fields(kind)}
    for key in values:
        if key not in known:
            raise UsageError(f"unknown key {key!r} in {where}", hint=nearest(key, known))
    return kind(**values)


def load_config(kind: type[C], recipe: Path | None, overrides: Mapping[str, Any]) -> C:
    """Defaults, then the recipe's section, then the flags that were given (not None)."""
    section = next(name for name, section_kind in SECTIONS.items() if section_kind is kind)
    values = dict(_read_recipe(recipe).get(section, {})) if recipe else {}
    config = from_dict(kind, values, f"[{section}] of {recipe}")
    given = {key: value for key, value in overrides.items() if value is not None}
    return replace(config, **given)


def _read_recipe(path: Path) -> dict[str, dict[str, Any]]:
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"no recipe at {path}", hint="see recipes/ for examples") from None
    except OSError as error:
        raise InputError(f"can't read the recipe {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    for name, value in recipe.items():
        if name not in SECTIONS or not isinstance(value, dict):
            raise UsageError(f"unknown section [{name}] in {path}", hint=nearest(name, SECTIONS))
    return recipe


def to_dict(config: Config) -> dict[str, Any]:
    """The settings as JSON-ready values."""
    return asdict(config)


def to_toml(section: str, config: Config) -> str:
    """The settings as a TOML section that `--config` reads back; unset values are left out."""
    lines = [f"[{section}]"]
    for key, value in to_dict(config).items():
        if value is not None:
            text = json.dumps(value, ensure_ascii=False)  # TOML, but for a raw DEL
            lines.append(f"{key} = {text}".replace("\x7f", "\\u007f"))
    return "\n".join(lines) + "\n"
