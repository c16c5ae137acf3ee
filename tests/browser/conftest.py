"""A browser that tells of every fault; skips where Playwright or Chromium is not installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

CHROMIUM = Path("/usr/bin/chromium")
DESKTOP, PHONE = (1280, 800), (390, 844)

Visit = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for one module: Playwright's event loop is in the way of asyncio's."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    with sync_api.sync_playwright() as playwright:
        camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        flags = ["--no-sandbox", *camera]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visit(browser: Any) -> Visit:
    """Opens an address at a size and in a scheme; at the end the page must have had no fault."""

    @contextmanager
    def visit(
        address: str, size: tuple[int, int] = DESKTOP, scheme: str = "light", expected: str = "-"
    ) -> Iterator[Any]:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
        )
        page, faults = context.new_page(), []

        def requested(request: Any) -> None:
            place = urlsplit(request.url)
            if place.scheme not in ("data", "blob", "file") and place.hostname != "127.0.0.1":
                faults.append(f"left the machine: {request.url}")

        def said(message: Any) -> None:
            if message.type in ("error", "warning") and expected not in message.text:
                faults.append(message.text)

        page.on("request", requested)
        page.on("console", said)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        yield page
        assert faults == []
        context.close()

    return visit
