"""Exported programs: our reader computes what PyTorch's does, and refuses what it can't trust."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pizzaiolo.core.archive import pack, read_archive, records_of, sealed
from pizzaiolo.predict import load_file
from pizzaiolo.predict.program import EXAMPLE, GRAPH, Program, load_program
from toy_graph import CARD, pixels, refused, write

pytestmark = pytest.mark.usefixtures("one_thread")
N = torch.export.Dim("n", min=1)


def program_of(network: nn.Module, *shape: int) -> tuple[Program, Any]:
    """A network in our reader, and in PyTorch's own."""
    exported = torch.export.export(
        network.eval(), (torch.rand(2, *shape),), dynamic_shapes={"x": {0: N}}
    )
    written = io.BytesIO()
    torch.export.save(exported, written)
    return load_program({**records_of(written.getvalue()), EXAMPLE: b""}), exported.module()


class Shapes(nn.Module):
    """Sizes that hang on the batch, lists of tensors, indices, types and constants."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4, 1))
        self.register_buffer("kept", torch.rand(4))
        self.register_buffer("dropped", torch.rand(4), persistent=False)
        self.table = torch.arange(4.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        n, width = x.shape[0], x.shape[1] // 2
        first, second = x.reshape(n * 2, width).split([1, width - 1], dim=1)
        parts = torch.cat([second, first.expand(n * 2, 1)], 1).reshape(n, -1)
        values, places = parts.topk(2, dim=1)
        chosen = parts[:, [0, 2, 1, 3]] + self.kept + self.dropped * self.table
        pad = nn.functional.pad(chosen, (1, 1), value=float("-inf")).amax(1, keepdim=True)
        mixed = torch.stack([chosen, parts], 1).unbind(1)
        total = torch.where(mixed[0] > mixed[1], mixed[0], mixed[1]).to(torch.float64)
        mask = torch.full((n, 4), -1.0, device=x.device).masked_fill(total > 0.5, 2.0)
        out = (total.float() @ self.weight + pad + places.float().sum(1, keepdim=True)) * values
        return out.clamp(min=0), mask + torch.zeros_like(mask, dtype=torch.float32)


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.grow = nn.Upsample(scale_factor=2, mode="bilinear")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.block(self.grow(x).flatten(2))
        return seen.mean(1), torch.einsum("ncl,ncl->nc", seen, seen)


@pytest.mark.parametrize(("kind", "shape"), [(Shapes, (4,)), (Attends, (3, 2, 2))])
def test_it_computes_what_pytorch_computes(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    ours, theirs = program_of(kind(), *shape)
    for batch in (1, 2, 7):
        given = torch.rand(batch, *shape)
        with torch.inference_mode():
            for a, b in zip(ours(given), theirs(given), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    spent = [name for step in ours.steps for name in step.spent]
    assert len(spent) == len(set(spent)) > 10


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    return write(tmp_path_factory.mktemp("pt2") / "m.pt2")


def test_pytorch_reads_the_file_as_well(file: Path) -> None:
    program = torch.export.load(file)
    images = torch.from_numpy(pixels(3))
    with torch.inference_mode():
        theirs = program.module()(images)
        ours = load_program(read_archive(file))(images)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_nothing_says_where_it_was_made_and_nothing_is_pickled(file: Path) -> None:
    whole = file.read_bytes()
    assert str(Path(__file__).parent).encode() not in whole and b"site-packages" not in whole
    assert read_archive(file)[EXAMPLE] == b"" and b"ctorch" not in whole


@pytest.fixture
def change(file: Path, tmp_path: Path) -> Callable[..., Path]:
    """A file that was changed by somebody who knows how the sum is made."""

    def changed(of_graph: Callable[[Any], Any] | None = None, /, **records: bytes) -> Path:
        found = {**read_archive(file), **records}
        if of_graph:
            graph = json.loads(found[GRAPH])
            of_graph(graph)
            found[GRAPH] = json.dumps(graph).encode()
        path = tmp_path / "m.pt2"
        path.write_bytes(pack(sealed(found, CARD.to_json())))
        return path

    return changed


def node(graph: Any) -> Any:
    return graph["graph_module"]["graph"]["nodes"][0]


@pytest.mark.parametrize(
    "target",
    [
        "torch.load", "torch.hub.load", "torch.ops.aten.save.default", "torch.serialization.load",
        "torch.ops.aten.from_file.default", "torch.ops.higher_order.cond", "_operator.attrgetter",
        "math.exp", "torch.ops.aten.add", "torch.ops.aten.add.__class__", "torch.ops.aten.add.None",
        "torch.ops.load_library", "torch.ops.aten._tools.default", "os.system", "", ".", "#x.y",
        "torch.ops.prim.Print.default", "builtins.eval",
    ],
)  # fmt: skip
def test_a_call_that_is_not_on_the_list_is_refused(
    change: Callable[..., Path], target: str
) -> None:
    refused(change(lambda graph: node(graph).update(target=target)), "not among the operators")


@pytest.mark.parametrize(
    "argument",
    [{"as_graph": {"name": "a", "graph": {}}}, {"as_custom_obj": {"name": "a", "class_fqn": "b"}},
     {"as_operator": "os.system"}, {"as_device": {"type": "cuda", "index": 0}}, {"as_layout": 1}],
)  # fmt: skip
def test_an_argument_of_another_kind_is_refused(
    change: Callable[..., Path], argument: dict[str, Any]
) -> None:
    def put(graph: Any) -> None:
        node(graph)["inputs"][0]["arg"] = argument

    refused(change(put), "argument of the kind")


def test_an_expression_in_a_shape_is_not_evaluated(
    change: Callable[..., Path], tmp_path: Path
) -> None:
    """Pain: PyTorch's own reader evaluates the texts in which a file tells its shapes."""
    marker = tmp_path / "executed"
    evil = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    path = change(
        lambda g: g.update(json.loads(json.dumps(g).replace("Symbol", evil + " or Symbol")))
    )
    load_file(path).run(pixels(2))
    assert not marker.exists()


def test_an_example_is_not_unpickled(change: Callable[..., Path], tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    pickle = f"cos\nsystem\n(S'touch {marker}'\ntR.".encode()
    refused(change(**{EXAMPLE: pickle}), "would have to be unpickled")
    assert not marker.exists()


def test_weights_are_not_unpickled(file: Path, change: Callable[..., Path]) -> None:
    name = "data/weights/model_weights_config.json"
    config = read_archive(file)[name].replace(b'"use_pickle": false', b'"use_pickle": true', 1)
    refused(change(**{name: config}), "would have to be unpickled")


def test_weights_that_are_too_short_are_refused(change: Callable[..., Path]) -> None:
    """Pain: a tensor that reaches past its memory reads that of others."""
    refused(change(**{"data/weights/weight_0": bytes(8)}), "graph is damaged")


@pytest.mark.parametrize("number", [7, 9])
def test_another_version_of_the_format_is_refused(change: Callable[..., Path], number: int) -> None:
    path = change(lambda graph: graph["schema_version"].update(major=number))
    refused(path, f"version {number}, expected 8")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"schema_version": 8}', b"null"])
def test_a_damaged_graph_is_refused(change: Callable[..., Path], text: bytes) -> None:
    refused(change(**{GRAPH: text}), "graph is damaged")


@pytest.mark.parametrize("key", ["inputs", "outputs", "target"])
def test_a_node_without_its_parts_is_refused(change: Callable[..., Path], key: str) -> None:
    refused(change(lambda graph: node(graph).pop(key)), "graph is damaged")
