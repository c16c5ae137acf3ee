"""TorchScript: what its code and pickles may hold, and that nothing else is given to PyTorch."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pizzaiolo.core.archive import Records, pack, read_archive, records_of, sealed
from pizzaiolo.core.cards import read_card
from pizzaiolo.errors import ModelFileError
from pizzaiolo.predict.script import check_code, check_script
from toy_graph import CARD, refused, write

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]
CODE = """\
class Graph(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  def forward(self: __torch__.Graph,
    image: Tensor) -> Tuple[Tensor, Tensor]:
    _0 = ops.prim.NumToTensor(torch.size(image, 0))
    x = torch.to(torch.permute(image, [0, 3, 1, 2]), 6)
    y, z, = torch.split(torch.mul_(x, CONSTANTS.c0), int(_0), 1)
    return (torch.softmax(y, -1), annotate(Optional[Tensor], z))
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    return write(tmp_path_factory.mktemp("ts") / "m.ts")


@pytest.fixture
def change(file: Path, tmp_path: Path) -> Callable[..., Path]:
    """A file whose records were changed by somebody who knows how the sum is made."""

    def changed(records: Records) -> Path:
        path = tmp_path / "m.ts"
        path.write_bytes(pack(sealed({**read_archive(file), **records}, CARD.to_json())))
        return path

    return changed


def test_what_an_export_writes_is_allowed(file: Path) -> None:
    check_script(read_archive(file))
    check_code(CODE)


def test_nothing_says_where_it_was_made(file: Path) -> None:
    whole = file.read_bytes()
    assert b"debug_pkl" not in whole and str(Path(__file__).parent).encode() not in whole


@pytest.mark.parametrize(
    "call",
    [
        "torch.save(image, 'a')", "ops.aten.save(image, 'a')", "torch.load('a')",
        "ops.aten.from_file('a')", "torch.from_file('a', True, 3)", "ops.prim.Print(image)",
        "print(image)", "open('a')", "image.save('a')", "os.system('a')", "ops.torch.x(image)",
        "torch.ops.aten.add(image)", "torch.jit.load('a')", "torch(image)", "getattr(image, 'a')",
        "ops.custom.run(image)", "ops.prim.RaiseException('a')", "torch.softmax(print(image), 1)",
        "self.forward(image)", "__torch__.other(image)", "torch.get_file_path('a')",
        "torch.__import__('os')",
    ],
)  # fmt: skip
def test_a_call_that_is_not_on_the_list_is_refused(call: str) -> None:
    with pytest.raises(ModelFileError, match="not among the operators"):
        check_code(CODE.replace("torch.softmax(y, -1)", call))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return", "    import os\n    return"),
        ("    return", "    while True:\n      x = y\n    return"),
        ("    return", "    assert x, y\n    return"),
        ("    return", "    del x\n    return"),
        ("    return", "    torch.sum(x)\n    return"),
        ("-1", "(lambda a: a)"),
        ("-1", "[a for a in x]"),
        ("-1", "x if y else z"),
        ("-1", "f'{x}'"),
        ("-1", "y := x"),
        ("  def forward", "  @run\n  def forward"),
        ("class Graph(Module)", "class Graph(Module, metaclass=print())"),
        ("def forward", "def __setstate__"),
        ("class Graph(Module):", "class Other(Module):\n  a = 1\nclass Graph(Module):"),
        (CODE, CODE + CODE.replace("Graph", "Other")),
        (CODE, ""),
        ("-1", "-1 # a comment"),
        ("-1", "-1)\\\n, (1"),
        ("-1", "'''a\nb'''"),
        ("-1", "-1\r"),
        ("-1", "é"),
        ("-1", "("),
        ("-1", "(" * 3000 + "1" + ")" * 3000),
        ("    return", "    x = y; return"),
    ],
)
def test_code_that_is_more_than_a_graph_is_refused(old: str, new: str) -> None:
    assert old in CODE
    with pytest.raises(ModelFileError):
        check_code(CODE.replace(old, new))


class Saves(nn.Module):
    """TorchScript that writes a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        torch.save(image, self.path)
        return image, image


@pytest.mark.parametrize("in_our_archive", [False, True])
def test_a_script_that_writes_a_file_does_not_run(tmp_path: Path, in_our_archive: bool) -> None:
    marker, path = tmp_path / "executed", tmp_path / "bad.ts"
    written = io.BytesIO()
    torch.jit.save(torch.jit.script(Saves(marker)), written)
    path.write_bytes(written.getvalue())
    if in_our_archive:
        records = records_of(written.getvalue(), r"\.debug_pkl$")
        path.write_bytes(pack(sealed(records, CARD.to_json())))
        refused(path, "save, which is not among|which no graph needs")
    else:
        refused(path, "not a model file")
    assert not marker.exists()


def test_code_in_the_place_of_the_graph_does_not_run(
    file: Path, tmp_path: Path, change: Callable[..., Path]
) -> None:
    name = next(name for name in read_archive(file) if name.startswith("code/"))
    code = read_archive(file)[name].decode()
    marker = tmp_path / "executed"
    line = next(line for line in code.splitlines() if " = torch." in line)
    bad = code.replace(line, f'{line}\n    _x = torch.save({line.split()[0]}, "{marker}")')
    refused(change({name: bad.encode()}), "calls torch.save")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["data.pkl", "constants.pkl"])
@pytest.mark.parametrize(
    "pickle",
    [b"cos\nsystem\n(S'touch executed'\ntR.", b"(S'touch executed'\nios\nsystem\n.",
     b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"ctorch.serialization load\n.",
     b"ctorch\nload\n(S'a'\ntR.", b"", b"\xff\xff"],
)  # fmt: skip
def test_a_pickle_of_more_than_tensors_is_refused(
    change: Callable[..., Path], name: str, pickle: bytes
) -> None:
    refused(change({name: pickle}), "which no graph needs|is damaged")


def test_two_files_of_code_are_refused(change: Callable[..., Path]) -> None:
    refused(change({"code/__torch__/other.py": CODE.encode()}), "2 files of code")


def test_code_that_pytorch_cannot_compile_is_refused(
    file: Path, change: Callable[..., Path]
) -> None:
    name = next(name for name in read_archive(file) if name.startswith("code/"))
    refused(change({name: CODE.encode()}), "PyTorch can't read its TorchScript")


def test_the_card_is_read_where_the_code_is_refused(change: Callable[..., Path]) -> None:
    """`pizzaiolo card` only reads."""
    assert read_card(change({"code/__torch__/other.py": b"print()"})) == CARD
