"""A person's own module: by object, by class, by path/to/file.py:Class."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from pizzaiolo.config import TrainConfig
from pizzaiolo.errors import InputError, PizzaioloError, UsageError
from pizzaiolo.model.custom import create_custom, is_code
from pizzaiolo.model.define import define
from toy_network import OWN_CLASS as OWN
from toy_network import Own

HEADER = "import torch\nfrom torch import nn\n"
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes net.py and returns the name of its class as --model takes it."""

    def write(body: str, name: str = "Own") -> str:
        (tmp_path / "net.py").write_text(HEADER + body)
        return f"{tmp_path / 'net.py'}:{name}"

    return write


CONFIG = TrainConfig(size=32)


@pytest.mark.parametrize("network", [Own, Own(3)], ids=["class", "object"])
def test_a_class_or_an_object_becomes_a_recogniser(network: nn.Module | type[nn.Module]) -> None:
    made = define(CONFIG, 3, network)
    logits, embedding = made.network.outputs(torch.rand(5, 3, 32, 32))
    assert logits.shape == (5, 3) and embedding is logits
    assert made.architecture == {"kind": "custom", "name": "Own"}
    assert made.weights_licence.startswith("none")


def test_an_object_is_taken_as_it_is() -> None:
    own = Own()
    assert define(CONFIG, 2, own).network.backbone is own


def test_a_file_and_its_class_become_a_recogniser(write: Write) -> None:
    made = define(TrainConfig(model=write(OWN), size=32), 4)
    assert made.network(torch.rand(2, 3, 32, 32)).shape == (2, 4)
    assert made.preprocess.size == 32


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("net.py:Own", True),
        ("a/b.py:C", True),
        ("net.py", True),
        ("resnet18", False),
        ("py", False),
    ],
)
def test_code_is_told_from_a_name(name: str, answer: bool) -> None:
    assert is_code(name) is answer


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("gone.py:Own", InputError, "there is no file gone.py"),
        ("gone.py", UsageError, "names no class"),
        (":Own", UsageError, "names no class"),
    ],
)
def test_a_wrong_address_says_what_is_expected(
    code: str, kind: type[PizzaioloError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        create_custom(code, 2)
    assert caught.value.hint == "expected path/to/file.py:Class"


@pytest.mark.parametrize(
    ("body", "name", "words", "hint"),
    [
        (OWN, "Onw", "has no class called 'Onw'", "Own"),
        (OWN, "", "has no class called ''", "Own"),
        (OWN + "Other = 3", "Other", "no nn.Module called 'Other'", "Own"),
        ("class Plain: pass", "Plain", "no nn.Module called 'Plain'", "none"),
        ("def f(:", "Own", "SyntaxError", "shows where it fails"),
        ("import no_such_package", "Own", "No module named 'no_such_package'", "shows where"),
        ("raise OSError('disk')", "Own", "OSError: disk", "shows where it fails"),
        ("import sys; sys.exit(3)", "Own", "SystemExit: 3", "shows where it fails"),
        (OWN.replace("num_classes):", "width):"), "Own", "unexpected keyword", "num_classes"),
        (OWN.replace("num_classes):", "num_classes, width):"), "Own", "missing 1", "num_classes"),
        (OWN.replace("super().__init__()", "1 / 0"), "Own", "ZeroDivisionError", "num_classes"),
        (OWN.replace("super().__init__()", "pass"), "Own", "before Module.__init__", "num_classes"),
    ],
)  # fmt: skip
def test_code_that_cannot_be_used_is_one_clear_error(
    write: Write, body: str, name: str, words: str, hint: str
) -> None:
    with pytest.raises(InputError, match=r"net\.py|num_classes=2") as caught:
        create_custom(write(body, name), 2)
    assert words in caught.value.message and hint in (caught.value.hint or "")


def test_a_file_may_import_the_modules_beside_it(write: Write, tmp_path: Path) -> None:
    """Pain: a model split over two files can't be loaded from elsewhere."""
    (tmp_path / "blocks_beside.py").write_text(HEADER + "Block = nn.Linear\n")
    code = write("from blocks_beside import Block\n" + OWN.replace("nn.Linear", "Block"))
    before = list(sys.path)
    assert isinstance(create_custom(code, 2), nn.Module)
    assert sys.path == before


def test_a_dataclass_in_the_file_works(write: Write) -> None:
    body = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    body += "@dataclass\nclass Size:\n    width: int = 3\n"
    file = Path(write("").rpartition(":")[0])
    file.write_text(body + HEADER + OWN)
    assert isinstance(create_custom(f"{file}:Own", 2), nn.Module)


def changed(**methods: object) -> nn.Module:
    return type("Changed", (Own,), methods)()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (lambda self, x: self.layer(x.mean((2, 3)))[:, :1], r"gives \[2, 1\] for 2 pictures"),
        (lambda self, x: x, r"gives \[2, 3, 32, 32\] for 2 pictures"),
        (lambda self, x: self.layer(x), "fails on pictures"),
        (lambda self, x: {"logits": x}, "fails on pictures"),
        (lambda self, x: None, "fails on pictures"),
        (lambda self: 1, "fails on pictures"),
    ],
)
def test_a_wrong_output_says_what_is_expected(forward: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        define(CONFIG, 2, changed(forward=forward))


def test_a_wrong_width_says_how_to_mend_it() -> None:
    with pytest.raises(UsageError, match=r"expected logits \[2, 5\]") as caught:
        define(CONFIG, 5, Own(2))
    assert "num_classes" in (caught.value.hint or "")


def test_a_method_embed_gives_the_embedding() -> None:
    made = define(CONFIG, 2, changed(embed=lambda self, x: x.mean((2, 3))))
    logits, embedding = made.network.outputs(torch.rand(4, 3, 32, 32))
    assert logits.shape == (4, 2) and embedding.shape == (4, 3)


def test_a_wrong_embedding_is_refused() -> None:
    with pytest.raises(UsageError, match="embed of your module"):
        define(CONFIG, 2, changed(embed=lambda self, x: x))


def test_a_layer_called_embed_is_no_embedding() -> None:
    own = Own()
    own.embed = nn.Conv2d(3, 8, 16, 16)  # as a transformer calls the layer of its patches
    assert define(CONFIG, 2, own).network.embed(torch.rand(4, 3, 32, 32)).shape == (4, 2)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_module_with_nothing_to_train_is_refused(frozen: bool) -> None:
    own = Own().requires_grad_(False) if frozen else nn.Flatten()
    with pytest.raises(UsageError, match="nothing to train"):
        define(CONFIG, 2, own)


@pytest.mark.parametrize("network", [3, "resnet", lambda x: x, int])
def test_what_is_no_module_is_refused(network: object) -> None:
    with pytest.raises(UsageError, match=r"expected an nn\.Module or its class"):
        define(CONFIG, 2, network)  # type: ignore[arg-type]
