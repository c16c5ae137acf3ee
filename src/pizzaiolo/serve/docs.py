"""The API's documentation as one page that needs no network, made from its OpenAPI."""

from __future__ import annotations

from html import escape
from typing import Any

_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>pizzaiolo API</title>
<link rel="stylesheet" href="/page/style.css"><body><main class="docs"><h1>pizzaiolo API</h1>
<p><a href="/openapi.json">openapi.json</a> is for programs, <a href="/">the page</a> for you.</p>
<pre>curl -F file=@dinner.jpg http://localhost:8000/v1/predict
curl --data-binary @dinner.jpg -H 'Content-Type: image/jpeg' http://localhost:8000/v1/predict
curl -F file=@one.jpg -F file=@two.jpg http://localhost:8000/v1/predict</pre>"""


def docs_page(openapi: dict[str, Any]) -> str:
    """HTML with every operation: what it does and which answers it gives."""
    parts = [_HEAD]
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(path, method, operation))
    return "".join([*parts, "</main></body></html>"])


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    answers = "".join(
        f"<li><b>{escape(status)}</b> {escape(answer.get('description', ''))}</li>"
        for status, answer in operation.get("responses", {}).items()
    )
    text = escape(operation.get("description", ""))
    return f"<h2>{method.upper()} {escape(path)}</h2><p>{text}</p><ul>{answers}</ul>"
