"""torchvision built for another torch still imports; a good one is left alone."""

import subprocess
import sys
from pathlib import Path

from pizzaiolo.model.torchvision_fix import ensure_torchvision

NEEDS_NMS = """
import torch
@torch.library.register_fake("torchvision::nms")  # what torchvision does on import
def nms(dets, scores, iou_threshold): ...
"""
BROKEN = 'raise RuntimeError("another fault")'
GOOD = "answer = 42"
ASK = """
try:
    import torchvision
except RuntimeError as error:
    print("the plain import fails:", error)
from pizzaiolo.model.torchvision_fix import ensure_torchvision
ensure_torchvision()
import torch, torchvision
print("declared:", hasattr(torch.ops.torchvision, "nms"))
"""


def with_torchvision(source: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the fix in a child process whose torchvision is `source`."""
    (folder / "torchvision.py").write_text(source)
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n{ASK}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_missing_operators_are_declared_and_the_import_works(tmp_path: Path) -> None:
    done = with_torchvision(NEEDS_NMS, tmp_path)
    failed, declared = done.stdout.splitlines()
    assert "torchvision::nms does not exist" in failed and declared == "declared: True"


def test_a_good_torchvision_is_left_alone(tmp_path: Path) -> None:
    assert with_torchvision(GOOD, tmp_path).stdout == "declared: False\n"


def test_another_fault_is_not_hidden(tmp_path: Path) -> None:
    done = with_torchvision(BROKEN, tmp_path)
    assert done.returncode == 1 and "RuntimeError: another fault" in done.stderr


def test_the_installed_torchvision_can_transform() -> None:
    ensure_torchvision()
    from torchvision.transforms import v2

    assert callable(v2.RandomHorizontalFlip())


def test_asking_again_changes_nothing() -> None:
    ensure_torchvision()
    before = sys.modules["torchvision"]
    ensure_torchvision()
    assert sys.modules["torchvision"] is before
