"""Who may come in: the host's name, web pages of other sites, keys, and how often."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .guard import Gate
from .keys import ADMIN, Key, find, presented
from .problems import Problem

OPEN = {"/healthz"}  # answers without a key
GATED = {"/v1/predict", "/v1/predict/batch", "/v1/feedback", "/v1/explain"}
ADMINS = {"/v1/model/reload"}
KEY = "pizzaiolo.key"  # where the scope keeps the name of the key
MOST_CLIENTS = 10_000  # whose rates are remembered; the one that was away longest is forgotten
SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Rules:
    """Who may come in. Nothing set lets in everyone.

    `hosts` are the names under which the service may be asked for, `origins` the web sites whose
    pages may post, `rate` the requests a minute of one key, or of one address where there are no
    keys.
    """

    keys: tuple[Key, ...] = ()
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    rate: float | None = None


class Access:
    """ASGI middleware: lets a request in, or answers with the problem that it has, of which
    `refused` hears."""

    def __init__(
        self, app: ASGIApp, rules: Rules, gate: Gate, refused: Callable[[Problem], object]
    ) -> None:
        self.app, self.rules, self.gate, self.refused = app, rules, gate, refused
        self.rates = None if rules.rate is None else Rates(rules.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._admit(scope)
                if scope["path"] in GATED and scope["method"] == "POST":
                    await self.gate.knock()  # here, for a refusal by a route costs three times it
            except Problem as problem:
                self.refused(problem)
                await problem.response()(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        headers, rules = Headers(scope=scope), self.rules
        if scope["path"] in OPEN:
            return
        _check_host(headers.get("host", ""), rules.hosts)
        _check_site(scope["method"], headers, rules.origins)
        client = scope["client"][0] if scope.get("client") else ""
        if rules.keys:
            key = find(rules.keys, presented(headers) or "")
            if key is None:
                raise _no_key()
            scope[KEY] = client = key.name
            if scope["path"] in ADMINS and key.scope != ADMIN:
                raise Problem(403, "not_allowed", "this needs a key of the scope admin")
        if self.rates is not None:
            self.rates.count(client)


def _no_key() -> Problem:
    detail = "a valid key is needed: Authorization: Bearer KEY, X-API-Key, or as a password"
    ways = {"WWW-Authenticate": 'Basic realm="pizzaiolo, the key is the password", charset="UTF-8"'}
    return Problem(401, "no_key", detail, ways)


def _check_host(host: str, allowed: frozenset[str]) -> None:
    """Another name for this address may be a web page's trick to read answers (DNS rebinding)."""
    if allowed and bare_host(host) not in allowed:
        detail = "the service does not go by this host's name; --allowed-hosts adds one"
        raise Problem(400, "unknown_host", detail)


def bare_host(host: str) -> str:
    """A Host header without its port, in small letters: `[::1]:8000` -> `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return (host if host.count(":") > 1 else host.partition(":")[0]).lower()


def _check_site(method: str, headers: Headers, origins: frozenset[str]) -> None:
    """Browsers say where a request comes from; a page of another site may not post here."""
    site = headers.get("sec-fetch-site", "none")
    foreign = site in ("cross-site", "same-site") and headers.get("origin") not in origins
    if foreign and method not in SAFE:
        raise Problem(403, "other_site", "pages of other sites may not post here; --cors allows it")


@dataclass
class Rates:
    """How often each client asked: a bucket that holds a minute's worth and fills evenly."""

    rate: float
    now: Callable[[], float] = time.monotonic
    left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def count(self, client: str) -> None:
        """Count a request; raises `Problem` 429 where it is one too many."""
        now, most = self.now(), max(1.0, self.rate)
        amount, then = self.left.pop(client, (most, now))
        amount = min(most, amount + (now - then) * self.rate / 60)
        self.left[client] = (max(0.0, amount - 1) if amount >= 1 else amount, now)
        if len(self.left) > MOST_CLIENTS:
            self.left.popitem(last=False)
        if amount < 1:
            wait = math.ceil((1 - amount) * 60 / self.rate)
            detail = f"more than {self.rate:g} requests a minute"
            raise Problem(429, "too_many_requests", detail, {"Retry-After": str(wait)})
