"""What holds for a file of each format: hostile or damaged ones are refused, and nothing runs."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pizzaiolo.core.bundle import CARD_KEY, KINDS, load_pt, save_pt
from pizzaiolo.core.cards import read_card
from pizzaiolo.errors import ModelFileError
from pizzaiolo.predict import load_file
from toy_graph import CARD, write

pytestmark = pytest.mark.usefixtures("one_thread")


class Evil:
    """A pickle of it runs a command where it is read without care."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        import os

        return os.system, (f"touch {self.marker}",)


def hostile(path: Path, marker: Path, kind: str) -> Path:
    """A file that runs a command where it is unpickled."""
    if kind == "pickle":
        path.write_bytes(f"cos\nsystem\n(S'touch {marker}'\ntR.".encode())
    elif kind == "torch archive":
        torch.save({CARD_KEY: CARD.to_json(), "state": Evil(marker)}, path)
    elif kind == "old torch file":
        torch.save({CARD_KEY: Evil(marker)}, path, _use_new_zipfile_serialization=False)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("data.pkl", "constants.pkl", "data/sample_inputs/model.pt"):
                archive.writestr(f"m/{name}", f"cos\nsystem\n(S'touch {marker}'\ntR.")
            archive.writestr("m/version", "3")
            archive.writestr(f"m/extra/{CARD_KEY}", CARD.to_json())
    return path


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("kind", ["pickle", "torch archive", "old torch file", "zip"])
def test_nothing_hostile_runs(tmp_path: Path, suffix: str, kind: str) -> None:
    marker = tmp_path / "executed"
    path = hostile(tmp_path / f"m{suffix}", marker, kind)
    path.with_suffix(".bin").write_bytes(b"")
    for read in (
        (load_file, read_card) if (suffix, kind) != (".pt", "torch archive") else (load_file,)
    ):
        with pytest.raises(ModelFileError) as caught:
            read(path)
        assert "\n" not in caught.value.message and caught.value.hint
    assert not marker.exists()


def test_the_hostile_file_is_hostile(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    torch.load(hostile(tmp_path / "m.pt", marker, "torch archive"), weights_only=False)
    assert marker.exists()


def test_a_script_renamed_to_pt_is_refused(tmp_path: Path) -> None:
    script = write(tmp_path / "m.ts").rename(tmp_path / "m.pt")
    with pytest.raises(ModelFileError):
        load_file(script)


def test_a_changed_weight_is_seen(tmp_path: Path) -> None:
    """Pain: PyTorch reads an archive without a look at its sums."""
    path = tmp_path / "m.pt"
    save_pt(path, CARD, {"weight": torch.full((1000,), 0.5)})
    data = path.read_bytes()
    place = data.index(torch.full((100,), 0.5).numpy().tobytes())
    path.write_bytes(data[:place] + b"\x01" + data[place + 1 :])
    assert torch.load(path, weights_only=True)["state"]["weight"][0] != 0.5
    with pytest.raises(ModelFileError, match="not as it was written"):
        load_pt(path)
