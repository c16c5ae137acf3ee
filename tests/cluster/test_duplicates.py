"""The search for near hashes on a cluster: the very pairs of one machine."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ray = pytest.importorskip("ray")
from pizzaiolo.cluster import duplicates  # noqa: E402
from pizzaiolo.cluster.duplicates import near_pairs_on  # noqa: E402
from pizzaiolo.cluster.session import Cluster  # noqa: E402
from pizzaiolo.prepare.hamming import Hashes, near_pairs  # noqa: E402

TWO = Cluster("local", nodes=1, cpus=2, gpus=0)


@pytest.fixture(scope="module", autouse=True)
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Ray with two workers, of which one that searches dies where a file asks for it."""
    deadly = tmp_path_factory.mktemp("deadly") / "now"

    def faults() -> None:
        from pizzaiolo.cluster import duplicates

        search = duplicates.search_blocks

        def faulty(*given: Any) -> Any:
            if deadly.exists():
                deadly.rename(deadly.with_name("done"))
                os.kill(os.getpid(), signal.SIGKILL)
            return search(*given)

        duplicates.search_blocks = faulty

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error",
        runtime_env={"worker_process_setup_hook": faults},
    )  # fmt: skip
    yield deadly
    ray.shutdown()


def records(count: int, crowd: int = 0, same: int = 0) -> Hashes:
    """Random hashes, of which one in fifty is a copy of another, and crowds of near ones."""
    chance = np.random.default_rng(count)
    values = chance.integers(0, 2**64, count, np.uint64)
    copies = count // 50
    values[count - copies :] = values[:copies] ^ np.uint64(0b1011 << 30)
    noise = chance.integers(0, 64, (crowd, 4)).astype(np.uint64)
    near = np.bitwise_or.reduce(np.uint64(1) << noise, axis=1)
    return chance.permutation(np.concatenate([values, near, np.full(same, 7, np.uint64)]))


@pytest.mark.parametrize("distance", [2, 10])
@pytest.mark.parametrize("given", [(20_000, 0, 0), (3_000, 2_000, 500), (1, 0, 0)])
def test_the_pairs_are_those_of_one_machine(
    given: tuple[int, int, int], distance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "IN_BLOCK", 4_000)
    hashes = records(*given)
    expected = near_pairs(hashes, distance)
    assert np.array_equal(near_pairs_on(TWO, worth=0)(hashes, distance), expected)


def test_a_killed_worker_changes_nothing(two_workers: Path) -> None:
    hashes = records(10_000, 500)
    expected = near_pairs(hashes, 10)
    two_workers.touch()
    assert np.array_equal(near_pairs_on(TWO, worth=0)(hashes, 10), expected)
    assert two_workers.with_name("done").exists(), "no worker was killed"


def test_few_hashes_are_compared_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Hashes:
        raise AssertionError("asked the cluster")

    monkeypatch.setattr(duplicates, "_close", never)
    assert (
        near_pairs_on(TWO)(records(5_000), 10).tolist() == near_pairs(records(5_000), 10).tolist()
    )
