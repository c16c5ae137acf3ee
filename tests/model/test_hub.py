"""Published weights: from the hub, from this disk, or one clear error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pizzaiolo.errors import WorkError
from pizzaiolo.model.backbones import create_backbone
from pizzaiolo.model.hub import weights_file

LITE0 = "tf_efficientnet_lite0"
SCRIPT = Path(__file__).with_name("hub_script.py")


def test_weights_that_cannot_be_had_offline_are_a_clear_error() -> None:
    """Pain: a tool that hangs or crashes where there is no network."""
    with pytest.raises(WorkError, match="weights of 'resnet18'") as caught:
        create_backbone("resnet18", pretrained=True)
    assert caught.value.code == "weights_unavailable"
    assert LITE0 in (caught.value.hint or "") and "--no-pretrained" in (caught.value.hint or "")


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is tried on a hub on this machine, one line each."""
    folder = tmp_path_factory.mktemp("hub")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)],
        capture_output=True, text=True, timeout=200, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_weights_come_from_the_hub_and_then_from_the_disk(lines: list[str]) -> None:
    assert [line for line in lines if line.startswith(("good", "again"))] == [
        "good True True", "again True False"
    ]  # fmt: skip
    assert lines[-2] == "offline True"


def test_the_list_says_which_weights_are_here(lines: list[str]) -> None:
    assert [line for line in lines if line.startswith("here")] == ["here False", "here True"]


def test_a_download_that_breaks_off_is_an_error_that_names_what_is_here(lines: list[str]) -> None:
    (cut,) = [line for line in lines if line.startswith("cut")]
    assert cut.startswith("cut weights_unavailable: the weights of 'resnet10t' are not on this")
    assert "without sending complete message body" in cut and LITE0 in cut and "--weights" in cut


@pytest.mark.parametrize("kind", ["noise", "other"])
def test_weights_that_are_damaged_name_the_file_to_delete(lines: list[str], kind: str) -> None:
    """Pain: a damaged file in a cache fails every run from then on, and nobody says where it is."""
    (line,) = [line for line in lines if line.startswith(kind)]
    assert "on this disk can't be used" in line and "| delete /" in line
    assert line.endswith("model.safetensors and they will be downloaded again")


def test_offline_the_error_names_what_is_here(lines: list[str]) -> None:
    assert "'resnet34' are not on this disk" in lines[-1] and LITE0 in lines[-1]


def test_weights_that_lie_at_an_address_are_found_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = "legacy_seresnet18"  # on no hub, but at an address
    assert weights_file(name) is None
    file = tmp_path / "hub" / "checkpoints" / "seresnet18-4bb0ce65.pth"
    file.parent.mkdir(parents=True)
    file.touch()
    assert weights_file(name) == file


@pytest.mark.parametrize("name", ["resnet18", "convnext_zepto_rms", "vit_base_patch16_plus_240"])
def test_what_was_never_fetched_is_not_here(name: str) -> None:
    assert weights_file(name) is None
