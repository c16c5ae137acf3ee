"""Tables: CSV, TSV, JSON lines and Parquet; every fault named with its row."""

import json
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.errors import SourceError, StorageError
from pizzaiolo.prepare.sources import tables
from pizzaiolo.prepare.sources.tables import TableRow, is_table, read_table

ROWS = [
    {"path": "a/1.jpg", "label": "a", "split": "train", "group": "g"},
    {"path": "b/2, two.jpg", "label": "bee 🐝", "split": "", "group": ""},
]
READ = [("a/1.jpg", "a", "train", "g"), ("b/2, two.jpg", "bee 🐝", None, None)]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        cells = [list(rows[0]), *(list(row.values()) for row in rows)]
        mark = "\t" if path.suffix == ".tsv" else ","
        lines = [mark.join('"' + str(c).replace('"', '""') + '"' for c in row) for row in cells]
        path.write_bytes(("\n".join(lines) + "\n").encode())
    return path


def read(path: Path) -> list[tuple[str, str, str | None, str | None]]:
    rows = list(read_table(path))
    assert all(row.url == "" for row in rows)
    return [(row.path, row.label, row.split, row.group) for row in rows]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_every_kind_of_table_says_the_same(tmp_path: Path, suffix: str) -> None:
    assert is_table(tmp_path / f"t.{suffix.upper()}")
    assert read(write(tmp_path / f"t.{suffix}", ROWS)) == READ


@pytest.mark.parametrize("name", ["t.txt", "csv", "t.xlsx", "t.csv.gz"])
def test_other_files_are_no_tables(name: str) -> None:
    assert not is_table(Path(name))


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.jpg,x\n",
        "\ufeffpath,label\na.jpg,x\n",
        "path,label\r\na.jpg,x\r\n",
        "label,path\nx,a.jpg",
        "path,label\n\na.jpg,x\n\n",
        "path,label\n ./a.jpg , x \n",
    ],
)
def test_a_csv_of_any_editor_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert read(tmp_path / "t.csv") == [(text_path(text), "x", None, None)]


def text_path(text: str) -> str:
    """The path as it stands in the table, without the spaces around it."""
    return "./a.jpg" if "./" in text else "a.jpg"


@pytest.mark.parametrize("text", ["", "path,label\n", "\n\n"])
def test_an_empty_table_has_no_rows(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert read(tmp_path / "t.csv") == []


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("label", "name"), [(0, "0"), (1, "1"), (2.5, "2.5"), (True, "True"), ("x", "x")]
)
def test_labels_that_are_no_text_become_text(
    tmp_path: Path, suffix: str, label: Any, name: str
) -> None:
    table = write(tmp_path / f"t.{suffix}", [{"path": "a", "label": label}])
    assert read(table) == [("a", name, None, None)]


def test_json_lines_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('\ufeff{"path": "a", "label": "b"}\n\n', encoding="utf-8")
    assert read(tmp_path / "t.jsonl") == [("a", "b", None, None)]


@pytest.mark.parametrize(
    ("word", "name"),
    [("train", "train"), ("Training", "train"), ("val", "validation"), ("VALID", "validation"),
     ("validation", "validation"), ("test", "test"), ("testing", "test"), ("", None)],
)  # fmt: skip
def test_split_names(tmp_path: Path, word: str, name: str | None) -> None:
    table = write(tmp_path / "t.csv", [{"path": "a", "label": "x", "split": word}])
    assert read(table) == [("a", "x", name, None)]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_row_has_a_path_or_a_url_and_the_path_goes_first(tmp_path: Path, suffix: str) -> None:
    address = "https://x.example/a,b.jpg?size=7#top"
    rows = [
        {"path": "a.jpg", "url": address, "label": "x"},
        {"path": "", "url": address, "label": "y"},
        {"path": "c.jpg", "url": "", "label": "z"},
    ]
    assert list(read_table(write(tmp_path / f"t.{suffix}", rows))) == [
        TableRow("a.jpg", "", "x"), TableRow("", address, "y"), TableRow("c.jpg", "", "z")
    ]  # fmt: skip
    only = write(tmp_path / f"u.{suffix}", [{"url": address, "label": "x", "split": "val"}])
    assert list(read_table(only)) == [TableRow("", address, "x", "validation")]


