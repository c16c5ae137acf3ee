"""--parquet: whole or not at all, and a job that was killed goes on without loss or doubles."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pizzaiolo.core.predictions import LABELS_KEY
from pizzaiolo.errors import InputError, UsageError
from pizzaiolo.predict import parquet
from pizzaiolo.predict.job import Job, Totals, run_job
from pizzaiolo.predict.parquet import ParquetRows
from toy_predictor import BLUE, LABELS, OLIVE, VIOLET, YELLOW, picture, predictor

COLOURS = (YELLOW, BLUE, VIOLET, OLIVE)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model's file and 30 pictures; parts of a Parquet are small."""
    monkeypatch.setattr(parquet, "PART_ROWS", 4)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "m.onnx").write_bytes(b"stands for a model")
    for i in range(30):
        (tmp_path / f"photos/{i:02}.png").write_bytes(picture(*COLOURS[i % 4]))
    return tmp_path


def job(*inputs: str, resume: bool = False, model: str = "m.onnx", **changes: Any) -> Totals:
    given = Job(inputs or ("photos",), parquet=Path("a.parquet"), resume=resume, **changes)
    given.check()
    return run_job(predictor(Path(model)), given, None)


def rows() -> list[dict[str, Any]]:
    return pq.read_table("a.parquet").to_pylist()


class Stop(BaseException):
    pass


