"""The pages of the service by axe-core, the checker of accessibility that others use."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

VERSION = "4.11.0"
INTEGRITY = (
    "ilYanEU8vxxBexpJd8cWM4ElSQq4QctCLKih0TSfjIfCQTeyH/6zVrmIJfLPrKTKJRbiG+cfnZbQIjAlJmF1jQ=="
)
SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def axe() -> str:
    """The checker's script, from the npm registry; skips where that can't be reached."""
    registry = os.environ.get("NPM_CONFIG_REGISTRY", "https://registry.npmjs.org").rstrip("/")
    url = f"{registry}/axe-core/-/axe-core-{VERSION}.tgz"
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            data = answer.read()
    except OSError as error:
        pytest.skip(f"axe-core can't be fetched: {error}")
    assert base64.b64encode(hashlib.sha512(data).digest()).decode() == INTEGRITY
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile("package/axe.min.js")
        assert file is not None
        return file.read().decode()


@pytest.fixture(scope="module")
def address(serve: Callable[..., AbstractContextManager[Any]]) -> Iterator[str]:
    with serve() as service:
        yield service.address


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/docs", "/status"])
def test_axe_finds_nothing_serious(
    browser: Any, address: str, axe: str, pizza_file: Path, path: str, scheme: str
) -> None:
    # The page's own policy lets no other script in, and axe is one.
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(address + path)
    if path == "/":
        page.set_input_files("#files", pizza_file)
        page.locator(".look summary").first.click()
        page.locator(".look figure").first.wait_for()
    page.add_script_tag(content=axe)
    found = page.evaluate("axe.run()")
    assert found["passes"], "it looked"
    bad = [(v["id"], v["nodes"][0]["html"]) for v in found["violations"] if v["impact"] in SERIOUS]
    assert bad == []
    context.close()
