"""Card and sum of a model in OpenVINO's own format: an .xml of the graph, its weights in a .bin.

Both stand in the .xml, in what OpenVINO calls rt_info. The sum is a SHA-256 over the .xml, with
zeros in the place of the sum itself, and the .bin.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from .bundle import CARD_KEY, broken, not_ours

SUM_KEY = "pizzaiolo_sha256"
NO_SUM = "0" * 64
_SUM = re.compile(rf'<{SUM_KEY} value="([0-9a-f]{{64}})"'.encode())


def weights_of(path: Path) -> Path:
    """The file of weights beside an .xml."""
    return path.with_suffix(".bin")


def seal(path: Path) -> None:
    """Put the sum into an .xml whose rt_info has `NO_SUM` in its place."""
    graph = path.read_bytes()
    found = _SUM.search(graph)
    assert found is not None
    start, end = found.span(1)
    total = _sum(graph, weights_of(path)).encode()
    path.write_bytes(graph[:start] + total + graph[end:])


def card_text(path: Path) -> str:
    """The card's JSON text in an .xml whose sum fits; raises `ModelFileError` for others."""
    from xml.etree import ElementTree

    weights = weights_of(path)
    if not weights.is_file():
        raise broken(path, f"its weights, {weights.name}, are not beside it")
    graph = path.read_bytes()
    if b"<!DOCTYPE" in graph or b"<!ENTITY" in graph:
        raise not_ours(path, "it declares entities")
    try:
        element = ElementTree.fromstring(graph).find(f"rt_info/{CARD_KEY}")
    except ElementTree.ParseError as error:
        raise not_ours(path, f"it is cut off, or no XML ({error})") from None
    if element is None:
        raise not_ours(path, "it holds no card")
    found = _SUM.findall(graph)
    if len(found) != 1 or found[0].decode() != _sum(graph, weights):
        raise broken(path, "the sum over it and its .bin does not fit")
    return element.get("value", "")


def _sum(graph: bytes, weights: Path) -> str:
    found = hashlib.sha256(_SUM.sub(f'<{SUM_KEY} value="{NO_SUM}"'.encode(), graph))
    with weights.open("rb") as file:
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()
