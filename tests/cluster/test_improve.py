"""`improve --ray`: the search of one machine, tried by processes any of which may be killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from pizzaiolo import ImproveConfig, improve
from pizzaiolo.cluster.apart import Surroundings
from pizzaiolo.cluster.improve import improve as improve_on_ray
from pizzaiolo.cluster.improve import on_cluster
from pizzaiolo.cluster.session import Cluster, connected, loading_ray
from pizzaiolo.config import to_dict
from pizzaiolo.core.locks import is_alive
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import DatasetError, WorkError
from pizzaiolo.improve.search import take_part
from pizzaiolo.improve.space import Space
from pizzaiolo.improve.study import open_study
from pizzaiolo.improve.workers import Task

pytestmark = pytest.mark.usefixtures("one_thread")
NETWORK = Path(__file__).parents[1] / "mortal_network.py"
QUICK = ImproveConfig(trials=5, folds=3, diagnose=False, ablation=False)
SPACE = """
[space]
recipe = "head"
model = "tf_efficientnet_lite0"
loss = ["cross_entropy", "focal", "bce"]
label_smoothing = { low = 0.0, high = 0.2, step = 0.05 }
"""


@pytest.fixture(scope="module")
def ray_here() -> Iterator[Cluster]:
    """Ray on this machine for all tests of the file."""
    with connected("local") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("spaces") / "space.toml"
    file.write_text(SPACE)
    return file


def mortal_space(folder: Path, step: int, deaths: int) -> Path:
    """A space of networks whose process is killed in a step of training."""
    folder.mkdir()
    shutil.copy(NETWORK, folder)
    (folder / "mortal.json").write_text(json.dumps({"step": step, "deaths": deaths}))
    file = folder / "space.toml"
    file.write_text(
        f'[space]\nrecipe = "scratch"\nmodel = "{folder / NETWORK.name}:Mortal"\n'
        "size = 32\nepochs = 2\nbatch_size = 4\nlr = [0.001, 0.003, 0.01, 0.03]\n"
    )
    return file


def journal(study: Path) -> dict[int, dict[str, Any]]:
    """What the journal says of each trial at last: its number and attributes."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(study / "study.journal")))
    [one] = storage.get_all_studies()
    trials = storage.get_all_trials(one._study_id)
    return {
        trial.number: {
            **trial.user_attrs, "ended": trial.state.name, "epochs": len(trial.intermediate_values),
        }
        for trial in trials
    }  # fmt: skip


def assert_none_lost_or_doubled(study: Path, count: int) -> None:
    trials = journal(study)
    assert sorted(trials) == list(range(count + 1))
    assert len({json.dumps(trial["config"], sort_keys=True) for trial in trials.values()}) == len(
        trials
    )
    assert all("result" in trial and trial["ended"] != "RUNNING" for trial in trials.values())
    lives = study / ".processes"
    assert not list(study.glob(".ray-*"))
    assert not any(is_alive(lives, file.name) for file in lives.iterdir()), "all have left"


@pytest.mark.slow
def test_a_search_on_ray_goes_on_without_and_the_other_way_round(
    ray_here: Cluster, tiny_dataset: Dataset, space: Path, tmp_path: Path
) -> None:
    out, root = tmp_path / "study", tiny_dataset.root
    first = improve_on_ray(root, out, QUICK, space=space, ray="local")
    assert first["trials"] == 5 and not first["interrupted"] and first["failed"] == 0
    assert_none_lost_or_doubled(out, 5)
    tried_by = {trial["process"] for trial in journal(out).values()}
    assert len(tried_by) >= 2, "the processes of Ray, and this one the default"
    before = {file.name: file.stat().st_mtime_ns for file in (out / "trials").glob("*.npy")}
    plain = improve(root, out, replace(QUICK, trials=6), space=space)
    assert plain["trials"] == 6 and plain.keys() == first.keys()
    assert plain["leaderboard"][0].keys() == first["leaderboard"][0].keys()
    third = improve_on_ray(root, out, replace(QUICK, trials=6), space=space, ray="local")
    assert third["leaderboard"] == plain["leaderboard"]
    assert_none_lost_or_doubled(out, 6)
    after = {file.name: file.stat().st_mtime_ns for file in (out / "trials").glob("*.npy")}
    assert before.items() <= after.items(), "nothing finished is tried again"


