"""Food-101 by torchvision's own downloader, from a small copy of it on a local server."""

import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import SourceError, StorageError
from pizzaiolo.prepare.candidate import Candidate
from pizzaiolo.prepare.run import prepare
from pizzaiolo.prepare.sources import food101
from pizzaiolo.prepare.sources.collect import collect
from pizzaiolo.prepare.sources.food101 import CLASSES, draw
from toy_pictures import encode
from toy_site import Site, serving

OWN = ("pizza", "ramen", "sushi", "waffles")
PER_CLASS = 8


def archive(pictures: dict[str, bytes]) -> bytes:
    """A .tar.gz laid out as Food-101 is: images by class, and its own split as lists of names."""
    buffer = io.BytesIO()
    names = {c: [n for n in pictures if n.startswith(f"{c}/")] for c in OWN}
    files = {f"images/{name}.jpg": data for name, data in pictures.items()}
    files["meta/train.json"] = json.dumps({c: n[:6] for c, n in names.items()}).encode()
    files["meta/test.json"] = json.dumps({c: n[6:] for c, n in names.items()}).encode()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"food-101/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def packed(draw: Callable[..., Any]) -> bytes:
    return archive({
        f"{name}/{1000 * place + i}": encode(draw(1000 * place + i), "JPEG")
        for place, name in enumerate(OWN) for i in range(PER_CLASS)
    })  # fmt: skip


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bytes) -> Iterator[Site]:
    """A site that torchvision takes for the home of Food-101, and an empty cache."""
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path / "cache"))
    with serving() as site:
        site.answers["/food-101.tar.gz"] = packed
        monkeypatch.setattr(food101.Food101, "_URL", site.url("/food-101.tar.gz"))
        monkeypatch.setattr(food101.Food101, "_MD5", hashlib.md5(packed).hexdigest())
        yield site


def read(*sources: str, **settings: Any) -> list[Candidate]:
    with ExitStack() as stack:
        config = PrepareConfig(**settings)
        return collect(list(sources), stack, Path("/nowhere"), config).candidates


def labels(candidates: list[Candidate]) -> dict[str, int]:
    return dict(Counter(c.label for c in candidates))


def test_one_class_against_an_even_sample_of_the_others(site: Site) -> None:
    found = read("food101:pizza", per_class=6)
    assert labels(found) == {"pizza": 6, "not_pizza": 6}
    classes = Counter(c.path.split("/")[0] for c in found if c.label == "not_pizza")
    assert classes == {f"food101:{name}": 2 for name in ("ramen", "sushi", "waffles")}
    assert all(c.file.read_bytes()[:2] == b"\xff\xd8" and c.split is None for c in found)


@pytest.mark.parametrize(
    ("source", "counts"),
    [("food101:sushi", {"sushi": 8, "not_sushi": 24}),
     ("food101:pizza,sushi", {"pizza": 8, "sushi": 8, "other": 16}),
     ("food101: pizza, ramen,sushi ,waffles", {"pizza": 8, "ramen": 8, "sushi": 8, "waffles": 8})],
)  # fmt: skip
def test_any_classes_and_the_rest(site: Site, source: str, counts: dict[str, int]) -> None:
    assert labels(read(source)) == counts


def test_the_second_run_downloads_nothing(site: Site, tmp_path: Path) -> None:
    first = read("food101:pizza")
    asked = len(site.asked)
    assert read("food101:pizza") == first and asked > 0
    read("food101:ramen")
    assert len(site.asked) == asked
    assert [p.name for p in (tmp_path / "cache" / "food101").iterdir()] == ["food-101"]


def test_the_seed_draws_and_more_only_adds(site: Site) -> None:
    def files(**settings: Any) -> set[Path]:
        return {c.file for c in read("food101:pizza", **settings)}

    assert files(per_class=6) == files(per_class=6) < files(per_class=7)
    assert files(per_class=6) != files(per_class=6, seed=1)


def test_it_becomes_a_data_set_with_a_split_of_its_own(site: Site, tmp_path: Path) -> None:
    config = PrepareConfig(workers=1, features=False)
    summary = prepare("food101:pizza", tmp_path / "D", config)
    data = Dataset.open(tmp_path / "D")
    assert summary["kept"] == 32 and data.labels.positive == "pizza"
    assert min(data.counts().values()) > 0


