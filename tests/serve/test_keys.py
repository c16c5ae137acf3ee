"""API keys: made once, known by their hash, found by nothing else."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from pizzaiolo.errors import InputError, UsageError
from pizzaiolo.serve.keys import ADMIN, ENVIRONMENT, find, new_key, presented, read_keys


def test_a_key_is_known_by_its_hash_alone(tmp_path: Path) -> None:
    (secret, ann), (_, bob) = new_key("ann"), new_key("bob", ADMIN)
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\n{ann}\n{bob}  # since May\n")
    assert secret not in file.read_text()
    keys = read_keys(file, {})
    assert keys == (ann, bob) and [key.scope for key in keys] == ["predict", "admin"]
    assert find(keys, secret) == ann
    for wrong in ("", secret[:-1], secret + "x", ann.digest.hex(), "\udcff"):
        assert find(keys, wrong) is None


def test_the_environment_adds_keys(tmp_path: Path) -> None:
    ann, bob, eve = (new_key(name)[1] for name in ("ann", "bob", "eve"))
    (tmp_path / "keys").write_text(str(eve))
    assert read_keys(tmp_path / "keys", {ENVIRONMENT: f"{ann},{bob}\n"}) == (eve, ann, bob)
    assert read_keys(None, {}) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no key"),
        ("ann predict", "line 1 of .* is no key"),
        ("ann predict abc", "line 1"),
        ("ann predict " + "ab" * 31, "line 1"),
        ("\nann baker " + "ab" * 32, "line 2"),
        ("a/b predict " + "ab" * 32, "line 1"),
        (("ann predict " + "ab" * 32 + "\n") * 2, "more than one key is called 'ann'"),
        ("\xff", "line 1"),
    ],
)
def test_a_file_without_sound_keys_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(InputError, match=words):
        read_keys(tmp_path / "keys", {})


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for file in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="can't read the keys in"):
            read_keys(file, {})


@pytest.mark.parametrize("name", ["", "a b", "ann,bob", "x" * 65, "ann\n"])
def test_a_name_that_would_break_the_file_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        new_key(name)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ({"x-api-key": "abc"}, "abc"),
        ({"authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer  abc "}, "abc"),
        ({"authorization": basic("anyone:abc")}, "abc"),
        ({"authorization": basic("anyone")}, ""),
        ({"authorization": "Basic !"}, None),
        ({"authorization": "Digest abc"}, None),
        ({}, None),
    ],
)
def test_a_secret_comes_in_three_ways(headers: dict[str, str], secret: str | None) -> None:
    assert presented(headers) == secret


def test_the_command_shows_the_secret_once_and_prints_the_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pizzaiolo", "key", "ann", "--admin"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    (tmp_path / "keys").write_text(done.stdout)
    (key,) = read_keys(tmp_path / "keys", {})
    secret = done.stderr.splitlines()[0].rpartition(" ")[2]
    assert find([key], secret) == key and (key.name, key.scope) == ("ann", "admin")
    assert secret not in done.stdout
