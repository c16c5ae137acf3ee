"""Who may come in: keys, hosts, other sites, rates."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from pizzaiolo.config import ServeConfig
from pizzaiolo.predict import Predictor
from pizzaiolo.serve.access import MOST_CLIENTS, Rates, Rules, bare_host
from pizzaiolo.serve.app import create_app
from pizzaiolo.serve.keys import ADMIN, new_key
from pizzaiolo.serve.problems import Problem
from pizzaiolo.serve.run import rules_of

Draw = Callable[..., bytes]
SECRET, KEY = new_key("ann")
BOSS_SECRET, BOSS = new_key("boss", ADMIN)


def client(predictor: Predictor, **rules: Any) -> TestClient:
    return TestClient(create_app(predictor, ServeConfig(), Rules(**rules)))


@pytest.fixture
def locked(predictor: Predictor) -> TestClient:
    return client(predictor, keys=(KEY, BOSS))


def test_without_a_key_nothing_but_health_answers(locked: TestClient) -> None:
    routes = [route for route in locked.app.routes if hasattr(route, "path")]  # type: ignore[attr-defined]
    assert sum(isinstance(route, APIRoute) for route in routes) >= 9, "there are routes to walk"
    for route in routes:
        for method in route.methods | {"OPTIONS", "PUT"}:
            for headers in ({}, {"X-API-Key": "wrong"}):
                path = route.path.replace("{name}", "app.js")
                answer = locked.request(method, path, headers=headers)
                if route.path == "/healthz":
                    assert answer.status_code != 401
                else:
                    assert answer.status_code == 401, (method, path)
                    assert "pizza" not in answer.text.replace("urn:pizzaiolo:problem", "")
    assert locked.get("/no/such/place").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": SECRET},
        {"Authorization": f"Bearer {SECRET}"},
        {"Authorization": "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()},
    ],
)
def test_a_key_opens_everything_but_the_admins_part(
    locked: TestClient, draw: Draw, headers: dict[str, str]
) -> None:
    for path in ("/", "/v1/model", "/metrics", "/docs", "/readyz", "/page/app.js"):
        assert locked.get(path, headers=headers).status_code in (200, 503)
    assert locked.post("/v1/predict", content=draw(), headers=headers).status_code == 200
    refused = locked.post("/v1/model/reload", headers=headers)
    assert refused.status_code == 403 and refused.json()["code"] == "not_allowed"
    boss = locked.post("/v1/model/reload", headers={"X-API-Key": BOSS_SECRET})
    assert boss.status_code not in (401, 403)


def test_the_refusal_tells_a_browser_to_ask_and_nothing_else(locked: TestClient) -> None:
    answer = locked.get("/")
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert answer.json()["code"] == "no_key"
    assert "content-security-policy" in answer.headers and "x-request-id" in answer.headers


def test_refusals_are_counted(locked: TestClient) -> None:
    locked.get("/")
    counted = locked.get("/metrics", headers={"X-API-Key": SECRET}).text
    assert 'pizzaiolo_rejected_total{code="no_key"} 1.0' in counted
    assert 'pizzaiolo_requests_total{path="other",status="401"} 1.0' in counted


def test_another_host_is_refused(predictor: Predictor) -> None:
    known = client(predictor, hosts=frozenset({"pizza.example", "::1"}))
    for host in ("pizza.example", "Pizza.Example:8000", "[::1]:80", "[::1]"):
        assert known.get("/docs", headers={"Host": host}).status_code == 200
    for host in ("evil.example", "pizza.example.evil", "", "127.0.0.1"):
        answer = known.get("/docs", headers={"Host": host})
        assert answer.status_code == 400 and answer.json()["code"] == "unknown_host"
    assert known.get("/healthz", headers={"Host": "10.0.0.7"}).status_code == 200, "a probe's name"


@pytest.mark.parametrize(
    ("config", "hosts"),
    [
        (ServeConfig(), {"127.0.0.1", "localhost", "::1"}),
        (ServeConfig(host="::1"), {"127.0.0.1", "localhost", "::1"}),
        (ServeConfig(host="0.0.0.0"), set()),
        (ServeConfig(allowed_hosts=("Pizza.example:80",)), {"pizza.example"}),
        (ServeConfig(allowed_hosts=("*",)), set()),
    ],
)
def test_hosts_by_the_settings(config: ServeConfig, hosts: set[str]) -> None:
    assert rules_of(config).hosts == hosts


@pytest.mark.parametrize(
    ("host", "bare"),
    [("a.example:80", "a.example"), ("[::1]:80", "::1"), ("::1", "::1"), ("", ""), ("A", "a")],
)
def test_a_host_without_its_port(host: str, bare: str) -> None:
    assert bare_host(host) == bare


def test_pages_of_other_sites_may_not_post(predictor: Predictor, draw: Draw) -> None:
    own = client(predictor)

    def post(site: str, **headers: str) -> int:
        sent = {"Sec-Fetch-Site": site, **headers}
        return own.post("/v1/predict", content=draw(), headers=sent).status_code

    assert [post(site) for site in ("same-origin", "none")] == [200, 200]
    assert [post(site) for site in ("cross-site", "same-site")] == [403, 403]
    assert post("cross-site", Origin="https://evil.example") == 403
    assert own.get("/v1/model", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_a_site_that_was_named_may_post_and_no_other(predictor: Predictor, draw: Draw) -> None:
    site = "https://my.example"
    open_ = client(predictor, origins=frozenset({site}), keys=(KEY,))
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key"}
    allowed = open_.options("/v1/predict", headers={"Origin": site, **ask})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == site
    assert open_.options("/v1/predict", headers={"Origin": "https://x.y", **ask}).status_code == 400
    headers = {"Origin": site, "Sec-Fetch-Site": "cross-site", "X-API-Key": SECRET}
    answer = open_.post("/v1/predict", content=draw(), headers=headers)
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == site
    assert "access-control-allow-origin" not in client(predictor).get("/", headers=headers).headers


def test_too_often_is_429_with_the_time_to_wait(predictor: Predictor, draw: Draw) -> None:
    slow = client(predictor, keys=(KEY, BOSS), rate=2.0)

    def ask(secret: str) -> Any:
        return slow.post("/v1/predict", content=draw(), headers={"X-API-Key": secret})

    assert [ask(SECRET).status_code for _ in range(3)] == [200, 200, 429]
    answer = ask(SECRET)
    assert answer.json()["code"] == "too_many_requests"
    assert 25 <= int(answer.headers["retry-after"]) <= 30
    assert ask(BOSS_SECRET).status_code == 200, "each key has a rate of its own"
    assert slow.get("/healthz").status_code == 200


def test_the_rate_fills_evenly_and_forgets_the_oldest() -> None:
    clock = [0.0]
    rates = Rates(6.0, now=lambda: clock[0])

    def refused() -> bool:
        try:
            rates.count("ann")
        except Problem:
            return True
        return False

    assert [refused() for _ in range(7)] == [False] * 6 + [True]
    clock[0] = 9.9
    assert refused()
    clock[0] = 10.1
    assert not refused() and refused(), "one in ten seconds"
    for number in range(MOST_CLIENTS + 5):
        rates.count(str(number))
    assert len(rates.left) == MOST_CLIENTS and "ann" not in rates.left
