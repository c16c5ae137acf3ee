"""What to do next: from all figures of a search, what brings most first, each with its command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...core.labels import human
from ...evaluate.report.marks import quoted, replay_command, with_source
from ...evaluate.slices import holm
from ...train.defaults import filled
from ..ablation import SWITCHED_ON
from ..report.facts import Facts
from ..report.recipe import as_command
from ..scale import WIDE, Scale, many, milliseconds
from .fit import FITS, OVER, UNDER
from .noise import Noise

LEVEL = 0.05
WORTH, SURELY = 0.003, 0.0005  # accuracy that twice the photos must bring to be worth the work
EFFORT = 0.5  # a label to look at counts less than one that is known to be wrong
CHEAPER, CHOOSING = 0.002, 0.9  # a faster model is worth so much; part of what the photos bring
MOST_SLICES = 2
SHARES = Scale("accuracy", True)
LOSING = {OVER: "It overfits", UNDER: "It underfits"}


@dataclass(frozen=True)
class Step:
    """One thing to do; `worth` is the accuracy that it may bring, about, 0 to 1."""

    worth: float
    what: str
    why: str
    command: str

    def to_json(self) -> dict[str, str]:
        """What people read."""
        told = {"what": self.what, "why": self.why, "command": self.command}
        return {key: text.replace(WIDE, " ") for key, text in told.items()}


def advise(facts: Facts, prepare: str = "") -> list[dict[str, str]]:
    """What the figures call for as {"what", "why", "command"}, the most valuable first.

    `prepare` is the command that made the data set. Words in capitals in a command are for the
    reader to fill in. Where nothing helps beyond noise it says so, and what the limit is.
    """
    prepare = prepare or replay_command(facts.dataset)
    steps = [step for rule in RULES for step in rule(facts, prepare)]
    steps.sort(key=lambda step: -step.worth)
    helping = any(step.worth >= WORTH for step in steps)
    return [step.to_json() for step in ([] if helping else [_limit(facts)]) + steps]


def _labels(facts: Facts, prepare: str) -> Iterator[Step]:
    noise = facts.diagnosis.noise if facts.diagnosis else None
    pictures = len(facts.study.folds)
    if noise is None or noise.share.value is None:
        return
    listed = len(noise.suspects)
    command = f"{prepare} --review"
    if noise.found:
        told = f"{_percent(noise.share.value)} ({SHARES.ends(noise.share.low, noise.share.high)} %)"
        yield Step(
            noise.share.value,
            f"Check the labels: about {round(noise.share.value * pictures):,} of {pictures:,} are "
            "wrong",
            f"About {told} of the labels contradict what even careful models see. They spoil "
            f"training and every figure here{_mostly(noise)}; {listed:,} are listed.",
            command,
        )
    elif listed:
        yield Step(
            EFFORT * listed / pictures,
            f"Look at {many(listed, 'label')} that may be wrong",
            "Models that did not learn from these pictures contradict their labels; the rest "
            "looks sound.",
            command,
        )


def _mostly(noise: Noise) -> str:
    worst = max(noise.by_class, key=lambda name: noise.by_class[name], default=None)
    if worst is None or noise.by_class[worst] < 1.5 * (noise.share.value or 0.0):
        return ""
    return f", most of those called {human(worst)}"


def _photos(facts: Facts, prepare: str) -> Iterator[Step]:
    found = facts.diagnosis.forecast if facts.diagnosis else None
    pictures = len(facts.study.folds)
    if found is None:
        return
    gain = found.gain(2)
    worth = (gain.value or 0.0) >= WORTH and (gain.low or 0.0) >= SURELY
    if not worth and not _within_reach(facts):
        return
    ends = f"{SHARES.gain(gain.low or 0.0)} to {SHARES.gain(gain.high or 0.0)}"
    why = f"By the learning curve so many bring about {SHARES.gain(gain.value or 0.0)} points "
    why += f"({ends})"
    yield Step(
        gain.value or 0.0,
        f"Add more photos of all classes: about {_round(pictures)} more double them",
        f"{why}.{_wish(facts)}",
        with_source(prepare, "MORE_PICTURES"),
    )
    yield Step(
        CHOOSING * (gain.value or 0.0),
        "Label those photos first that teach most",
        "Of a folder of unlabelled photos it ranks those that the model is unsure of, that are "
        "new to it and unlike each other.",
        f"pizzaiolo improve {quoted(facts.dataset)} --out {quoted(facts.out)} --suggest FOLDER",
    )


def _within_reach(facts: Facts) -> bool:
    """Whether more photos would reach the wished accuracy, by what can be told."""
    found = facts.diagnosis.forecast if facts.diagnosis else None
    if found is None or facts.wish is None or (found.at(found.most).value or 0.0) >= facts.wish:
        return False
    needed = found.needed(facts.wish)
    return needed is not None and not needed.far


def _wish(facts: Facts) -> str:
    """What the wished accuracy takes, where it is not yet reached."""
    found, wish = facts.diagnosis.forecast if facts.diagnosis else None, facts.wish
    if found is None or wish is None or (found.at(found.most).value or 0.0) >= wish:
        return ""
    needed = found.needed(wish)
    if needed is None:
        return f" More photos like these alone won't reach {_percent(wish)}, as far as one can see."
    if needed.far:
        return f" {_percent(wish)} would take more than 10 times as many."
    pictures = len(facts.study.folds)
    more, least, most = (
        None if n is None else max(0.0, n / found.most - 1) * pictures
        for n in (needed.pictures, needed.low, needed.high)
    )
    top = f"{_round(least or 0)} to {_round(most)}" if most is not None else "or far more"
    return f" {_percent(wish)} takes about {_round(more or 0)} more ({top})."


def _classes(facts: Facts, prepare: str) -> Iterator[Step]:
    found = facts.diagnosis.balance if facts.diagnosis else None
    if found is None or not found.worse:
        return
    why = (
        f"{_percent(found.recall)} of {found.counts[found.rarest]:,} are answered rightly, "
        f"{_percent(found.others)} of all others, more than chance; the commonest class has "
        f"{found.ratio:.1f} times as many."
    )
    worth = (found.others - found.recall) * found.counts[found.rarest] / len(facts.study.folds)
    command = with_source(prepare, "MORE_PICTURES")
    yield Step(worth, f"Add photos of {human(found.rarest)}, the rarest class", why, command)


def _slices(facts: Facts, prepare: str) -> Iterator[Step]:
    told = facts.diagnosis
    for part in told.weak.worse[:MOST_SLICES] if told else ():
        if told and part.by == "class" and told.balance.worse:
            continue  # said already
        yield Step(
            (part.rest - part.accuracy) * part.n / len(facts.study.folds),
            f"Add photos like these: {part.by} {part.name}",
            f"{_percent(part.accuracy)} of {part.n:,} are answered rightly "
            f"({SHARES.ends(part.low, part.high)} %), {_percent(part.rest)} of all others: more "
            "than chance.",
            with_source(prepare, "MORE_PICTURES"),
        )


def _fit(facts: Facts, prepare: str) -> Iterator[Step]:
    """The remedy that helped, or the one that there was no time to try."""
    scale, told = Scale.of(facts.study.aim), facts.diagnosis
    if told is None or told.gap.verdict not in LOSING:
        return
    gap = told.gap
    learnt = f"{SHARES.value(gap.train_accuracy)} on what it has learnt from"
    when = " in the end" if gap.by_heart else ""
    said = f"{LOSING[gap.verdict]}: {learnt}, {_percent(gap.held_out_accuracy)} on other pictures"
    said = f"{said}{when}."
    helped = [t for t in told.tried if t.helped and t.gain is not None]
    if helped:
        best = max(helped, key=lambda tried: tried.gain.value if tried.gain else 0.0)
        assert best.gain is not None
        brings = f"{scale.gain(best.gain.value)} {scale.units} ({scale.between(best.gain)})"
        why = f"{said} Tried here, it brings {brings}."
        command = as_command(best.remedy.config, facts.dataset)
        yield Step(best.gain.value, _capital(best.remedy.what), why, command)
        return
    for tried in [t for t in told.tried if t.gain is None][:1]:
        worth = max(WORTH, (gap.gap or 0.0) / 4 if gap.verdict == OVER else WORTH)
        why = f"{said} It was not tried here: {tried.reason}."
        command = as_command(tried.remedy.config, facts.dataset)
        yield Step(worth, f"Try this: {tried.remedy.what}", why, command)


def _settings(facts: Facts, prepare: str) -> Iterator[Step]:
    """Settings of the winner that harm it, or ones that it lacks, beyond chance for all of them."""
    told = [(effect, effect.gain) for effect in facts.ablation if effect.gain is not None]
    chances = holm([gain.p_value for _, gain in told]) if told else []
    scale = Scale.of(facts.study.aim)
    for (effect, gain), chance in zip(told, chances, strict=True):
        missing = effect.kind == SWITCHED_ON
        if chance < LEVEL and (gain.value > 0) == missing:
            chosen = effect.value if missing else effect.other
            better = gain if missing else gain.turned
            yield Step(
                better.value,
                f"Take {chosen} for {effect.name}",
                f"Compared on the same pictures it is better by {scale.gain(better.value)} "
                f"{scale.units} ({scale.between(better)}).",
                as_command(effect.config, facts.dataset),
            )


def _cheaper(facts: Facts, prepare: str) -> Iterator[Step]:
    best, other = facts.board.best, facts.board.cheaper
    if best is None or other is None:
        return
    times = milliseconds(other.trial.latency_ms), milliseconds(best.trial.latency_ms)
    yield Step(
        CHEAPER,
        f"Where speed matters take the faster setting: {other.setting}",
        f"{times[0]} a picture instead of {times[1]}, and within noise as good as the best.",
        as_command(filled(other.trial.config), facts.dataset),
    )


RULES: tuple[Callable[[Facts, str], Iterator[Step]], ...] = (
    _labels, _photos, _classes, _slices, _fit, _settings, _cheaper,
)  # fmt: skip


def _limit(facts: Facts) -> Step:
    """Nothing above the noise: what was looked at, and what is left."""
    known, best, default = list(_sound(facts)), facts.board.best, facts.board.default
    usual = default is not None and default.fits and default.as_good
    if usual and best is not default:
        known.insert(0, "It is as good as the best found, within noise.")
    why = f"{' '.join(known)} " if known else ""
    why += "What is left are single hard pictures." if facts.diagnosis else ""
    run = f"{facts.out}/{'default' if usual and best is not default else 'best'}"
    what = "Keep the default recipe" if usual else "Take the best as it is"
    command = f"pizzaiolo export {quoted(run)} --out model.onnx"
    return Step(WORTH, f"{what}: nothing here helps beyond noise", why, command)


def _sound(facts: Facts) -> Iterator[str]:
    """What is in order, each a sentence."""
    told = facts.diagnosis
    if told is None:
        return
    if told.forecast is not None:
        gain = told.forecast.gain(2).value or 0.0
        yield f"Twice as many photos would bring about {SHARES.gain(gain)} points.{_wish(facts)}"
    if told.noise is not None and told.noise.share.high is not None:
        yield f"At most {_percent(told.noise.share.high)} of the labels are wrong."
    if told.gap.verdict == FITS:
        yield "It neither overfits nor underfits."
    elif told.gap.verdict in LOSING:
        yield f"{LOSING[told.gap.verdict]}, and what was tried against that does not help."


def _percent(share: float) -> str:
    return SHARES.value(share)


def _round(count: float) -> str:
    """A count to two digits: 1,200."""
    digits = max(0, len(str(int(count))) - 2)
    return f"{int(round(count / 10**digits) * 10**digits):,}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
