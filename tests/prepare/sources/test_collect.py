"""Collecting: what counts as a source, a class and a split, and what is left out with a note."""

import json
import os
import shutil
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.config import PrepareConfig
from pizzaiolo.errors import SourceError, StorageError, UsageError
from pizzaiolo.prepare.candidate import Candidate, readable
from pizzaiolo.prepare.sources.collect import Collection, collect
from toy_site import Site, serving


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def touch(root: Path, *names: str) -> Path:
    """Files by name; collecting looks at no content."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def paths(collection: Collection) -> list[str]:
    return [c.path for c in collection.candidates]


def gather(
    stack: ExitStack, *sources: Path | str, out: Path = Path("/nowhere"), **settings: Any
) -> Collection:
    return collect(list(sources), stack, out, PrepareConfig(**settings))


def test_class_folders_with_all_that_lies_below(tmp_path: Path, stack: ExitStack) -> None:
    touch(tmp_path, "b/2.jpg", "a/1.jpg", "a/deep/er/3.jpg", "a/.DS_Store", "b/notes.txt")
    found = gather(stack, tmp_path)
    assert found.notes == [] and [(c.path, c.label) for c in found.candidates] == [
        ("a/.DS_Store", "a"), ("a/1.jpg", "a"), ("a/deep/er/3.jpg", "a"), ("b/2.jpg", "b"),
        ("b/notes.txt", "b"),
    ]  # fmt: skip
    assert all(c.file.is_file() and c.split is None for c in found.candidates)


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "val", "test"), {"train", "validation", "test"}),
        (("Training", "VALID", "Testing"), {"train", "validation", "test"}),
        (("train", "validation"), {"train", "validation"}),
        (("train",), {"train"}),
        (("train", "test", "spare"), {"train", "test"}),
    ],
)
def test_folders_of_a_split(
    tmp_path: Path, stack: ExitStack, folders: tuple[str, ...], splits: set[str]
) -> None:
    touch(tmp_path, *(f"{f}/{c}/{f}{c}.jpg" for f in folders for c in "ab"))
    found = gather(stack, tmp_path)
    assert {c.split for c in found.candidates} == splits
    assert {c.label for c in found.candidates} == {"a", "b"}
    assert len(found.notes) == ("spare" in folders)
    assert paths(found)[0].count("/") == 2


@pytest.mark.parametrize(
    "folders", [("test", "other"), ("train", "test"), ("train", "bus", "tram")]
)
def test_class_names_that_sound_like_splits_stay_classes(
    tmp_path: Path, stack: ExitStack, folders: tuple[str, ...]
) -> None:
    touch(tmp_path, *(f"{f}/1.jpg" for f in folders))
    found = gather(stack, tmp_path)
    assert {c.label for c in found.candidates} == set(folders)
    assert {c.split for c in found.candidates} == {None}


def test_what_lies_beside_the_classes_is_noted(tmp_path: Path, stack: ExitStack) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg", "loose.JPG", "README.md", ".git/config", ".x/deep/3.jpg")
    found = gather(stack, tmp_path)
    assert paths(found) == ["a/1.jpg", "b/2.jpg"]
    assert found.notes == [
        f"{tmp_path / '.x'} is hidden and is left out, with the pictures in it",
        f"1 pictures beside the class folders of {tmp_path} are left out",
    ]


def test_a_hidden_class_of_a_split_is_noted(tmp_path: Path, stack: ExitStack) -> None:
    touch(tmp_path, *(f"{s}/{c}/1.jpg" for s in ("train", "test") for c in ("a", "b")))
    touch(tmp_path, "test/.c/1.jpg", "train/.cache/index")
    (note,) = gather(stack, tmp_path).notes
    assert note == f"{tmp_path / 'test' / '.c'} is hidden and is left out, with the pictures in it"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")
def test_notes_are_one_line_whatever_the_names_hold(tmp_path: Path, stack: ExitStack) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg", ".x\ny\x1b[2J\u202e/3.jpg")
    (note,) = gather(stack, tmp_path).notes
    assert "/.x\\ny\\x1b[2J\\u202e is hidden" in note and note.isprintable()


ERRORS = {
    "missing": ((), "there is no"),
    "nothing": (("dir/",), "holds nothing"),
    "only files": (("1.jpg",), "no class folders"),
    "one class": (("a/1.jpg",), "one class only: 'a'"),
    "empty class": (("a/1.jpg", "b/2.jpg", "c/"), "class folder 'c' of .* is empty"),
    "case": (("Pizza/1.jpg", "pizza/2.jpg"), "upper and lower case only"),
    "unicode": (("\u00e9/1.jpg", "e\u0301/2.jpg"), "look the same"),
    "invisible": (("pizza/1.jpg", "pizza\u200f/2.jpg"), "look the same"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_sources_that_can_not_be_used(tmp_path: Path, stack: ExitStack, name: str) -> None:
    """Pain: labels shift when a folder is empty (pytorch-image-models)."""
    files, words = ERRORS[name]
    root = tmp_path / "source"
    for file in files:
        if file.endswith("/"):
            (root / file.removeprefix("dir/")).mkdir(parents=True)
        else:
            touch(root, file)
    with pytest.raises(SourceError, match=words) as caught:
        gather(stack, root)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("source", "words"),
    [("https://u:p@x/y.zip", "https://x/y.zip is an address"), ("ftp://x", "is an address"),
     ("food101:pizzza", "Food-101 has no class 'pizzza'"), ("hf:name", "'hf:name' names no data"),
     (__file__, "no folder, archive or table")],
)  # fmt: skip
def test_other_sources_say_what_is_known(stack: ExitStack, source: str, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        gather(stack, source)
    assert caught.value.hint


def test_no_source_at_all(stack: ExitStack) -> None:
    with pytest.raises(SourceError, match="no source was given"):
        gather(stack)


def test_several_sources_stand_side_by_side(tmp_path: Path, stack: ExitStack) -> None:
    for name in ("one", "two", "deep/one"):
        touch(tmp_path / name, "a/1.jpg", "b/2.jpg")
    found = gather(stack, tmp_path / "one", tmp_path / "two", tmp_path / "deep" / "one")
    assert set(paths(found)) == {
        f"{s}/{f}" for s in ("one", "one-2", "two") for f in ("a/1.jpg", "b/2.jpg")
    }


def test_a_file_that_is_named_twice_is_one_candidate(tmp_path: Path, stack: ExitStack) -> None:
    """Pain: the same path twice eats the memory (cleanvision)."""
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "t.csv").write_text("path,label\na/1.jpg,a\n./a/1.jpg,a\nb/../a/1.jpg,a\n")
    assert len(gather(stack, tmp_path, tmp_path / "t.csv").candidates) == 2


def test_a_file_under_two_labels_stays_twice_for_the_conflict_to_show(
    tmp_path: Path, stack: ExitStack
) -> None:
    touch(tmp_path, "1.jpg")
    (tmp_path / "t.csv").write_text("path,label\n1.jpg,a\n1.jpg,b\n")
    assert [c.label for c in gather(stack, tmp_path / "t.csv").candidates] == ["a", "b"]


def test_a_table_gives_split_and_group(tmp_path: Path, stack: ExitStack) -> None:
    (tmp_path / "t.csv").write_text("path,label,split,group\n1.jpg,a,val,g\n2.jpg,b,,\n")
    first, second = gather(stack, tmp_path / "t.csv").candidates
    assert first == Candidate(tmp_path / "1.jpg", "1.jpg", "a", "validation", "g")
    assert second == Candidate(tmp_path / "2.jpg", "2.jpg", "b")


# --- tables of addresses ----------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path / "cache"))
    with serving() as site:
        yield site


def test_a_table_of_addresses_gives_files_and_faults(
    tmp_path: Path, stack: ExitStack, site: Site
) -> None:
    """One bad address never stops a run: it becomes a row that says why."""
    touch(tmp_path, "own.jpg")
    site.answers = {"/a": b"one", "/b": b"two"}
    good, other, bad = site.url("/a"), site.url("/b"), site.url("/c")
    rows = [f",{good},x,val,g", f",{other},y,,", f",{bad},y,,", "own.jpg,,y,,", ",ftp://z/,y,,"]
    (tmp_path / "t.csv").write_text("path,url,label,split,group\n" + "\n".join(rows) + "\n")
    found = gather(stack, tmp_path / "t.csv", download_private=True)
    by_path = {c.path: c for c in found.candidates}
    assert set(by_path) == {good, other, bad, "own.jpg", "ftp://z/"}
    assert by_path[good].file.read_bytes() == b"one"
    assert (by_path[good].split, by_path[good].group) == ("validation", "g")
    assert by_path[bad].fault == ("download_failed", "HTTP 404")
    assert (by_path["ftp://z/"].fault or "")[0] == "download_failed"
    assert all(by_path[path].fault is None for path in (good, other, "own.jpg"))


def test_an_address_keeps_its_name_beside_other_sources(
    tmp_path: Path, stack: ExitStack, site: Site
) -> None:
    touch(tmp_path / "photos", "a/1.jpg", "b/2.jpg")
    site.answers["/a"] = b"one"
    (tmp_path / "t.csv").write_text(f"url,label\n{site.url('/a')},a\n{site.url('/a')},a\n")
    found = gather(stack, tmp_path / "photos", tmp_path / "t.csv", download_private=True)
    assert paths(found) == [site.url("/a"), "photos/a/1.jpg", "photos/b/2.jpg"]


def test_a_password_in_an_address_is_not_collected(
    tmp_path: Path, stack: ExitStack, site: Site
) -> None:
    url = f"http://me:secret@127.0.0.1:{site.port}"
    (tmp_path / "t.csv").write_text(f"url,label\n{url}/a,a\n{url}/b,b\n")
    found = gather(stack, tmp_path / "t.csv", download_private=True)
    assert paths(found) == [site.url("/a"), site.url("/b")] and "secret" not in repr(found)
    assert all("authorization" in asked.headers for asked in site.asked)


# --- classes renamed and merged ---------------------------------------------------------------


def labels(collection: Collection) -> dict[str, int]:
    return dict(Counter(c.label for c in collection.candidates))


def test_classes_of_all_sources_are_renamed_and_merged(tmp_path: Path, stack: ExitStack) -> None:
    touch(tmp_path / "photos", "margherita/1.jpg", "calzone/2.jpg", "sushi/3.jpg", "Pizza/4.jpg")
    touch(tmp_path, "5.jpg")
    (tmp_path / "t.csv").write_text("path,label\n5.jpg,ramen\n")
    sources = (tmp_path / "photos", tmp_path / "t.csv", zipped(tmp_path / "x.zip", "rice/6.jpg",
                                                              "pizza/7.jpg"))  # fmt: skip
    entries = ("pizza=margherita,calzone,Pizza", "other=*")
    assert labels(gather(stack, *sources, classes=entries)) == {"pizza": 4, "other": 3}


@pytest.mark.parametrize("entry", ["pizza=Pizza,pizza", "Pizza=pizza", "x=PIZZA,Pizza,pizza"])
def test_classes_that_differ_in_case_only_can_be_merged(
    tmp_path: Path, stack: ExitStack, entry: str
) -> None:
    touch(tmp_path, "Pizza/1.jpg", "pizza/2.jpg", "sushi/3.jpg")
    if "PIZZA" in entry:
        touch(tmp_path, "PIZZA/4.jpg")
    with pytest.raises(SourceError, match="upper and lower case only") as caught:
        gather(stack, tmp_path)
    assert "--classes" in (caught.value.hint or "")
    found = gather(stack, tmp_path, classes=(entry,))
    assert labels(found) == {entry.partition("=")[0]: len(found.candidates) - 1, "sushi": 1}


def test_merging_all_into_one_class_is_refused(tmp_path: Path, stack: ExitStack) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    with pytest.raises(SourceError, match="one class only: 'x'"):
        gather(stack, tmp_path, classes=("x=*",))


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_a_class_that_is_not_there_is_named(tmp_path: Path, stack: ExitStack, kind: str) -> None:
    touch(tmp_path / "photos", "sushi/1.jpg", "ramen/2.jpg")
    source = tmp_path / "photos"
    if kind == "table":
        source = tmp_path / "t.csv"
        source.write_text("path,label\nphotos/sushi/1.jpg,sushi\nphotos/ramen/2.jpg,ramen\n")
    with pytest.raises(UsageError, match="'susi', which no source has") as caught:
        gather(stack, source, classes=("fish=susi",))
    assert "'sushi'" in (caught.value.hint or "")


def test_labels_of_a_table_that_no_entry_names_stay_or_go_to_the_rest(
    tmp_path: Path, stack: ExitStack
) -> None:
    (tmp_path / "t.csv").write_text("path,label\n1.jpg,sushi\n2.jpg,ramen\n3.jpg,rice\n")
    stay = gather(stack, tmp_path / "t.csv", classes=("fish=sushi",))
    assert labels(stay) == {"fish": 1, "ramen": 1, "rice": 1}
    rest = gather(stack, tmp_path / "t.csv", classes=("fish=sushi", "other=*"))
    assert labels(rest) == {"fish": 1, "other": 2}


# --- archives ---------------------------------------------------------------------------------


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


@pytest.mark.parametrize(
    "beside", [(), ("README.md",), ("__MACOSX/photos/a/._1.jpg", ".DS_Store"), ("cover.jpg",)]
)
def test_the_one_folder_of_an_archive_is_looked_into(
    tmp_path: Path, stack: ExitStack, beside: tuple[str, ...]
) -> None:
    path = zipped(tmp_path / "x.zip", "photos/a/1.jpg", "photos/b/2.jpg", *beside)
    found = gather(stack, path)
    assert paths(found) == ["x.zip/photos/a/1.jpg", "x.zip/photos/b/2.jpg"]
    assert len(found.notes) == ("cover.jpg" in beside)


def test_an_archive_of_one_class_is_not_mistaken_for_one_of_many(
    tmp_path: Path, stack: ExitStack
) -> None:
    path = zipped(tmp_path / "x.zip", "pizza/2023/1.jpg", "pizza/2024/2.jpg")
    assert {c.label for c in gather(stack, path).candidates} == {"2023", "2024"}
    path = zipped(tmp_path / "y.zip", "photos/pizza/2023/1.jpg", "photos/pizza/2024/2.jpg")
    with pytest.raises(SourceError, match="one class only: 'pizza'"):
        gather(stack, path)


def test_entries_that_were_passed_over_are_noted(tmp_path: Path, stack: ExitStack) -> None:
    found = gather(stack, zipped(tmp_path / "x.zip", "a/1.jpg", "b/2.jpg", "../3.jpg"))
    assert found.notes == ["1 entries of x.zip are links or point out of it"]


# --- names, links and things that are no files ------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")
def test_names_that_are_no_utf_8_are_written_readably(tmp_path: Path, stack: ExitStack) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    os.rename(os.fsencode(tmp_path / "a/1.jpg"), os.fsencode(tmp_path / "a") + b"/\xe9.jpg")
    os.rename(os.fsencode(tmp_path / "b"), os.fsencode(tmp_path) + b"/b\xff")
    found = gather(stack, tmp_path)
    assert [(c.path, c.label) for c in found.candidates] == [
        ("a/\\xe9.jpg", "a"), ("b\\xff/2.jpg", "b\\xff")
    ]  # fmt: skip
    assert all(c.file.is_file() for c in found.candidates)


@pytest.mark.parametrize("text", ["plain", "🍕", "new\nline", "\\xe9"])
def test_readable_leaves_good_text_alone(text: str) -> None:
    assert readable(text) == text


def test_links_are_followed_but_never_round_in_a_circle(tmp_path: Path, stack: ExitStack) -> None:
    root = touch(tmp_path / "source", "a/1.jpg", "b/2.jpg")
    touch(tmp_path / "elsewhere", "3.jpg")
    (root / "a/more").symlink_to(tmp_path / "elsewhere")
    (root / "a/self").symlink_to(root / "a")
    (root / "a/up").symlink_to("..")
    (root / "a/top").symlink_to("/")
    (root / "back").symlink_to(root)
    (root / "b/broken.jpg").symlink_to("nowhere")
    assert paths(gather(stack, root)) == ["a/1.jpg", "a/more/3.jpg", "b/2.jpg", "b/broken.jpg"]


def test_a_folder_that_can_not_be_listed_is_a_row(
    tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a/1.jpg", "a/closed/3.jpg", "b/2.jpg")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert paths(gather(stack, tmp_path)) == ["a/1.jpg", "a/closed", "b/2.jpg"]


def test_a_source_that_can_not_be_listed_is_an_error(
    tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(StorageError, match="no permission"):
        gather(stack, tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a permission there")
def test_a_table_may_name_loops_folders_and_nothing(tmp_path: Path, stack: ExitStack) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    names = ("loop", "folder", "gone.jpg", "x" * 300, "loop/in.jpg")
    rows = "".join(f"{name},{'ab'[i % 2]}\n" for i, name in enumerate(names))
    (tmp_path / "t.csv").write_text("path,label\n" + rows)
    assert sorted(names) == paths(gather(stack, tmp_path / "t.csv"))


HOSTILE = ["new\nline", 'quo"te', "🍕", "\u202eazzip", "a,b", "a\tb", "-rf", "'; DROP", "%s{0}"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")
def test_folders_and_tables_of_strange_names_say_the_same(tmp_path: Path, stack: ExitStack) -> None:
    root = touch(tmp_path / "photos", *(f"{name}/{name}.jpg" for name in HOSTILE))
    rows = [{"path": f"photos/{name}/{name}.jpg", "label": name} for name in HOSTILE]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder, table = gather(stack, root), gather(stack, tmp_path / "t.jsonl")
    assert {c.label for c in folder.candidates} == set(HOSTILE)
    assert {(c.file, c.label) for c in folder.candidates} == {
        (c.file, c.label) for c in table.candidates
    }


# --- the output, and DATASETs in the way ------------------------------------------------------


def as_dataset(folder: Path) -> Path:
    touch(folder, "images/train/a/x.jpg")
    text = '{"format_version": 1, "classes": ["a", "b"], "fingerprint": ""}'
    (folder / "dataset.json").write_text(text)
    return folder


@pytest.mark.parametrize("place", ["out", "a/out"])
def test_the_output_inside_the_source_is_not_collected(
    tmp_path: Path, stack: ExitStack, place: str
) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg", f"{place}/images/train/a/1.jpg")
    assert paths(gather(stack, tmp_path, out=tmp_path / place)) == ["a/1.jpg", "b/2.jpg"]


def test_another_dataset_inside_the_source_is_no_class(tmp_path: Path, stack: ExitStack) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    as_dataset(tmp_path / "D1")
    as_dataset(tmp_path / "a" / "deep" / "D3")
    assert paths(gather(stack, tmp_path, out=tmp_path / "D2")) == ["a/1.jpg", "b/2.jpg"]


def test_a_dataset_as_the_source_names_its_pictures(tmp_path: Path, stack: ExitStack) -> None:
    with pytest.raises(SourceError, match="is a data set already") as caught:
        gather(stack, as_dataset(tmp_path / "D"))
    assert str(tmp_path / "D" / "images") in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_sources_that_the_run_would_delete_are_refused(
    tmp_path: Path, stack: ExitStack, kind: str
) -> None:
    out = as_dataset(tmp_path / "D")
    source = out / "images"
    if kind == "table":
        source = tmp_path / "t.csv"
        source.write_text("path,label\nD/images/train/a/x.jpg,a\n")
    with pytest.raises(SourceError, match="written anew") as caught:
        gather(stack, source, out=out)
    assert "--out" in (caught.value.hint or "")
    assert (out / "images/train/a/x.jpg").exists()


def test_the_same_folder_gives_the_same_candidates(tmp_path: Path, stack: ExitStack) -> None:
    touch(tmp_path / "x", *(f"{c}/{i}.jpg" for c in "ab" for i in (3, 1, 2)))
    shutil.copytree(tmp_path / "x", tmp_path / "y")
    first, second = (gather(stack, tmp_path / name) for name in "xy")
    assert paths(first) == paths(second) == sorted(paths(first))
    assert Counter(c.label for c in first.candidates) == {"a": 3, "b": 3}
