"""A person's own file of weights: what is read, what is refused and why."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from pizzaiolo.core.bundle import save_pt
from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import InputError
from pizzaiolo.model.weights import PREFIXES, compare, read_weights, unwrapped

STATE = {"conv.weight": torch.ones(2, 3), "conv.bias": torch.zeros(2)}
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes what it is given with torch.save."""

    def save(content: object, name: str = "weights.pth") -> Path:
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return save


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == STATE.keys() and all(torch.equal(found[k], STATE[k]) for k in STATE)


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3, "optimizer": {"state": {0: {"step": torch.ones(1)}}}},
        {"model": STATE},
        {"ema": {"module": STATE, "decay": 0.99}, "model": {"conv.weight": torch.zeros(2, 3)}},
        {"model": {"state_dict": STATE}},
    ],
    ids=["plain", "state_dict", "model", "ema before model", "nested twice"],
)
@pytest.mark.parametrize("name", ["weights.pth", "weights.PT", "weights.ckpt"])
def test_tensors_are_found_where_others_put_them(save: Save, content: object, name: str) -> None:
    assert same(read_weights(save(content, name)).state)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.safetensors")
    found = read_weights(tmp_path / "w.safetensors")
    assert same(found.state) and found.licence == "unknown (your file w.safetensors)"


def test_a_model_file_of_ours_brings_its_card_and_licence(tmp_path: Path) -> None:
    card = Card(
        Labels(("a", "b")), Preprocess(), {"kind": "timm", "name": "resnet18"},
        weights_licence="MIT",
    )  # fmt: skip
    save_pt(tmp_path / "model.pt", card, STATE)
    found = read_weights(tmp_path)  # a RUN
    assert same(found.state) and found.card == card and found.architecture == "resnet18"
    assert found.licence == "MIT, by way of your file model.pt"


class Bomb:
    def __init__(self, function: Callable[..., object], marker: Path) -> None:
        self.function, self.marker = function, marker

    def __reduce__(self) -> tuple[object, ...]:
        return (self.function, (self.marker,))


@pytest.mark.parametrize(("function", "name"), [(Path.touch, "getattr"), (os.mkdir, "posix.mkdir")])
def test_pickled_code_is_named_and_never_run(
    save: Save, tmp_path: Path, function: Callable[..., object], name: str
) -> None:
    path = save({"state_dict": STATE, "args": Bomb(function, tmp_path / "executed")})
    with pytest.raises(InputError, match=rf"pickled code \({name}\)") as caught:
        read_weights(path)
    assert "never run" in caught.value.message and "state_dict()" in (caught.value.hint or "")
    assert not (tmp_path / "executed").exists()


def test_a_whole_pickled_network_is_refused(save: Save) -> None:
    with pytest.raises(InputError, match=r"pickled code \(torch\.nn\.modules\.linear\.Linear\)"):
        read_weights(save(torch.nn.Linear(2, 2)))


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"PK\x03\x04 cut off", b"hello"])
def test_what_is_no_file_of_tensors_is_one_clear_error(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="no file of tensors, or a damaged one"):
        read_weights(tmp_path / name)


def test_a_file_that_was_cut_off_is_refused(save: Save, tmp_path: Path) -> None:
    whole = save(STATE).read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.pth is no file of tensors"):
        read_weights(tmp_path / "cut.pth")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone.pth", "no such file"),
        ("folder.pth", "a folder"),
        ("weights.npz", "end with '.npz'"),
        ("weights", "end with 'nothing'"),
    ],
)
def test_a_wrong_path_says_what_is_expected(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder.pth").mkdir()
    for other in ("weights.npz", "weights"):
        (tmp_path / other).write_bytes(b"")
    with pytest.raises(InputError, match=words) as caught:
        read_weights(tmp_path / name)
    assert ".safetensors" in caught.value.message + (caught.value.hint or "")


@pytest.mark.parametrize("content", [{}, [1, 2], 3, {"model": {}}, {"a": 1, "b": "x"}])
def test_a_file_without_tensors_is_refused(save: Save, content: Any) -> None:
    with pytest.raises(InputError, match="holds no tensors by name"):
        read_weights(save(content))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(save: Save, bad: float) -> None:
    state = STATE | {"conv.bias": torch.tensor([0.0, bad])}
    with pytest.raises(InputError, match=r"not finite, in 1 of 2 tensors \(first 'conv.bias'\)"):
        read_weights(save(state))


@given(st.lists(st.sampled_from(PREFIXES), max_size=4))
def test_what_wrappers_put_before_names_is_taken_off(prefixes: list[str]) -> None:
    wrapped = {"".join(prefixes) + name: tensor for name, tensor in STATE.items()}
    assert unwrapped(wrapped, STATE) == STATE


def test_a_prefix_that_the_network_itself_has_stays() -> None:
    state = {f"backbone.{name}": tensor for name, tensor in STATE.items()}
    assert unwrapped(state, state) == state
    assert unwrapped({f"module.{k}": v for k, v in state.items()}, state) == state


def test_differences_are_counted_and_the_first_of_each_is_named() -> None:
    expected = {
        "a": torch.zeros(1), "b": torch.zeros(2), "c": torch.zeros(3), "d": torch.zeros(4),
        "norm.num_batches_tracked": torch.tensor(0),
    }  # fmt: skip
    found = compare({"c": torch.zeros(3), "d": torch.zeros(5), "e": torch.zeros(1)}, expected)
    assert str(found) == (
        "2 missing (first 'a'), 1 unexpected (first 'e'), "
        "1 of another shape (first 'd': [5], expected [4])"
    )
    assert found and not compare(expected, expected)


def test_a_counter_of_batches_may_be_missing() -> None:
    assert not compare({"w": torch.zeros(1)}, {
        "w": torch.zeros(1), "norm.num_batches_tracked": torch.tensor(0),
    })  # fmt: skip
