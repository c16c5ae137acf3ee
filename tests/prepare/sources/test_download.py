"""Downloads: polite, bounded, refused where they must be, never a reason to stop a run."""

import _thread
import asyncio
import base64
import ipaddress
import os
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo import __version__
from pizzaiolo.config import PrepareConfig
from pizzaiolo.errors import StorageError
from pizzaiolo.prepare.sources import addresses, fetch
from pizzaiolo.prepare.sources import download as module
from pizzaiolo.prepare.sources.download import GIVE_UP, PER_HOST, TRIES, cached, download
from pizzaiolo.prepare.sources.fetch import pause_asked_for, shown
from toy_site import Site, send, serving

BODY = os.urandom(100_000)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site, an empty cache, and no time for pauses."""
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    with serving() as site:
        yield site


def get(*urls: str, **settings: Any) -> dict[str, str]:
    """Download, and the details of what failed."""
    faults = download(urls, PrepareConfig(**{"download_private": True} | settings))
    assert {reason for reason, _ in faults.values()} <= {"download_failed"}
    return {url: detail for url, (_, detail) in faults.items()}


def only(url: str, **settings: Any) -> str:
    """Why the one address failed; nothing is left of it."""
    faults = get(url, **settings)
    assert list(faults) == [shown(url)]
    assert not cached(url).exists() and not leftovers()
    return faults[shown(url)]


def leftovers() -> list[str]:
    folder = Path(os.environ["PIZZAIOLO_CACHE"]) / "downloads"
    return [p.name for p in folder.iterdir() if not re.fullmatch("[0-9a-f]{64}", p.name)] if (
        folder.is_dir()
    ) else []  # fmt: skip


# --- what arrives, and how it was asked for ---------------------------------------------------


def test_files_arrive_as_they_are_and_are_never_asked_for_again(site: Site) -> None:
    urls = [site.url(f"/{i}.jpg?size=large#top") for i in range(20)]
    site.answers = {f"/{i}.jpg?size=large": BODY[i:] for i in range(20)}
    assert get(*urls, urls[0]) == {}
    assert [cached(url).read_bytes() for url in urls] == [BODY[i:] for i in range(20)]
    assert len(site.asked) == 20 and not leftovers()
    assert get(*urls) == {} and len(site.asked) == 20


def test_a_run_that_was_cut_off_goes_on(site: Site) -> None:
    site.answers = {"/a": b"a", "/b": 404}
    assert get(site.url("/a"), site.url("/b")) == {site.url("/b"): "HTTP 404"}
    site.answers["/b"] = b"b"
    assert get(site.url("/a"), site.url("/b")) == {}
    assert (site.count("/a"), site.count("/b")) == (1, 2)


def test_the_server_is_told_who_asks_and_gets_no_cookies_back(site: Site) -> None:
    site.answers["/a"] = lambda h: send(h, 302, Location="/b", Set_Cookie="id=7; Path=/")
    site.answers["/b"] = b"b"
    assert get(site.url("/a")) == {}
    for asked in site.asked:
        assert asked.headers["user-agent"] == f"pizzaiolo/{__version__}"
        assert asked.headers["accept-encoding"] == "identity" and "cookie" not in asked.headers


@pytest.mark.parametrize(("connections", "at_once"), [(1, 1), (2, 2), (8, PER_HOST)])
def test_so_many_connections_are_open_at_once(site: Site, connections: int, at_once: int) -> None:
    meeting, lock, busy, most = threading.Barrier(at_once, timeout=10), threading.Lock(), 0, 0

    def answer(handler: BaseHTTPRequestHandler) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        meeting.wait()  # all that may come at once must come
        with lock:
            busy -= 1
        send(handler, 200, b"x")

    urls = [site.url(f"/{i}") for i in range(2 * at_once)]
    site.answers = {f"/{i}": answer for i in range(2 * at_once)}
    assert get(*urls, download_connections=connections) == {}
    assert most == at_once


def test_a_slow_host_does_not_hold_up_the_others(site: Site) -> None:
    """All its connections hang until the other host has given everything."""
    left = threading.Semaphore(0)

    def slow(handler: BaseHTTPRequestHandler) -> None:
        assert left.acquire(timeout=10)
        left.release()
        send(handler, 200, b"slow")

    def last(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, b"quick")
        left.release()

    site.answers = {f"/slow{i}": slow for i in range(6)} | {f"/quick{i}": b"x" for i in range(6)}
    site.answers["/quick5"] = last
    urls = [site.url(f"/slow{i}") for i in range(6)]
    urls += [site.url(f"/quick{i}", "localhost") for i in range(6)]
    assert get(*urls, download_connections=2 * PER_HOST) == {}


def test_a_user_and_password_are_used_but_neither_shown_nor_kept(site: Site) -> None:
    url = f"http://us%40er:se%3Acret@127.0.0.1:{site.port}/a"
    wrong = f"http://user:secret@127.0.0.1:{site.port}/missing"
    site.answers["/a"] = lambda h: send(h, 302, Location=site.url("/b", "localhost"))
    site.answers["/b"] = b"b"
    assert get(url, wrong) == {site.url("/missing"): "HTTP 404"}
    first = next(asked for asked in site.asked if asked.path == "/a")
    login = first.headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(login) == b"us@er:se:cret"
    other_host = next(asked for asked in site.asked if asked.path == "/b")
    assert "authorization" not in other_host.headers
    assert shown(url) == site.url("/a") and cached(url) == cached(site.url("/a"))


@pytest.mark.parametrize(
    ("url", "plain"),
    [("ftp://u:p@host/x", "ftp://host/x"), ("http://a@b@host/", "http://host/"),
     ("http://host/a@b", "http://host/a@b"), ("http://host?u:p@x", "http://host?u:p@x"),
     ("HTTPS://u@[::1]:8/", "HTTPS://[::1]:8/"), ("no address", "no address")],
)  # fmt: skip
def test_what_is_shown_of_an_address(url: str, plain: str) -> None:
    assert shown(url) == plain


def test_it_works_inside_a_running_event_loop_as_a_notebook_has(site: Site) -> None:
    site.answers["/a"] = b"a"

    async def cell() -> dict[str, str]:
        return get(site.url("/a"))

    assert asyncio.run(cell()) == {} and cached(site.url("/a")).read_bytes() == b"a"


# --- servers that fail ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "tries"),
    [(404, 1), (403, 1), (410, 1), (204, 1), (304, 1), (429, TRIES), (500, TRIES), (503, TRIES)],
)
def test_only_what_may_pass_is_tried_again(site: Site, status: int, tries: int) -> None:
    site.answers["/a"] = status
    assert only(site.url("/a")) == f"HTTP {status}"
    assert site.count("/a") == tries


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_file_that_comes_at_the_last_try_is_there(site: Site, status: int) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, b"a") if site.count("/a") == TRIES else send(handler, status)

    site.answers["/a"] = answer
    assert get(site.url("/a")) == {} and cached(site.url("/a")).read_bytes() == b"a"


def test_a_server_that_asks_for_a_long_pause_is_left_in_peace(site: Site) -> None:
    site.answers["/a"] = lambda h: send(h, 429, Retry_After="3600")
    assert only(site.url("/a")) == "HTTP 429, asks to wait 3600 s"
    assert site.count("/a") == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), (" 0 ", 0.0), ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0), ("", None), ("-1", None),
     ("Thu, 01 Jan 1970 00:01:00 GMT", 0.0), ("soon", None), ("9" * 400, None), ("٣", None)],
)  # fmt: skip
def test_the_pause_that_a_server_asks_for(text: str, seconds: float | None) -> None:
    assert pause_asked_for({"Retry-After": text}, now=100.0) == seconds
    assert pause_asked_for({}, now=100.0) is None


def half(handler: BaseHTTPRequestHandler) -> None:
    """Promises more than it sends, and hangs up."""
    send(handler, 200, b"half", Content_Length="100")
    handler.close_connection = True


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def babble(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\0\xff" * 500)
    handler.close_connection = True


@pytest.mark.parametrize("fault", [half, hang_up, babble])
def test_a_server_that_breaks_off_is_tried_again(site: Site, fault: Any) -> None:
    site.answers["/a"] = fault
    assert only(site.url("/a")).startswith("the connection failed: ")
    assert site.count("/a") == TRIES


def test_nobody_listens(site: Site) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        assert only(url).startswith("the connection failed: ")


def test_an_unknown_host(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "the host nowhere.example is not known" in only("http://nowhere.example/a.jpg")


def test_a_host_that_answers_nothing_is_given_up(site: Site) -> None:
    """A list of ten thousand addresses at a dead host must not take days."""
    site.answers = {f"/{i}": hang_up for i in range(200)} | {"/alive": b"x"}
    urls = [site.url(f"/{i}") for i in range(200)]
    faults = get(*urls, site.url("/alive", "localhost"), download_connections=1)
    assert len(faults) == 200 and len(site.asked) == GIVE_UP * TRIES + 1
    assert faults[urls[-1]] == f"not tried: {GIVE_UP} files in a row failed at 127.0.0.1"


def test_a_host_with_many_missing_files_is_not(site: Site) -> None:
    site.answers["/last"] = b"x"
    urls = [site.url(f"/{i}") for i in range(3 * GIVE_UP)]
    assert set(get(*urls, site.url("/last"), download_connections=1).values()) == {"HTTP 404"}
    assert cached(site.url("/last")).is_file()


# --- bodies without end -----------------------------------------------------------------------


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while True:
        handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then: each read is quick, the whole never ends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.site.over.wait(0.01):  # type: ignore[attr-defined]
        handler.wfile.write(b"x")
        handler.wfile.flush()


def silence(handler: BaseHTTPRequestHandler) -> None:
    handler.site.over.wait()  # type: ignore[attr-defined]


def test_an_endless_body_ends_at_the_limit(site: Site) -> None:
    site.answers["/a"] = endless
    assert only(site.url("/a"), max_bytes=1_000_000) == "larger than 1,000,000 bytes"
    assert site.count("/a") == 1


def test_a_file_that_says_it_is_too_large_is_not_read(site: Site) -> None:
    site.answers["/a"] = lambda h: send(h, 200, b"", Content_Length="1" + "0" * 12)
    assert only(site.url("/a"), max_bytes=100) == "larger than 100 bytes"
    site.answers |= {"/b": bytes(100), "/c": bytes(101)}
    assert get(site.url("/b"), site.url("/c"), max_bytes=100).keys() == {site.url("/c")}


@pytest.mark.parametrize("fault", [drip, silence])
def test_a_body_that_takes_too_long_is_cut_off(site: Site, fault: Any) -> None:
    site.answers["/a"] = fault
    assert only(site.url("/a"), download_seconds=0.15) == "took longer than 0.15 s"


def test_a_packed_body_is_refused(site: Site) -> None:
    """A picture does not get smaller by packing; a bomb does."""
    site.answers["/a"] = lambda h: send(h, 200, b"\x1f\x8b", Content_Encoding="gzip")
    assert only(site.url("/a")).startswith("was sent packed (gzip)")


# --- addresses that must not be asked ---------------------------------------------------------

NO_ADDRESS = ["ftp://127.0.0.1/a.jpg", "file:///etc/passwd", "javascript:alert(1)", "a.jpg", "",
              "//127.0.0.1/a.jpg", "data:image/png;base64,AA", "http://", "http://[::1", "http:///x",
              "http://ho st/", "http://127.0.0.1:port/", "http://127.0.0.1/\nx", "http://\u202e/",
              "http://" + "a" * 70 + ".example/", "https://x/" + "y" * 70_000]  # fmt: skip


@pytest.mark.parametrize("url", NO_ADDRESS, ids=lambda url: url[:20])
def test_what_is_no_web_address_is_refused_without_asking(site: Site, url: str) -> None:
    detail = only(url)
    assert "address" in detail or "is not known" in detail
    assert site.asked == []


PRIVATE = ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0", "[::]",
           "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "192.168.0.1"]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_refused_unless_allowed(site: Site, host: str) -> None:
    detail = only(site.url("/a", host), download_private=False)
    assert "is the private or reserved address" in detail and site.asked == []


def names(monkeypatch: pytest.MonkeyPatch, **hosts: list[str]) -> list[str]:
    """Let the hosts have these addresses, one after the other; returns the names looked up."""
    asked: list[str] = []

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        found = hosts[host.partition(".")[0]]
        address = found.pop(0) if len(found) > 1 else found[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def public_but_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 127.0.0.1, where the site is, count as public."""
    real = addresses.is_public
    monkeypatch.setattr(addresses, "is_public", lambda a: a == "127.0.0.1" or real(a))


