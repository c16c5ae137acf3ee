"""The journal of a search: claims, results, and processes that die."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pizzaiolo.config import TrainConfig
from pizzaiolo.improve.journal import MOST_DEATHS, Claim, Journal
from pizzaiolo.improve.outcome import Outcome
from pizzaiolo.improve.space import Space
from pizzaiolo.improve.trial import DONE, FAILED, STOPPED, Trial
from pizzaiolo.train.defaults import filled

DEFAULT = filled(TrainConfig())
TWELVE = """
[space]
recipe = "head"
loss = ["cross_entropy", "focal", "bce"]
label_smoothing = { low = 0.0, high = 0.15, step = 0.05 }
"""
ENDLESS = """
[space]
recipe = ["head", "finetune"]
loss = ["cross_entropy", "focal", "bce"]
label_smoothing = { low = 0.0, high = 0.5 }
lr = { low = 1e-5, high = 1e-2, log = true }
"""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Journal]]:
    """Opens the journal of a folder, as another process would."""
    journals: list[Journal] = []

    def open_it(text: str = ENDLESS, name: str = "study") -> Journal:
        (tmp_path / name).mkdir(exist_ok=True)
        journals.append(Journal(tmp_path / name, space(tmp_path, text), maximise=True))
        return journals[-1]

    yield open_it
    for journal in journals:
        journal.close()


def space(folder: Path, text: str) -> Space:
    (folder / "space.toml").write_text(text)
    return Space.read(folder / "space.toml")


def done(claim: Claim, value: float = 0.5, state: str = DONE) -> Trial:
    answers = np.full((3, 2), 0.5)
    answers[claim.number % 3] = 0.25, 0.75
    outcome = Outcome(answers, 0.9, 0.1, 2.0, {"note": 1})
    return Trial(claim.number, claim.config, {}, state, value, outcome, 2.0, 5.0, 17.0)


def begun(journal: Journal) -> Journal:
    claim = journal.claim_default(DEFAULT)
    assert claim is not None and claim.number == 0
    journal.finish(done(claim, 0.9))
    return journal


def test_every_setting_is_tried_once_and_then_none_is_left(opened: Callable[..., Journal]) -> None:
    journal = begun(opened(TWELVE))
    while claim := journal.claim():
        journal.finish(done(claim, claim.config.label_smoothing))
    trials = journal.trials()
    assert len(trials) == journal.space.size() == len({t.config for t in trials}) == 12
    assert [t.number for t in trials] == list(range(12))
    assert trials[0].config == DEFAULT


def test_two_processes_by_turns_never_try_the_same(opened: Callable[..., Journal]) -> None:
    first, second = begun(opened(TWELVE)), opened(TWELVE)
    claims = [journal.claim() for _ in range(5) for journal in (first, second)]
    assert len({claim.config for claim in claims if claim}) == 10
    assert second.claim() is not None and first.claim() is None


def test_all_processes_together_try_no_more_than_asked(opened: Callable[..., Journal]) -> None:
    first, second = begun(opened()), opened()
    for journal in (first, second, first):
        assert journal.claim(most=3)
    assert second.claim(most=3) is None


def test_a_result_is_read_as_it_was_written(opened: Callable[..., Journal]) -> None:
    journal = begun(opened())
    for state in (DONE, STOPPED, FAILED):
        claim = journal.claim()
        assert claim is not None
        if state == FAILED:
            journal.finish(Trial(claim.number, claim.config, {}, FAILED, reason="no memory"))
        else:
            journal.finish(done(claim, 0.7, state))
    _, best, stopped, failed = opened().trials()
    assert best.outcome is not None and best.outcome.facts == {"note": 1}
    assert (best.value, best.latency_ms, best.megabytes, best.seconds) == (0.7, 5.0, 17.0, 2.0)
    assert best.params["loss"] == best.config.loss
    assert np.allclose(best.outcome.probabilities[1], (0.25, 0.75))
    assert (stopped.state, failed.state, failed.reason) == (STOPPED, FAILED, "no memory")
    assert failed.outcome is None and failed.value is None
    found = journal.best(0, lambda first, second: second > first)
    assert found is not None and found.number == best.number, "a stopped one is not the best"


def test_the_sampler_learns_from_what_is_done(opened: Callable[..., Journal]) -> None:
    """Of 3 losses one is good, and of the smoothings the small: most later trials are near it."""
    journal, tried = begun(opened()), []
    part = journal.space.only(lambda config: config.recipe == "head")
    for _ in range(40):
        claim = journal.claim(part)
        assert claim is not None and claim.config.recipe == "head"
        tried.append(claim.config)
        value = (claim.config.loss == "bce") - claim.config.label_smoothing
        journal.finish(done(claim, value))
    early, late = tried[:10], tried[-20:]
    assert np.mean([c.label_smoothing for c in late]) < np.mean([c.label_smoothing for c in early])
    assert np.mean([c.loss == "bce" for c in late]) > 0.6


def test_a_resumed_search_goes_on_as_one_that_was_not_cut_off(
    opened: Callable[..., Journal],
) -> None:
    found = []
    for name, cut in (("whole", 99), ("cut", 12)):
        journal = begun(opened(name=name))
        for i in range(15):
            journal = opened(name=name) if i == cut else journal
            claim = journal.claim()
            assert claim is not None
            journal.finish(done(claim, claim.config.label_smoothing))
        found.append([trial.config for trial in journal.trials()])
    assert found[0] == found[1]


def in_a_process_that_is_killed(work: Callable[[], object]) -> None:
    child = os.fork()
    if child == 0:
        work()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.skipif(os.name == "nt", reason="forks")
def test_a_claim_of_a_killed_process_is_taken_over_under_its_number(
    opened: Callable[..., Journal], tmp_path: Path
) -> None:
    in_a_process_that_is_killed(lambda: opened().claim_default(DEFAULT))
    journal = opened()
    claim = journal.claim_default(DEFAULT)
    assert claim == Claim(0, DEFAULT)
    journal.finish(done(claim))
    assert journal.claim_default(DEFAULT) is None
    in_a_process_that_is_killed(lambda: opened().claim())
    again, other = journal.claim(), journal.claim()
    assert again is not None and again.number == 1
    assert other is not None and other.number == 2 and other.config != again.config
    assert journal.trials()[-1].number == 0, "none is finished yet, and none is lost"


@pytest.mark.skipif(os.name == "nt", reason="forks")
def test_a_setting_in_which_processes_die_fails_at_last(opened: Callable[..., Journal]) -> None:
    begun(opened())
    for _ in range(MOST_DEATHS):
        in_a_process_that_is_killed(lambda: opened().claim())
    claim = opened().claim()
    assert claim is not None and claim.number == 2
    dead = opened().trials()[-1]
    assert dead.number == 1 and dead.state == FAILED and "the process" in str(dead.reason)


def test_a_released_claim_is_no_death(opened: Callable[..., Journal]) -> None:
    journal = begun(opened())
    for _ in range(3 * MOST_DEATHS):
        claim = journal.claim()
        assert claim is not None and claim.number == 1
        journal.release(claim)


@pytest.mark.skipif(os.name == "nt", reason="forks")
def test_a_result_that_optuna_was_not_told_is_not_lost(opened: Callable[..., Journal]) -> None:
    """Killed after the result was written down, before the trial was closed."""
    begun(opened())

    def killed() -> None:
        journal = opened()
        claim = journal.claim()
        assert claim is not None
        journal._settle = lambda number: None  # type: ignore[method-assign]
        journal.finish(done(claim, 0.8))

    in_a_process_that_is_killed(killed)
    journal = opened()
    claim = journal.claim()
    assert claim is not None and claim.number == 2
    assert [t.value for t in journal.trials()] == [0.9, 0.8]
    assert [t.state.name for t in journal.storage.get_all_trials(journal.id)] == [
        "COMPLETE", "COMPLETE", "RUNNING",
    ]  # fmt: skip


def test_half_a_line_at_the_end_of_the_journal_is_cut_off(
    opened: Callable[..., Journal], tmp_path: Path
) -> None:
    begun(opened())
    file = tmp_path / "study" / "study.journal"
    with file.open("a") as out:
        out.write('{"op_code":4,"worker_id":"x')
    journal = opened()
    assert len(journal.trials()) == 1 and journal.claim() is not None
    assert all(json.loads(line) for line in file.read_text().splitlines())


def test_poor_trials_on_the_way_are_told_to_stop(opened: Callable[..., Journal]) -> None:
    journal = begun(opened())
    stops = []
    for value in (0.9, 0.8, 0.95, 0.5, 0.4):
        claim = journal.claim()
        assert claim is not None
        stops.append(journal.report(claim, 1, value))
        journal.finish(done(claim, value))
    assert stops == [False, True, False, True, True]


def test_what_others_try_is_known(opened: Callable[..., Journal]) -> None:
    first, second = begun(opened()), opened()
    claim = first.claim()
    assert claim is not None
    assert second.others_try() and not first.others_try()
    first.finish(done(claim))
    assert not second.others_try()
