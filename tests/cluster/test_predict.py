"""`predict --ray`: the same answers as of one machine, whatever is killed, each once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import Done
from pizzaiolo.cluster import answering
from pizzaiolo.cluster import predict as on_ray
from pizzaiolo.cluster.answering import CHUNK, Kind, Pool
from pizzaiolo.cluster.predict import Model, answering_on
from pizzaiolo.cluster.session import Cluster, connected
from pizzaiolo.errors import UsageError, WorkError
from pizzaiolo.predict import Answer, load_file
from pizzaiolo.predict.job import Job, run_job
from pizzaiolo.predict.sources import lines_of, listed
from toy_graph import write
from toy_predictor import picture
from toy_store import Store, s3_store

ray = pytest.importorskip("ray")
Command = Callable[..., Done]
MANY = 1500  # pictures: enough for a part of the Parquet file


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch, s3_store(patch) as store:
        yield store


@pytest.fixture(scope="module")
def cluster(store: Store) -> Iterator[Cluster]:
    """Two processors of this machine; what is in this module goes to them by value."""
    with connected("local") as cluster:
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield cluster


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and pictures of which one is none."""
    folder = tmp_path_factory.mktemp("work")
    write(folder / "m.onnx")
    (folder / "photos" / "z").mkdir(parents=True)
    for i in range(100):
        (folder / f"photos/{i:03}.png").write_bytes(picture(i, 255 - i, 2 * i))
    (folder / "photos" / "050.jpg").write_bytes(b"no picture")
    (folder / "photos" / "z" / "1.png").write_bytes(picture(9, 9, 9))
    return folder