def test_a_name_that_means_a_private_address_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, inner=["10.1.2.3"])
    detail = only("http://inner.example/a", download_private=False)
    assert detail == "inner.example is the private or reserved address 10.1.2.3"


def test_a_name_is_looked_up_once_and_that_address_is_used(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the second answer would be another address."""
    public_but_local(monkeypatch)
    asked = names(monkeypatch, rebind=["127.0.0.1", "127.0.0.2"])
    site.answers["/a"] = b"a"
    assert get(site.url("/a", "rebind.example"), download_private=False) == {}
    assert asked == ["rebind.example"]
    assert site.asked[0].headers["host"] == f"rebind.example:{site.port}"


TARGETS = ["http://127.0.0.2:{port}/b", "http://169.254.169.254/latest", "http://[::1]:{port}/b",
           "http://inner.example:{port}/b"]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("hops", [1, 3])
def test_a_redirect_to_a_private_address_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, target: str, hops: int
) -> None:
    public_but_local(monkeypatch)
    real = socket.getaddrinfo

    def look_up(host: str, *rest: Any, **more: Any) -> Any:
        return real("10.0.0.9" if host == "inner.example" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    site.answers = {f"/{i}": lambda h, i=i: send(h, 302, Location=f"/{i + 1}") for i in range(hops)}
    end = target.format(port=site.port)
    site.answers[f"/{hops}"] = lambda h: send(h, 301, Location=end)
    site.answers["/b"] = b"secret"
    detail = only(site.url("/0"), download_private=False)
    assert "is the private or reserved address" in detail and site.count("/b") == 0


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[::1"])
def test_a_redirect_to_no_web_address_is_refused(site: Site, target: str) -> None:
    site.answers["/a"] = lambda h: send(h, 302, Location=target)
    assert "address" in only(site.url("/a")) and site.count("/a") == 1


def test_redirects_end(site: Site) -> None:
    def onward(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 302, Location=f"/{int(handler.path[1:]) + 1}")

    site.answers = {f"/{i}": onward for i in range(fetch.REDIRECTS + 2)}
    assert only(site.url("/0")) == f"more than {fetch.REDIRECTS} redirects"
    site.answers[f"/{fetch.REDIRECTS}"] = b"here"
    assert get(site.url("/0")) == {} and cached(site.url("/0")).read_bytes() == b"here"


def test_the_body_of_a_redirect_is_not_read(site: Site) -> None:
    def endless_redirect(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 302, bytes(1000), Location="/b", Content_Length="1000000000000")
        handler.site.over.wait()  # type: ignore[attr-defined]

    site.answers = {"/a": endless_redirect, "/b": b"b"}
    assert get(site.url("/a")) == {}


# --- runs that end early ----------------------------------------------------------------------


def test_ctrl_c_ends_downloads_that_hang(site: Site) -> None:
    def interrupt(handler: BaseHTTPRequestHandler) -> None:
        _thread.interrupt_main()
        silence(handler)

    site.answers = {"/a": interrupt, "/b": drip, "/c": silence}
    with pytest.raises(KeyboardInterrupt):
        get(site.url("/a"), site.url("/b"), site.url("/c"), download_seconds=1000.0)
    assert not leftovers() and not any(cached(site.url(p)).exists() for p in ("/a", "/b", "/c"))


def test_ctrl_c_does_not_wait_for_a_name_server(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: Any, **__: Any) -> list[Any]:
        _thread.interrupt_main()
        site.over.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(KeyboardInterrupt):
        get("http://slow.example/a", download_seconds=1000.0)


def test_a_full_disk_stops_the_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(fetch, "atomic_path", full)
    site.answers = {f"/{i}": BODY for i in range(20)} | {"/slow": silence}
    with pytest.raises(StorageError, match="the disk is full"):
        get(site.url("/slow"), *(site.url(f"/{i}") for i in range(20)), download_seconds=1000.0)
    assert not leftovers()


def test_no_more_tasks_than_connections_however_many_addresses(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory stays bounded for a million addresses."""
    tasks = []

    async def fetch_nothing(*_: Any) -> None:
        tasks.append(len(asyncio.all_tasks()))
        await asyncio.sleep(0)

    monkeypatch.setattr(module, "fetch", fetch_nothing)
    urls = (f"http://{ipaddress.IPv4Address(i // 8)}/{i}" for i in range(5_000))
    assert get(*urls, download_connections=8) == {}
    assert len(tasks) == 5_000 and max(tasks) <= 8 + 4