@pytest.mark.parametrize(
    ("source", "words", "hint"),
    [("food101:piza", "no class 'piza'", "'pizza'"), ("food101:", "no class ''", "food101:pizza"),
     ("food101:pizza,", "no class ''", "food101:pizza"), ("food101:Pizza", "'Pizza'", "'pizza'"),
     ("food101:pizza,pizza", "twice", "once")],
)  # fmt: skip
def test_names_are_checked_before_anything_is_downloaded(
    site: Site, source: str, words: str, hint: str
) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        read(source)
    assert hint in (caught.value.hint or "") and site.asked == []


def test_all_101_names_are_known() -> None:
    assert len(set(CLASSES)) == 101 and {"apple_pie", "pizza", "waffles"} < set(CLASSES)


# --- downloads that fail ----------------------------------------------------------------------


def test_offline_is_one_clear_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(food101.Food101, "_URL", "http://127.0.0.1:1/food-101.tar.gz")
    with pytest.raises(SourceError, match=r"Food-101 can't be downloaded: .*refused") as caught:
        read("food101:pizza")
    assert "connection" in (caught.value.hint or "")


@pytest.mark.parametrize("fault", ["missing", "damaged", "cut"])
def test_a_bad_archive_is_refused_and_fetched_again(
    site: Site, packed: bytes, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {"missing": 404, "damaged": b"x" + packed[1:], "cut": packed[:-100]}[fault]
    site.answers["/food-101.tar.gz"] = bad
    with pytest.raises(SourceError, match="can't be downloaded"):
        read("food101:pizza")
    site.answers["/food-101.tar.gz"] = packed
    assert len(read("food101:pizza")) == 32


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_archive_that_is_half_unpacked_is_not_taken_for_whole(
    site: Site, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    real, opened = tarfile.TarFile.makefile, []

    def stop(self: tarfile.TarFile, *rest: Any) -> None:
        opened.append(rest)
        if len(opened) == 20:
            raise fault
        real(self, *rest)

    with monkeypatch.context() as patch, pytest.raises(type(fault)):
        patch.setattr(tarfile.TarFile, "makefile", stop)
        read("food101:pizza")
    asked = len(site.asked)
    assert len(read("food101:pizza")) == 32
    assert len(site.asked) == asked, "the archive itself was whole"


def test_a_server_that_stalls_does_not_hold_the_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(food101, "_STALLED", 0.1)
    site.answers["/food-101.tar.gz"] = lambda handler: site.over.wait() and None
    with pytest.raises(SourceError, match="timed out"):
        read("food101:pizza")


def test_a_full_disk_is_explained(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(food101, "Food101", full)
    with pytest.raises(StorageError, match="the disk is full"):
        prepare("food101:pizza", Path("/nowhere/D"), PrepareConfig(workers=1))


# --- the sample -------------------------------------------------------------------------------

FOUND = st.dictionaries(
    st.sampled_from(CLASSES[:8]), st.sets(st.integers(0, 30).map(str), min_size=1), min_size=2
)


@given(FOUND, st.integers(1, 40), st.integers(0, 3), st.data())
def test_the_sample_is_even_and_takes_what_there_is(
    found: dict[str, set[str]], per_class: int, seed: int, data: st.DataObject
) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(found)), min_size=1, unique=True))
    drawn = draw({name: sorted(files) for name, files in found.items()}, names, per_class, seed)
    assert len(set(drawn)) == len(drawn) and all(file in found[name] for _, name, file in drawn)
    for name in names:
        own = [d for d in drawn if d[0] == name]
        assert len(own) == min(per_class, len(found[name])) and {d[1] for d in own} <= {name}
    rest = Counter(name for label, name, _ in drawn if label not in names)
    others = {name: len(files) for name, files in found.items() if name not in names}
    assert sum(rest.values()) == min(per_class, sum(others.values()))
    most = max(rest.values(), default=0)
    assert all(rest[name] >= min(most - 1, count) for name, count in others.items())
