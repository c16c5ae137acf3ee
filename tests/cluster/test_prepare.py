"""`prepare --ray`: the data set of one machine, whatever workers die."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import WorkError
from pizzaiolo.prepare.candidate import Candidate

ray = pytest.importorskip("ray")
from pizzaiolo.cluster import inspect  # noqa: E402
from pizzaiolo.cluster.prepare import prepare as prepare_on  # noqa: E402
from pizzaiolo.prepare.pool import inspect_all as inspect_here  # noqa: E402
from pizzaiolo.prepare.run import prepare  # noqa: E402

PLAIN = PrepareConfig(features=False)


def faults(deadly: Path) -> None:
    """In each worker: `bad.png` ends it whenever it is decoded, `once.png` the first time; and
    while the file `deadly` is there, the first copy that is embedded."""
    from pizzaiolo.core.preprocess import Preprocess
    from pizzaiolo.prepare import pool

    look, load = pool.inspect_one, Preprocess.load

    def faulty(candidate: Candidate, *rest: Any) -> Any:
        file = candidate.file
        if file.name == "bad.png":
            os.kill(os.getpid(), signal.SIGSEGV)
        if file.name == "once.png" and not file.with_suffix(".seen").exists():
            file.with_suffix(".seen").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return look(candidate, *rest)

    def faulty_load(self: Preprocess, file: Any) -> Any:
        if deadly.exists():
            deadly.rename(deadly.with_name("done"))
            os.kill(os.getpid(), signal.SIGKILL)
        return load(self, file)

    pool.inspect_one = faulty
    Preprocess.load = faulty_load  # type: ignore[method-assign]


@pytest.fixture(scope="module", autouse=True)
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Ray with two workers, in which some files are deadly."""
    deadly = tmp_path_factory.mktemp("deadly") / "now"
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error",
        runtime_env={"worker_process_setup_hook": lambda: faults(deadly)},
    )  # fmt: skip
    yield deadly
    ray.shutdown()