def stopped(after: int, resume: bool = False) -> None:
    """A job that ends in the middle, as by Ctrl-C."""
    seen = 0

    def show(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen > after:
            raise Stop

    with pytest.raises(Stop):
        run_job(predictor(Path("m.onnx")), Job(["photos"], parquet=Path("a.parquet"),
                                               resume=resume), show)  # fmt: skip


def test_it_holds_the_answers(work: Path) -> None:
    (work / "photos" / "bad.png").write_bytes(b"no picture")
    totals = job()
    answers = list(predictor().predict_many(sorted((work / "photos").iterdir())))
    assert (
        totals.pictures == 31 and totals.failed == 1 and totals.written == ["31 rows in a.parquet"]
    )
    for row, answer in zip(rows(), answers, strict=True):
        assert Path(row["path"]) == Path(str(answer.path)).relative_to(work)
        for name in ("label", "confidence", "verdict", "reason", "novelty"):
            assert row[name] == getattr(answer, name)
        assert row["p_pizza"] == (answer.probabilities or {}).get("pizza")
        assert row["error_code"] == (answer.error["code"] if answer.error else None)
    metadata = pq.read_schema("a.parquet").metadata
    assert b'"positive": "pizza"' in metadata[LABELS_KEY]
    assert sorted(p.name for p in work.iterdir()) == ["a.parquet", "m.onnx", "photos"]


@pytest.mark.parametrize("after", [0, 1, 9, 29])
def test_a_job_that_was_stopped_goes_on(
    work: Path, after: int, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(after)
    assert not (work / "a.parquet").exists()
    assert ("--resume goes on" in capsys.readouterr().err) == (after > 0)
    assert (work / "a.parquet.unfinished").exists() == (after > 0)
    totals = job(resume=True)
    assert (totals.pictures, totals.skipped) == (30 - after, after)
    resumed = rows()
    job()
    assert resumed == rows() and len(resumed) == 30


KILLED = """
import os, signal, sys
from pathlib import Path
from pizzaiolo.predict import parquet
from pizzaiolo.predict.job import Job, run_job
from toy_predictor import predictor
parquet.PART_ROWS = 4
seen = 0
def show(answer):
    global seen
    seen += 1
    if seen == 12:
        os.kill(os.getpid(), signal.SIGKILL)
job = Job(["photos"], parquet=Path("a.parquet"), resume=True)
print(run_job(predictor(Path("m.onnx")), job, show).pictures)
"""


def test_a_job_that_was_killed_goes_on(work: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    told = []
    for _ in range(4):
        done = subprocess.run([sys.executable, "-c", KILLED], cwd=work, env=environment,
                              capture_output=True, text=True)  # fmt: skip
        told.append(done.stdout)
    # each is killed when it has kept 8: 22, 14 and 6 are left, which the last one answers
    assert told == ["", "", "", "6\n"], done.stderr
    assert [row["path"] for row in rows()] == [f"photos/{i:02}.png" for i in range(30)]


def test_a_second_job_answers_what_is_new_or_changed(work: Path) -> None:
    (work / "photos" / "bad.png").write_bytes(b"no picture")
    job()
    before = {row["path"]: row for row in rows()}
    (work / "photos" / "new.png").write_bytes(picture(*BLUE))
    (work / "photos" / "00.png").write_bytes(picture(*BLUE))
    (work / "photos" / "bad.png").write_bytes(picture(*YELLOW))
    os.utime(work / "photos" / "01.png", ns=(1, 1))
    totals = job(resume=True)
    assert (totals.pictures, totals.skipped) == (4, 28)
    after = {row["path"]: row for row in rows()}
    assert len(after) == len(rows()) == 32
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == {f"photos/{name}.png" for name in ("new", "00", "bad", "01")}
    assert after["photos/bad.png"]["error"] is None


def test_what_could_not_be_read_is_tried_again(work: Path) -> None:
    (work / "photos" / "bad.png").write_bytes(b"no picture")
    for skipped in (0, 30):
        totals = job("photos", "gone.png", resume=True)
        assert totals.skipped == skipped and totals.failed == 2 and len(rows()) == 32


def test_a_path_that_comes_twice_has_one_row(work: Path) -> None:
    totals = job("photos", "photos/00.png", "photos/0*.png")
    assert totals.pictures == 41 and len(rows()) == 30


def test_an_earlier_file_stays_until_the_new_one_is_whole(work: Path) -> None:
    job("photos/00.png")
    stopped(5)
    assert [row["path"] for row in rows()] == ["photos/00.png"]


def test_parts_of_an_unfinished_job_are_not_thrown_away(work: Path) -> None:
    stopped(9)
    with pytest.raises(UsageError, match="unfinished job") as caught:
        job()
    assert "--resume" in (caught.value.hint or "")
    assert job(resume=True).skipped == 9


def test_two_jobs_at_once_are_refused(work: Path) -> None:
    pytest.importorskip("fcntl")
    first = ParquetRows(Path("a.parquet"), LABELS, "m", resume=False)
    with pytest.raises(UsageError, match=r"another job is writing a\.parquet"):
        job(resume=True)
    first.stop()
    assert job(resume=True).pictures == 30


def test_another_model_is_refused(work: Path) -> None:
    job()
    before = (work / "a.parquet").read_bytes()
    (work / "other.onnx").write_bytes(b"another")
    with pytest.raises(InputError, match="is of another model") as caught:
        job(resume=True, model="other.onnx")
    assert "--model" in (caught.value.hint or "")
    assert (work / "a.parquet").read_bytes() == before
    assert not (work / "a.parquet.unfinished").exists()
    assert job(model="other.onnx").pictures == 30  # a new job, not one that goes on


@pytest.mark.parametrize("content", [b"", b"no parquet", None])
def test_a_stranger_is_refused(work: Path, content: bytes | None) -> None:
    if content is None:
        import pyarrow as pa

        pq.write_table(pa.table({"path": ["a"]}), work / "a.parquet")
    else:
        (work / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match="holds no answers to go on with"):
        job(resume=True)
    assert not (work / "a.parquet.unfinished").exists()


def test_a_name_that_is_no_text_is_escaped_and_known(work: Path) -> None:
    name = os.fsdecode(b"photos/\xff.png")
    try:
        (work / name).write_bytes(picture(*BLUE))
    except OSError:
        pytest.skip("this file system refuses the name")
    job()
    assert job(resume=True).skipped == 31 and rows()[-1]["path"] == "photos/\\udcff.png"


def test_every_answer_is_there_whatever_is_shown(work: Path) -> None:
    totals = job(where="verdict == 'Pizza'", order="path")
    assert totals.chosen == 8 and len(rows()) == 30
    assert np.isfinite([row["confidence"] for row in rows()]).all()