@pytest.fixture
def work(folder: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    for file in folder.glob("*.parquet"):
        file.unlink()
    return folder


def table(file: str) -> pa.Table:
    return pq.read_table(file)


def assert_same(file: str, expected: str) -> None:
    """The same rows in the same order, probabilities within 1e-5."""
    ours, theirs = table(file), table(expected)
    assert ours.schema.equals(theirs.schema, check_metadata=True)
    for name in ours.schema.names:
        if pa.types.is_floating(ours.schema.field(name).type):
            assert ours[name].to_pylist() == pytest.approx(theirs[name].to_pylist(), abs=1e-5)
        else:
            assert ours[name].to_pylist() == theirs[name].to_pylist()


def test_a_parquet_file_is_the_same(work: Path, command: Command) -> None:
    inputs = ("photos", "gone.png", "--model", "m.onnx")
    plain = command("predict", *inputs, "--parquet", "a.parquet")
    done = command("predict", *inputs, "--parquet", "b.parquet", "--ray", "local")
    assert done.code == plain.code == 1
    assert done.out.splitlines()[1:] == plain.out.splitlines()[1:]
    assert done.out.startswith("103 rows in b.parquet\n")
    assert_same("b.parquet", "a.parquet")


def test_so_is_all_else(work: Path, command: Command) -> None:
    flags = ("photos", "--model", "m.onnx", "--json", "--where", "confidence > 0.4", "--sort",
             "novelty", "--csv")  # fmt: skip
    plain = command("predict", *flags, "a.csv", "--copy-to", "here")
    done = command("predict", *flags, "b.csv", "--copy-to", "there", "--ray", "local")
    assert done.out == plain.out and len(plain.out.splitlines()) > 90
    assert Path("a.csv").read_text() == Path("b.csv").read_text()
    copies = [sorted(p.relative_to(f) for p in Path(f).rglob("*")) for f in ("here", "there")]
    assert copies[0] == copies[1]


def test_a_mistake_is_told_before_anything_starts(command: Command, folder: Path) -> None:
    model = ("--model", folder / "m.onnx")
    for flags, words in ((["--where", "size > 1"], "no field 'size'"),
                         (["--device", "gpu"], "the device 'gpu'")):  # fmt: skip
        done = command("predict", folder / "photos", *model, *flags, "--ray", "127.0.0.1:1")
        assert done.code == 2 and words in done.err


def killed(number: signal.Signals = signal.SIGKILL) -> int:
    """End one of the workers of this process's own Ray; give its id."""
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
            if title.startswith(b"ray::Worker") and _is_own(pid):
                os.kill(pid, number)
                return pid
        except (OSError, ValueError):
            continue
    raise AssertionError("there is no worker")


def _is_own(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = parent_of(pid)
    return False


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended
        return 0


def test_a_worker_that_is_killed_costs_nothing_but_time(
    work: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen = 0

    def show(_: Answer) -> None:
        nonlocal seen
        seen += 1
        if seen == 5 * CHUNK:
            killed()

    predictor, photos = load_file(Path("m.onnx")), ["photos"] * 6
    totals = run_job(predictor, Job(photos, csv="a.csv"), None)
    with answering_on("local", Model.of(Path("m.onnx"))) as answers:
        found = run_job(predictor, Job(photos, csv="b.csv"), show, None, answers)
    assert found.verdicts == totals.verdicts and found.pictures == 6 * 102
    assert Path("b.csv").read_text() == Path("a.csv").read_text()
    assert "1 times a worker was lost" in caplog.text


def test_a_driver_that_is_killed_goes_on(work: Path, command: Command) -> None:
    """Every picture has one row, that of the plain job, and what was kept is not done again."""
    many = work / "many"
    if not many.exists():
        many.mkdir()
        for i in range(MANY):
            (many / f"{i:04}.png").symlink_to(work / f"photos/{i % 100:03}.png")
    address = ray.get_runtime_context().gcs_address
    flags = ("many", "--model", "m.onnx", "--parquet", "b.parquet")
    part = work / "b.parquet.unfinished" / "000000.parquet"
    with subprocess.Popen(
        [sys.executable, "-m", "pizzaiolo", "predict", *flags, "--ray", address],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as driver:  # fmt: skip
        while not part.exists():
            assert driver.poll() is None, driver.stderr and driver.stderr.read()
            time.sleep(0.002)
        driver.kill()
    kept = pq.read_metadata(part).num_rows
    assert kept >= 1000 and not (work / "b.parquet").exists()
    done = command("predict", *flags, "--ray", "local", "--resume")
    assert done.code == 0 and f"{kept:,} were answered before" in done.err
    assert f"{MANY:,} rows in b.parquet" in done.out and not part.exists()
    command("predict", "many", "--model", "m.onnx", "--parquet", "a.parquet")
    assert_same("b.parquet", "a.parquet")


@pytest.mark.slow  # a Ray of its own
def test_ctrl_c_leaves_what_was_done_and_no_process(work: Path) -> None:
    (work / "paths").write_text("photos\n" * 2000)
    with (
        (work / "paths").open("rb") as names,
        subprocess.Popen(
            [sys.executable, "-m", "pizzaiolo", "predict", "-", "--model", "m.onnx",
             "--parquet", "c.parquet", "--ray", "local"],
            stdin=names, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        ) as driver,
    ):  # fmt: skip
        while not (work / "c.parquet.unfinished" / "000000.parquet").exists():
            assert driver.poll() is None, driver.stderr and driver.stderr.read()
            time.sleep(0.01)
        pids = map(int, filter(str.isdigit, os.listdir("/proc")))
        others = [pid for pid in pids if parent_of(pid) == driver.pid]
        os.killpg(driver.pid, signal.SIGINT)
        out, err = driver.communicate(timeout=60)
    assert driver.returncode == 130 and out == b"" and others
    lines = err.decode().splitlines()
    assert "--resume goes on" in lines[-2] and lines[-1].startswith("interrupted")
    assert len(lines) == 3, "the first tells what the cluster has"
    assert not [pid for pid in others if Path(f"/proc/{pid}").exists()]


def test_pictures_of_a_store(work: Path, store: Store, command: Command) -> None:
    for name in ("050.jpg", "051.png", "052.png"):
        store.put(f"some/{name}", (work / "photos" / name).read_bytes())
    store.busy(3)
    done = command("predict", "s3://photos/some", "--model", "m.onnx", "--parquet", "b.parquet",
                   "--ray", "local")  # fmt: skip
    assert done.code == 1 and "3 rows in b.parquet" in done.out
    here = command("predict", *(f"photos/{name}" for name in ("050.jpg", "051.png", "052.png")),
                   "--model", "m.onnx", "--parquet", "a.parquet")  # fmt: skip
    assert here.code == 1
    ours, theirs = table("b.parquet"), table("a.parquet")
    assert ours["p_pizza"].to_pylist() == theirs["p_pizza"].to_pylist()
    assert ours["path"].to_pylist()[0] == "s3://photos/some/050.jpg"


def test_a_list_is_answered_while_it_is_written_by_a_model_that_is_gone(
    work: Path, tmp_path: Path
) -> None:
    """The workers need no disk that has the model."""
    file, own = tmp_path / "own.onnx", load_file(Path("m.onnx"))
    file.write_bytes(Path("m.onnx").read_bytes())
    model = Model.of(file)
    file.unlink()
    reader, writer = os.pipe()
    with (
        os.fdopen(reader, "rb") as stream,
        os.fdopen(writer, "wb", 0) as asking,
        answering_on("local", model) as answers,
    ):
        late = threading.Timer(60, asking.close)
        late.start()
        found = answers(listed(lines_of(stream)))
        for i in range(3):
            asking.write(f"photos/{i:03}.png\n".encode())
            assert next(found) == own.predict(f"photos/{i:03}.png")
            assert not late.finished.is_set()
        late.cancel()
        asking.close()
        assert list(found) == []


def test_a_machine_that_cannot_see_the_pictures_says_so(work: Path) -> None:
    model = Model.of(Path("m.onnx"))
    far = Model(model.files, model.name, folder="/not/here")
    with answering_on("local", far) as answers:
        (found,) = answers(iter([Path("photos/001.png")]))
    assert found.path == "photos/001.png" and found.error is not None
    assert found.error["message"] == "/not/here/photos/001.png is missing, expected a picture"


def test_what_a_worker_cannot_open_is_one_error(work: Path) -> None:
    with (
        answering_on("local", Model.of(Path("m.onnx"), device="cuda")) as answers,
        pytest.raises(UsageError, match="the device cuda is not there"),
    ):
        next(answers(iter([Path("photos/001.png")])))


class Toy:
    """A worker that kills itself where a name says so."""

    def __init__(self, model: str, device: str, threads: int) -> None:
        self.model = model

    def open(self) -> None:
        if self.model == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)

    def answer(self, paths: Sequence[str]) -> list[Answer]:
        if any("kill" in path for path in paths):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        return [Answer(path, label=str(os.getpid())) for path in paths]


def pool(model: str = "toy", count: int = 2) -> Any:
    return closing(Pool(Toy, model, Kind("cpu", 0, 1, count)))


def test_one_picture_that_kills_its_worker_is_one_answer(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "CHUNK", 4)
    names = [f"{i:02}{'kill' * (i == 9)}" for i in range(30)]
    with pool() as workers:
        found = list(workers.answers(map(Path, names)))
    assert [answer.path for answer in found] == names
    assert [answer.path for answer in found if answer.error] == ["09kill"]
    assert found[9].error == {"code": "unreadable", "message": "its decoder crashed"}


def test_only_a_few_pictures_are_under_way(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "CHUNK", 4)
    drawn = 0

    def endless() -> Iterator[Path]:
        nonlocal drawn
        while True:
            drawn += 1
            yield Path(str(drawn))

    with pool() as workers:
        found = workers.answers(endless())
        for i in range(1, 200):
            assert next(found).path == str(i)
            assert drawn <= i + 4 * (2 * answering.AHEAD + 1)
        found.close()


@pytest.mark.slow
def test_a_cluster_that_grows_gets_more_workers(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "CHUNK", 1)
    monkeypatch.setattr(answering, "COUNTED_EVERY", 0.1)
    with pool(count=1) as workers:
        found = workers.answers(Path(str(i)) for i in range(100_000))
        end, seen = time.monotonic() + 30, set[str | None]()
        while len(seen) < cluster.cpus and time.monotonic() < end:
            seen.add(next(found).label)
    assert len(seen) == cluster.cpus


@pytest.mark.slow
def test_workers_that_never_start_are_an_error(cluster: Cluster) -> None:
    with pool("deadly") as workers, pytest.raises(WorkError, match="end before they have opened"):
        list(workers.answers(iter([Path("a")])))


@pytest.mark.parametrize(
    ("gpus", "device", "name", "serves", "kind"),
    [
        (0, "auto", "m.onnx", False, Kind("cpu", 0, 1, 8)),
        (0, "openvino", "m.onnx", False, Kind("openvino", 0, 1, 8)),
        (2, "auto", "m.onnx", True, Kind("cuda", 1, 4, 2)),
        (2, "auto", "m.onnx", False, Kind("cpu", 0, 1, 8)),
        (2, "cpu", "m.pt", True, Kind("cpu", 0, 1, 8)),
        (2, "cuda", "m.pt", False, Kind("cuda", 1, 4, 2)),
        (16, "auto", "m.pt", True, Kind("cuda", 1, 1, 16)),
    ],
)
def test_which_workers_there_are(
    monkeypatch: pytest.MonkeyPatch, gpus: int, device: str, name: str, serves: bool, kind: Kind
) -> None:
    monkeypatch.setattr(on_ray, "_gpus_serve", lambda suffix: serves)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Resources": {"CPU": 8, "GPU": gpus}}])
    assert on_ray._kind(Cluster("a:1", 1, 8, gpus), Model({}, name, device=device)) == kind


def test_processors_of_a_gpu_are_those_that_each_machine_has() -> None:
    machines = [{"CPU": 64}, {"CPU": 16, "GPU": 2}, {"CPU": 4, "GPU": 1}, {"CPU": 1, "GPU": 0}]
    assert on_ray._for_each_gpu(machines) == 4
    assert on_ray._for_each_gpu([{"CPU": 1, "GPU": 4}]) == on_ray._for_each_gpu([]) == 1
