"""Small ICC profiles of cameras' kinds: three colours, a matrix and a curve each."""

from __future__ import annotations

import struct

ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
CURVES = {
    "gamma": b"curv" + bytes(4) + struct.pack(">IH", 1, 563) + bytes(2),
    "table": b"curv" + bytes(4) + struct.pack(">I16H", 16, *(i * i * 291 for i in range(16))),
    "parametric": b"para"
    + bytes(4)
    + struct.pack(">HHiiiii", 3, 0, *(round(v * 65536) for v in (2.4, 0.948, 0.052, 0.077, 0.04))),
}


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def profile(curve: bytes, name: bytes = b"Toy RGB") -> bytes:
    """An RGB profile of version 2 with the colours of Adobe RGB and the same curve for each."""
    text = b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(1 + 79)
    tags = {b"desc": text, b"wtpt": b"XYZ " + bytes(4) + _fixed(0.9642, 1, 0.8249)}
    for letter, colorant in zip((b"r", b"g", b"b"), ADOBE, strict=True):
        tags[letter + b"XYZ"] = b"XYZ " + bytes(4) + _fixed(*colorant)
        tags[letter + b"TRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s12s4s", start + len(body), b"", 0x02400000, b"mntr", b"RGB ",
                       b"XYZ ", bytes(12), b"acsp")  # fmt: skip
    head += bytes(28) + _fixed(0.9642, 1, 0.8249)
    return head + bytes(128 - len(head)) + table + body