def searched(cluster: Cluster, data: Dataset, folder: Path, deaths: int) -> list[dict[str, Any]]:
    """What the journal says of the default and four settings, tried while processes are killed."""
    file, config = (
        mortal_space(folder / "mortal", 3, deaths),
        replace(QUICK, trials=4, device="cpu"),
    )
    space = Space.read(file)
    study = open_study(folder / "study", data, space, config)
    heard: list[int] = []
    with closing(take_part(study, data, space, config)) as search:
        search.first()
        task = Task(str(study), str(data.root), to_dict(config), space.leading(), None)
        on_cluster(cluster, search, task, lambda n=1, figures="", total=None: heard.append(n))
    assert_none_lost_or_doubled(study, 4)
    assert sum(heard) == 4 and (folder / "mortal" / f"dead-{deaths - 1}").is_file()
    return list(journal(study).values())


def test_the_setting_of_a_killed_process_is_tried_again_under_its_number(
    ray_here: Cluster, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trials = searched(ray_here, tiny_dataset, tmp_path, deaths=1)
    assert sorted(trial.get("deaths", 0) for trial in trials) == [0, 0, 0, 0, 1]
    assert {trial["result"]["state"] for trial in trials} <= {"done", "stopped"}


@pytest.mark.slow
def test_a_setting_that_kills_every_process_fails_and_the_search_goes_on(
    ray_here: Cluster, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trials = searched(ray_here, tiny_dataset, tmp_path, deaths=4)
    assert sum(trial.get("deaths", 0) for trial in trials) == 4
    failed = [trial for trial in trials if trial["result"]["state"] == "failed"]
    assert all(trial["deaths"] == 2 and "ended" in trial["result"]["reason"] for trial in failed)


@pytest.mark.slow
def test_a_fault_that_every_process_meets_ends_the_search_with_its_words(
    ray_here: Cluster, tiny_dataset: Dataset, space: Path, tmp_path: Path
) -> None:
    asked = Space.read(space)
    study = open_study(tmp_path / "study", tiny_dataset, asked, QUICK)
    with closing(take_part(study, tiny_dataset, asked, QUICK)) as search:
        search.first()
        task = Task(str(study), str(tmp_path / "gone"), to_dict(QUICK), asked.leading(), None)
        with pytest.raises(DatasetError, match="gone"):
            on_cluster(ray_here, search, task, lambda n=1, figures="", total=None: None)
    assert len(journal(study)) == 1


@pytest.mark.slow
def test_ctrl_c_gives_back_what_is_being_tried(tiny_dataset: Dataset, tmp_path: Path) -> None:
    space, out = mortal_space(tmp_path / "immortal", step=0, deaths=0), tmp_path / "study"
    space.write_text(space.read_text().replace("epochs = 2", "epochs = 9999\npatience = 9999"))
    process = subprocess.Popen(
        (sys.executable, "-m", "pizzaiolo", "improve", str(tiny_dataset.root), "--out", str(out),
         "--space", str(space), "--trials", "4", "--ray", "local", "--device", "cpu"),
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and not (
        (out / "study.journal").is_file()
        and len([trial for trial in journal(out).values() if trial["epochs"]]) == 2
    ):
        time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    said, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "Searched" in said, err
    assert "Traceback" not in err
    left = [trial for trial in journal(out).values() if "result" not in trial]
    assert left and all(trial["process"] == "" and "deaths" not in trial for trial in left)
    assert not subprocess.run(["pgrep", "-f", str(out)], capture_output=True, text=True).stdout


def test_a_machine_that_does_not_see_the_locks_of_the_others_is_an_error(
    tiny_dataset: Dataset, space: Path, tmp_path: Path
) -> None:
    """Pain: with locks of its own each machine takes the others for dead."""
    with loading_ray():
        from pizzaiolo.cluster.setting import Order, Setting
    out = open_study(tmp_path / "study", tiny_dataset, Space.read(space), QUICK)
    task = Task(str(out), str(tiny_dataset.root), to_dict(QUICK), Space.read(space).leading(), None)
    (out / ".processes").mkdir()
    (out / ".processes" / "unlocked").touch()
    order = Order(task, "unlocked", str(out / "stop"), Surroundings(os.getcwd(), None))
    setting = Setting.__new__(Setting)
    setting.setup({"order": order})
    result = setting.step()
    assert isinstance(result["fault"], WorkError) and not result["more"]
    assert "shares no locks" in result["fault"].message
    assert [file.name for file in (out / ".processes").iterdir()] == ["unlocked"]