STRANGE = ["new\nline", 'quo"te', "🍕", "\u202eabc", "a\tb", "'", "=cmd()", "<b>", "a\u2028b", "%s"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("name", STRANGE)
def test_names_of_any_kind_come_back_as_they_are(tmp_path: Path, suffix: str, name: str) -> None:
    table = write(tmp_path / f"t.{suffix}", [{"path": f"{name}.jpg", "label": name}])
    assert read(table) == [(f"{name}.jpg", name, None, None)]


def test_a_large_parquet_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_BATCH", 7)
    rows = [{"path": f"{i}.jpg", "label": "x"} for i in range(30)]
    found = read(write(tmp_path / "t.parquet", rows))
    assert [path for path, *_ in found] == [row["path"] for row in rows]


FAULTS = {
    "unknown column": ("path,label,lable\na,b,c\n", "unknown column 'lable'", "'label'"),
    "capital": ("Path,label\na,b\n", "unknown column 'Path'", "'path'"),
    "semicolons": ("path;label\na;b\n", "unknown column 'path;label'", "'path'"),
    "no header": ("a.jpg,x\nb.jpg,y\n", "unknown column 'a.jpg'", "choose one of"),
    "no label": ("path\na\n", "has no column 'label'", "columns found: path"),
    "no path": ("label\na\n", "has no column 'path' or 'url'", "columns found: label"),
    "neither": ("group\na\n", "no column 'path' or 'url' and none 'label'", "found: group"),
    "urls only": ("url\nhttps://x/y.jpg\n", "has no column 'label'", "columns found: url"),
    "empty url": ("url,label\nhttp://x/,a\n,b\n", "row 2 has an empty 'url'", "path or a url"),
    "no place": ("path,url,label\n , ,b\n", "row 1 has an empty 'path' and 'url'", "or a url"),
    "nothing": ("path,url,label\n,,\n", "row 1 has an empty 'path' and 'url' and 'label'", ""),
    "empty label": ("path,label\na,b\nc,\n", "row 2 has an empty 'label'", "needs"),
    "empty path": ("path,label\n ,b\n", "row 1 has an empty 'path'", "needs"),
    "short row": ("path,label\na,b\nc\n", "row 2 has an empty 'label'", "needs"),
    "long row": ("path,label\na,b,c\n", "row 1 has more cells", "quotes"),
    "bad split": ("path,label,split\na,b,tset\n", "row 1 has split 'tset'", "'test'"),
    "zero byte": ("path,label\na\0b,c\n", "row 1 has the path 'a", "plain text"),
    "huge cell": ("path,label\n" + "x" * 200_000 + ",a\n", "can't be read: field larger", None),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_row(tmp_path: Path, name: str) -> None:
    text, words, hint = FAULTS[name]
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(SourceError) as caught:
        read(tmp_path / "t.csv")
    assert words in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"path": "a", "label": "b"}\n{', "line 2: Expecting"),
        ("[1]\n", "line 1: expected an object"),
        ("7\n", "line 1: expected an object"),
        ('{"path": null, "label": "b"}\n', "row 1 has an empty 'path'"),
        ('{"path": "a", "label": NaN}\n', "row 1 has an empty 'label'"),
        ('{"path": "a", "label": ["x"]}\n', "row 1 has the label ['x']"),
        ('{"path": "a", "label": {"x": 1}}\n', "row 1 has the label {'x': 1}"),
        ('{"path": "\\ud800", "label": "b"}\n', "row 1 has the path"),
        ('{"path": "a", "label": "\\ud800"}\n', "row 1 has the label"),
        ("[" * 100_000, "can't be read"),
    ],
)
def test_faults_of_json_lines(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(SourceError) as caught:
        read(tmp_path / "t.jsonl")
    assert words in caught.value.message


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_asks_for_utf_8(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / name).write_bytes("path,label\né.jpg,a\n".encode(encoding))
    with pytest.raises(SourceError, match="can't be read") as caught:
        read(tmp_path / name)
    assert "UTF-8" in (caught.value.hint or "")


def test_a_damaged_parquet_and_paths_of_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match="can't be read"):
        read(tmp_path / "t.parquet")
    write(tmp_path / "t.parquet", [{"path": b"a", "label": "x"}])
    with pytest.raises(SourceError, match="row 1 has the path b'a'"):
        read(tmp_path / "t.parquet")


def test_a_table_without_permission_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "t.csv")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match=r"no permission: t\.csv"):
        read(tmp_path / "t.csv")
