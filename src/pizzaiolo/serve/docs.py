"""The API's documentation as one page that needs no network, made from its OpenAPI."""

from __future__ import annotations

import re
from html import escape
from typing import Any

_TOP = """<h1>pizzaiolo API</h1>
<p><a href="/openapi.json">openapi.json</a> is for programs, <a href="/">the page</a> for you.</p>
<pre>curl -F file=@dinner.jpg {base}v1/predict
curl --data-binary @dinner.jpg {base}v1/predict
curl -F file=@one.jpg -F file=@two.jpg {base}v1/predict</pre>"""


def page_head(title: str) -> str:
    """The start of a page, up to its heading."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>"
        '<link rel="stylesheet" href="/page/style.css"><link rel="icon" href="data:,"></head>'
        '<body><main class="docs">'
    )


def docs_page(openapi: dict[str, Any], base: str) -> str:
    """HTML with every operation at the address `base`: what it does, which answers it gives."""
    parts = [page_head("pizzaiolo API"), _TOP.format(base=escape(base))]
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(path, method, operation))
    return "".join([*parts, "</main></body></html>"])


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    answers = "".join(
        f"<li><b>{escape(status)}</b> {_prose(answer.get('description', ''))}</li>"
        for status, answer in operation.get("responses", {}).items()
    )
    text = _prose(operation.get("description", ""))
    return f"<h2>{method.upper()} {escape(path)}</h2><p>{text}</p><ul>{answers}</ul>"


def _prose(text: str) -> str:
    """Escaped, with `words` as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))