@pytest.fixture(scope="module")
def source(
    make_folder: Callable[..., Path], draw: Callable[..., Image.Image],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:  # fmt: skip
    """56 pictures of two classes with faults of every kind."""
    folder = make_folder(tmp_path_factory.mktemp("ray") / "source", count=24)
    (folder / "a/broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / "a/empty.png").touch()
    (folder / "b/words.txt").write_text("words")
    (folder / "b/copy.png").write_bytes((folder / "b/3.png").read_bytes())
    (folder / "b/conflict.png").write_bytes((folder / "a/3.png").read_bytes())
    Image.new("RGB", (64, 64), "red").save(folder / "a/blank.png")
    with Image.open(folder / "a/5.png") as picture:
        picture.resize((160, 128)).save(folder / "a/near.jpg", quality=80)
    draw(7).resize((20, 20)).save(folder / "b/small.png")
    return folder


@pytest.fixture
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Sets an empty cache: what one engine has looked at, the other must not recall."""

    def forget(folder: Path) -> None:
        monkeypatch.setenv("PIZZAIOLO_CACHE", str(folder))

    return forget


def rows(folder: Path) -> list[Any]:
    return list(Dataset.open(folder).rows)


def test_the_data_set_is_that_of_one_machine(
    source: Path, tmp_path: Path, nothing_is_known: Callable[[Path], None]
) -> None:
    here = prepare(source, tmp_path / "here", PLAIN)
    nothing_is_known(tmp_path / "cache")
    there = prepare_on(source, tmp_path / "there", PLAIN, ray="local")
    for found in (here, there):
        del found["seconds"], found["dataset"]
    assert here == there and here["found"] == 56 and len(here["rejected"]) == 6
    assert rows(tmp_path / "here") == rows(tmp_path / "there")
    told = [json.loads((tmp_path / x / "dataset.json").read_text()) for x in ("here", "there")]
    assert told[0]["fingerprint"] == told[1]["fingerprint"]
    assert told[0]["channels"] == told[1]["channels"]
    for row in rows(tmp_path / "here"):
        if row.file:
            copies = [(tmp_path / x / row.file).read_bytes() for x in ("here", "there")]
            assert copies[0] == copies[1]
    assert not (tmp_path / "there/images/.staging").exists()


def test_features_are_those_of_one_machine_though_a_worker_is_killed(
    source: Path, tmp_path: Path, nothing_is_known: Callable[[Path], None], two_workers: Path
) -> None:
    here = prepare(source, tmp_path / "here", PrepareConfig())
    nothing_is_known(tmp_path / "cache")
    two_workers.touch()
    there = prepare_on(source, tmp_path / "there", PrepareConfig(), ray="local")
    assert two_workers.with_name("done").exists(), "no worker was killed"
    assert here["flagged"] == there["flagged"] and here["splits"] == there["splits"]
    assert rows(tmp_path / "here") == rows(tmp_path / "there")
    assert (tmp_path / "cache/features.sqlite").is_file(), "they were known before"


def test_a_relative_source_is_found_by_workers_elsewhere(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    found = prepare_on("source", "../relative", PLAIN, ray="local")
    assert found["found"] == 56 and found["kept"] > 45


def test_a_killed_worker_loses_and_doubles_nothing(
    draw: Callable[..., Image.Image], make_folder: Callable[..., Path], tmp_path: Path,
    caplog: pytest.LogCaptureFixture, nothing_is_known: Callable[[Path], None],
) -> None:  # fmt: skip
    folder = make_folder(tmp_path / "s", count=40)
    draw(77).save(folder / "a/once.png")
    expected = prepare(folder, tmp_path / "here", PLAIN)
    nothing_is_known(tmp_path / "cache")
    found = prepare_on(folder, tmp_path / "there", PLAIN, ray="local")
    assert (folder / "a/once.seen").exists(), "no worker was killed"
    assert "1 times a worker was lost" in caplog.text
    assert found["kept"] == expected["kept"] == 81
    assert rows(tmp_path / "here") == rows(tmp_path / "there")


def test_a_decoder_that_crashes_each_time_is_one_row(
    draw: Callable[..., Image.Image], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "s", count=40)
    draw(78).save(folder / "b/bad.png")
    found = prepare_on(folder, tmp_path / "there", PLAIN, ray="local")
    assert (found["found"], found["kept"], found["rejected"]) == (81, 80, {"unreadable": 1})
    (bad,) = [row for row in rows(tmp_path / "there") if not row.kept]
    assert (bad.path, bad.detail) == ("b/bad.png", "its decoder crashed")


def candidates(folder: Path, count: int) -> list[Candidate]:
    files = sorted(folder.glob("*/*.png"))
    return [Candidate(files[i % len(files)], f"{i}.png", "a") for i in range(count)]


def test_findings_come_in_order_and_no_more_are_under_way_than_asked_for(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    nothing_is_known: Callable[[Path], None],
) -> None:  # fmt: skip
    many, most = candidates(source, 800), [0]
    send = inspect._Looking._send

    def counted(self: Any, *given: Any) -> Any:
        chunk = send(self, *given)
        most[0] = max(most[0], len(self._sent))
        return chunk

    monkeypatch.setattr(inspect._Looking, "_send", counted)
    with closing(inspect.inspect_all(many, tmp_path / "x", PLAIN)) as found:
        first = [next(found) for _ in range(3)]
        time.sleep(1)
        assert most[0] == 2 * inspect.AHEAD < 800 / inspect.CHUNK
        rest = list(found)
    assert most[0] == 2 * inspect.AHEAD
    nothing_is_known(tmp_path / "cache")
    with closing(inspect_here(many, tmp_path / "y", replace(PLAIN, workers=1))) as expected:
        assert [replace(f, fresh=True) for f in [*first, *rest]] == [
            replace(f, fresh=True) for f in expected
        ]


def test_closing_early_leaves_nothing_under_way(source: Path, tmp_path: Path) -> None:
    found = inspect.inspect_all(candidates(source, 800), tmp_path / "x", PLAIN)
    next(found)
    found.close()
    time.sleep(0.5)
    before = sorted(p.name for p in (tmp_path / "x").iterdir())
    time.sleep(0.5)
    assert before == sorted(p.name for p in (tmp_path / "x").iterdir())
    assert not [name for name in before if name.endswith(".sign")]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
@pytest.mark.parametrize("hidden", ["pictures", "output"])
def test_a_worker_that_can_t_see_what_this_process_sees_is_one_message(
    source: Path, tmp_path: Path, hidden: str
) -> None:
    """A folder that only this process can reach: its own open one, by number."""
    (tmp_path / "out").mkdir()
    opened = os.open(source if hidden == "pictures" else tmp_path / "out", os.O_RDONLY)
    os.dup2(opened, 963)
    try:
        here = Path("/proc/self/fd/963")
        given, out = (here, tmp_path / "D") if hidden == "pictures" else (source, here / "D")
        with pytest.raises(WorkError, match=r"the worker \S+ can't see /proc/self/fd/963") as told:
            prepare_on(given, out, PLAIN, ray="local")
        assert "storage that all machines of the cluster share" in (told.value.hint or "")
    finally:
        os.close(opened)
        os.close(963)


def test_a_worker_of_another_version_is_one_message(tmp_path: Path) -> None:
    orders = inspect.Orders(str(tmp_path), "", PLAIN, None, "pizzaiolo 0.0.1, Pillow 1")
    with pytest.raises(WorkError, match=r"has pizzaiolo .* expected pizzaiolo 0.0.1, Pillow 1"):
        inspect.look(orders, [])


def test_without_ray_the_flag_says_what_to_install(
    command: Callable[..., Any], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = command("prepare", source, "--out", source.parent / "no", "--ray", "local")
    assert done.code == 2 and "needs the package 'ray'" in done.err
    assert "pip install 'pizzaiolo[cluster]'" in done.err


def test_flags_that_make_no_sense_together(command: Callable[..., Any], source: Path) -> None:
    for flags, words in (
        (("--ray", "local", "--workers", "2"), "leave it out: with --ray all processors"),
        (("--ray", "here"), "no address of a Ray cluster"),
    ):
        done = command("prepare", source, "--out", source.parent / "no", *flags)
        assert done.code == 2 and words in done.err and not done.out
    done = command("prepare", source, "--check", "--ray", "local")
    assert done.code == 2 and "leave out --ray" in done.err


def started(out: Path, source: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pizzaiolo", "prepare", str(source), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--no-features", "--ray", "local", "--json"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "PIZZAIOLO_CACHE": str(out.parent / "cache")},
    )  # fmt: skip


def workers_of(session: int) -> list[int]:
    """The processes of a session that look at files."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if int(rest.split()[3]) == session and name.startswith("ray::look"):
            found.append(int(stat.parent.name))
    return found


@pytest.fixture(scope="module")
def many(make_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("many") / "source", count=900)


def wait_for_copies(out: Path, process: "subprocess.Popen[str]") -> None:
    for _ in range(600):
        if len(list(out.rglob("*.jpg"))) > 100:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("nothing was looked at")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
def test_a_worker_killed_from_outside(many: Path, tmp_path: Path) -> None:
    with started(tmp_path / "D", many) as process:
        wait_for_copies(tmp_path / "D", process)
        killed = 0
        for _ in range(200):
            for worker in workers_of(process.pid)[:1]:
                os.kill(worker, signal.SIGKILL)
                killed += 1
            if killed >= 2:
                break
            time.sleep(0.05)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and killed >= 2, err
    assert "a worker was lost" in err
    assert json.loads(out)["kept"] == 1800
    prepare(many, tmp_path / "here", PLAIN)
    assert rows(tmp_path / "here") == rows(tmp_path / "D")


@pytest.mark.slow
def test_an_interrupt_ends_all_and_can_be_repeated(many: Path, tmp_path: Path) -> None:
    with started(tmp_path / "D", many) as process:
        wait_for_copies(tmp_path / "D", process)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and not out and "Traceback" not in err, err
    assert "interrupted" in err and not workers_of(process.pid)
    with started(tmp_path / "D", many) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and json.loads(out)["kept"] == 1800, err


MACHINES = """
import json, sys, threading, time
from pathlib import Path
from ray.cluster_utils import Cluster
from pizzaiolo.cluster import inspect
from pizzaiolo.cluster.prepare import prepare
from pizzaiolo.config import PrepareConfig

source, out = map(Path, sys.argv[1:])
inspect.COUNTED_EVERY = 0.5
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
first = cluster.add_node(num_cpus=1)

def copies(): return len(list(out.rglob("*.jpg")))

def change():
    while copies() < 100: time.sleep(0.05)
    cluster.add_node(num_cpus=1)  # joins late
    seen = copies()
    while copies() < seen + 200: time.sleep(0.05)
    cluster.remove_node(first, allow_graceful=False)  # with all that it has in hand

changes = threading.Thread(target=change)
changes.start()
found = prepare(source, out, PrepareConfig(features=False), ray=cluster.address)
changes.join()
cluster.shutdown()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_machine_joins_late_and_another_is_lost(many: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(MACHINES)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(many), str(tmp_path / "D")],
        capture_output=True, text=True, timeout=280,
        env={**os.environ, "PIZZAIOLO_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0 and "a worker was lost" in done.stderr, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["kept"] == 1800
    prepare(many, tmp_path / "here", PLAIN)
    assert rows(tmp_path / "here") == rows(tmp_path / "D")
