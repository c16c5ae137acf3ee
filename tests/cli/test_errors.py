"""The error tree: stable codes and exit codes, hints, and errors that cross processes whole."""

import copy
import errno

import pytest

from pizzaiolo import errors
from pizzaiolo.errors import PizzaioloError, explain_os_error, nearest

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, PizzaioloError)
]
EXITS = {
    "UsageError": 2, "InputError": 2, "ImageError": 2, "SourceError": 2, "DatasetError": 2,
    "ModelFileError": 2, "MissingExtraError": 2, "WorkError": 1, "GateError": 1,
    "StorageError": 1, "PizzaioloError": 1,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_exit_codes_are_the_documented_ones(kind: type[PizzaioloError]) -> None:
    assert kind("x").exit_code == EXITS[kind.__name__]
    assert kind.__name__ in (errors.__doc__ or "")


def test_codes_are_stable_and_told_apart() -> None:
    codes = {kind.__name__: kind("x").code for kind in KINDS}
    assert len(set(codes.values())) == len(codes)
    assert codes["ModelFileError"] == "bad_model_file" and codes["UsageError"] == "usage"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_crosses_processes_whole(kind: type[PizzaioloError]) -> None:
    sent = kind("the oven is cold", hint="light it", code="cold")
    got = copy.copy(sent)  # by __reduce__, as on the way from a worker
    assert type(got) is kind and got.to_json() == sent.to_json() and str(got) == str(sent)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.ENOTDIR, "a file, not a folder"),
        (errno.ENOENT, "no such file"),
    ],
)
def test_the_system_s_errors_are_explained(number: int, words: str) -> None:
    told = explain_os_error(OSError(number, "system's words", "/some/place"))
    assert words in told.message and "/some/place" in told.message and told.hint
    assert told.exit_code == 1


def test_an_unknown_system_error_keeps_its_words() -> None:
    assert explain_os_error(OSError(errno.EIO, "I/O error", "x")).message == "I/O error: x"
    assert explain_os_error(OSError("no number")).message == "no number"


def test_nearest_names_what_is_near_or_all() -> None:
    assert nearest("optimiser", ["optimizer", "epochs"]) == "did you mean 'optimizer'?"
    assert nearest("zzz", ["b", "a"]) == "choose one of: a, b"
    assert nearest("zzz", map(str, range(100, 130))).endswith(", ...")
