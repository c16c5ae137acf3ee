"""Parameters and multiply-adds: the published numbers, counted once."""

import csv
from pathlib import Path

import pytest
import torch

from pizzaiolo.model import counting
from pizzaiolo.model.cnn import WIDTHS
from pizzaiolo.model.counting import COUNTS, Count, count, counts, write_counts
from pizzaiolo.model.torchvision_fix import timm


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [
        ("resnet50", 25.6e6, 4.1e9),  # He et al. 2015: 3.8, of another stride
        ("vgg16", 138.4e6, 15.5e9),
        ("efficientnet_b0", 5.3e6, 0.39e9),  # Tan and Le 2019
        ("mobilenetv3_large_100", 5.4e6, 0.219e9),  # Howard et al. 2019
        ("convnext_tiny", 28.6e6, 4.5e9),  # Liu et al. 2022
        ("vit_base_patch16_224", 86.6e6, 17.6e9),  # Touvron et al. 2020
        ("swin_tiny_patch4_window7_224", 28.3e6, 4.5e9),  # Liu et al. 2021
    ],
)
def test_they_are_the_published_numbers(name: str, parameters: float, multiply_adds: float) -> None:
    found = count(name)
    assert found.multiply_adds is not None
    assert found.parameters == pytest.approx(parameters, rel=0.02)
    assert found.multiply_adds == pytest.approx(multiply_adds, rel=0.03)


def test_our_cnn_can_be_counted_by_hand() -> None:
    cost, channels = 0, 3
    for side, width in zip((128, 64, 32, 16), WIDTHS, strict=True):
        cost += side * side * 9 * (channels * width + width * width)
        channels = width
    assert count("cnn") == (1_173_216, cost)


@pytest.mark.parametrize("name", ["cnn", "resnet18", "pit_s_224", "tf_efficientnet_lite2"])
def test_what_comes_with_the_package_is_what_is_counted(name: str) -> None:
    assert counts([name]) == {name: count(name)}


def test_the_package_knows_every_architecture_of_its_timm() -> None:
    with COUNTS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    (version,) = {row["timm"] for row in rows}
    assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)
    if version == timm().__version__:
        assert {row["name"] for row in rows} == {"cnn", *timm().list_models()}


@pytest.fixture
def other_timm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The cache of a timm whose architectures nobody has counted."""
    monkeypatch.setattr(timm(), "__version__", "99.0")
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path))
    return tmp_path


def test_another_timm_is_counted_once(other_timm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = counts(["cnn", "resnet10t"])
    monkeypatch.setattr(counting, "count", None)
    assert counts(["resnet10t", "cnn"]) == first and first["resnet10t"].parameters > 5e6
    assert [file.name for file in other_timm.iterdir()] == ["counts-timm-99.0.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"cnn": 3}', '{"cnn": ["x", 1]}', '{"cnn": [1]}'])
def test_a_damaged_cache_is_counted_again(other_timm: Path, text: str) -> None:
    first = counts(["cnn"])
    (file,) = other_timm.iterdir()
    file.write_text(text)
    assert counts(["cnn"]) == first


def test_a_cache_that_cannot_be_written_is_no_fault(
    other_timm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (other_timm / "file").write_text("")
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(other_timm / "file"))
    assert counts(["cnn"])["cnn"].parameters > 1_000_000


def test_what_cannot_be_counted_is_told_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stubborn(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * x.sum().item()

    monkeypatch.setattr(timm(), "create_model", lambda name: Stubborn(3, 4))
    assert count("resnet18") == Count(16, None)


def test_the_file_is_written_by_its_own_command(tmp_path: Path) -> None:
    write_counts(["resnet10t", "cnn"], tmp_path / "counts.csv")
    lines = (tmp_path / "counts.csv").read_text().splitlines()
    found = set(COUNTS.read_text().splitlines())
    assert lines[0] == "timm,name,parameters,multiply_adds" and len(lines) == 3
    assert set(lines) <= found or timm().__version__ not in lines[1]
