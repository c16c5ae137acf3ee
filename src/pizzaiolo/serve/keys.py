"""API keys: the service knows only their hashes, and compares them in constant time.

A key is 32 random bytes, so a plain SHA-256 can't be turned back and needs no salt.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from binascii import Error as BadBase64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, UsageError

PREDICT, ADMIN = "predict", "admin"
ENVIRONMENT = "PIZZAIOLO_KEYS"
START = "pizza_"  # of every key, so that one that leaked is found by a search
_NAME = re.compile(r"[\w.@-]{1,64}")
_LINE = "expected NAME SCOPE SHA256 as `pizzaiolo key NAME` prints it"


@dataclass(frozen=True)
class Key:
    """Who may ask: a name for the log, the scope (predict or admin), SHA-256 of the secret."""

    name: str
    scope: str
    digest: bytes

    def __str__(self) -> str:
        return f"{self.name} {self.scope} {self.digest.hex()}"


def new_key(name: str, scope: str = PREDICT) -> tuple[str, Key]:
    """A new secret, which is shown once, and the key that is kept; raises `UsageError`."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"the name {name!r} is not allowed", hint="letters, digits, . _ @ -")
    secret = START + secrets.token_urlsafe(32)
    return secret, Key(name, scope, _digest(secret))


def read_keys(file: Path | None, environment: Mapping[str, str]) -> tuple[Key, ...]:
    """The keys of a file and of the environment's PIZZAIOLO_KEYS (lines, or parts with commas).

    Raises `InputError` for a file that is not there, a line that is none, or a name that is taken.
    """
    keys: list[Key] = []
    if file is not None:
        try:
            keys += _parse(file.read_text(encoding="utf-8").splitlines(), str(file))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"can't read the keys in {file}: {reason}") from None
        if not keys:
            raise InputError(f"{file} holds no key", hint=f"pizzaiolo key NAME >> {file}")
    keys += _parse(re.split(r"[\n,]", environment.get(ENVIRONMENT, "")), ENVIRONMENT)
    names = [key.name for key in keys]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"more than one key is called {sorted(twice)[0]!r}, expected one")
    return tuple(keys)


def _parse(lines: Iterable[str], where: str) -> Iterable[Key]:
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].split()
        if not text:
            continue
        try:
            name, scope, digest = text
            key = Key(name, scope, bytes.fromhex(digest))
        except ValueError:
            raise InputError(f"line {number} of {where} is no key", hint=_LINE) from None
        if scope not in (PREDICT, ADMIN) or len(key.digest) != 32 or not _NAME.fullmatch(name):
            raise InputError(f"line {number} of {where} is no key", hint=_LINE)
        yield key


def find(keys: Iterable[Key], secret: str) -> Key | None:
    """The key of a secret, None for a wrong one; the time taken tells nothing of which is near."""
    digest, found = _digest(secret), None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


def presented(headers: Mapping[str, str]) -> str | None:
    """The secret that a request brings: `X-API-Key`, `Authorization: Bearer`, or the password of
    `Authorization: Basic`, for which a browser asks."""
    if secret := headers.get("x-api-key"):
        return secret
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (BadBase64, UnicodeDecodeError):
            return None
    return None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
