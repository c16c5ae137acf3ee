"""Settings: one dataclass is the flags, the TOML section and the JSON; every fault is named."""

import json
import tomllib
import typing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.config import (
    SECTIONS,
    Config,
    ExportConfig,
    PrepareConfig,
    ServeConfig,
    TrainConfig,
    duration,
    from_dict,
    load_config,
    to_dict,
    to_toml,
)
from pizzaiolo.errors import InputError, UsageError

EVERY = pytest.mark.parametrize("section", SECTIONS)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def values(field: Any, hint: Any) -> st.SearchStrategy[Any]:
    """Values that the field allows."""
    limits = field.metadata
    low, high = limits["low"], limits["high"]
    kinds = [kind for kind in typing.get_args(hint) or (hint,) if kind is not type(None)]
    if limits["choices"]:
        return st.sampled_from(limits["choices"])
    if field.name == "ratios":
        return st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.25, 0.25)])
    if field.name == "time_budget" or (field.name == "timeout" and str in kinds):
        return st.sampled_from([None, "90s", "1h30m"])
    if hint == tuple[str, ...]:
        return st.lists(TEXT, max_size=3).map(tuple)
    if kinds[0] is bool:
        return st.booleans()
    if kinds[0] is int:
        return st.integers(0 if low is None else int(low), int(high) if high else 10**12)
    if kinds[0] is float:
        return st.floats(low, high, allow_nan=False, allow_infinity=False)
    return TEXT


def configs(kind: type[Config]) -> st.SearchStrategy[Config]:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{f.name: values(f, hints[f.name]) for f in fields(kind)})


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return tmp_path / "recipe.toml"


@pytest.mark.parametrize("section", SECTIONS)
@given(data=st.data())
def test_any_settings_survive_toml_and_json(section: str, data: st.DataObject) -> None:
    config = data.draw(configs(SECTIONS[section]))
    read = tomllib.loads(to_toml(section, config))[section]
    assert from_dict(SECTIONS[section], read) == config
    assert from_dict(SECTIONS[section], json.loads(json.dumps(to_dict(config)))) == config


@EVERY
def test_defaults_are_allowed_and_explained(section: str) -> None:
    config = SECTIONS[section]()
    assert replace(config) == config
    for field in fields(config):
        assert field.metadata["help"], field.name


@EVERY
def test_flags_override_the_recipe_and_the_recipe_the_defaults(section: str, recipe: Path) -> None:
    kind = SECTIONS[section]
    name, low, high = {
        "prepare": ("size", 100, 200), "train": ("epochs", 3, 4), "export": ("pictures", 9, 10),
        "evaluate": ("bootstrap", 200, 300), "improve": ("folds", 3, 4), "serve": ("port", 1, 2),
    }[section]  # fmt: skip
    recipe.write_text(f"[{section}]\n{name} = {low}\n")
    assert getattr(load_config(kind, recipe, {name: None}), name) == low
    assert getattr(load_config(kind, recipe, {name: high}), name) == high
    assert load_config(kind, None, {}) == kind()


@EVERY
def test_an_unknown_key_names_the_nearest(section: str) -> None:
    key = fields(SECTIONS[section])[0].name
    with pytest.raises(UsageError, match=f"unknown key '{key}x'") as caught:
        from_dict(SECTIONS[section], {f"{key}x": 1})
    assert f"{key!r}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("[trian]\n", r"unknown section \[trian\]", "'train'"),
        ("seed = 3\n", r"unknown section \[seed\]", "serve"),
        ("[train]\noptimiser = 'sgd'\n", "unknown key 'optimiser'", "'optimizer'"),
        ("[train]\nschedule = 'cosin'\n", "schedule is 'cosin'", "'cosine'"),
        ("[train]\ntime_budget = '5 parsecs'\n", "the time '5 parsecs' is not known", "2h30m"),
        ("[train\n", "is not TOML", None),
        ("[train]\nepochs = 'three'\n", "epochs must be int, received 'three'", None),
        ("[train]\nepochs = true\n", "epochs must be int, received True", None),
        ("[train]\nepochs = 1.5\n", "epochs must be int", None),
        ("[train]\npretrained = 1\n", "pretrained must be bool", None),
        ("[train]\nlr = nan\n", "lr is nan, expected a finite number", None),
        ("[train]\nlr = inf\n", "lr is inf, expected a finite number", None),
        (f"[train]\nlr = 1{'0' * 400}\n", "expected a finite number", None),
        ("[train]\nlr = -0.1\n", r"lr is -0\.1, expected 0\.0 to \.\.\.", None),
        ("[train]\nseed = 4294967296\n", "seed is 4294967296, expected 0 to 4294967295", None),
    ],
)
def test_a_bad_recipe_is_one_clear_error(
    recipe: Path, text: str, words: str, hint: str | None
) -> None:
    recipe.write_text(text)
    with pytest.raises((UsageError, InputError), match=words) as caught:
        load_config(TrainConfig, recipe, {})
    assert caught.value.exit_code == 2
    assert hint is None or hint in (caught.value.hint or "")


@given(hours=st.integers(0, 99), minutes=st.integers(0, 59), seconds=st.floats(0.5, 59.5))
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: float) -> None:
    total = 3600 * hours + 60 * minutes + seconds
    assert duration(f"{hours}h{minutes}m{seconds:.4f}s") == pytest.approx(total, abs=1e-3)
    assert duration(f" {seconds:.4f}S ") == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize(
    "text", ["", "5", "m", "0s", "-5m", "1m2h", "1.2.3s", "5 m", "infs", "9" * 400 + "h"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="the time") as caught:
        duration(text)
    assert "90s" in (caught.value.hint or "")


def test_a_recipe_that_is_no_file_is_bad_input(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "can't read the recipe"), (tmp_path / "gone", "no recipe at")):
        with pytest.raises(InputError, match=words) as caught:
            load_config(TrainConfig, path, {})
        assert caught.value.exit_code == 2


def test_a_recipe_of_another_encoding_is_bad_input(recipe: Path) -> None:
    recipe.write_bytes("[train]\nmodel = 'jalapeño'\n".encode("latin-1"))
    with pytest.raises(InputError, match="is not TOML"):
        load_config(TrainConfig, recipe, {})


def test_a_recipe_with_a_byte_order_mark_is_read(recipe: Path) -> None:
    recipe.write_text("[train]\nepochs = 3\n", encoding="utf-8-sig")
    assert load_config(TrainConfig, recipe, {}).epochs == 3


@pytest.mark.parametrize(
    ("kind", "given_values"),
    [
        (PrepareConfig, {"ratios": (0.5, 0.5)}),
        (PrepareConfig, {"ratios": (0.5, 0.5, 0.5)}),
        (PrepareConfig, {"ratios": (1.0, 0.0, 0.0)}),
        (PrepareConfig, {"ratios": (float("nan"), 0.5, 0.5)}),
        (PrepareConfig, {"ratios": "0.7"}),
        (PrepareConfig, {"size": 31}),
        (PrepareConfig, {"format": "gif"}),
        (ServeConfig, {"port": 65_536}),
        (ServeConfig, {"timeout": -1}),
        (ServeConfig, {"upload_timeout": 0}),
        (ServeConfig, {"concurrency": 0}),
        (ExportConfig, {"opset": 16}),
        (ExportConfig, {"pictures": None}),
    ],
)
def test_bounds_and_types_hold(kind: type[Config], given_values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        kind(**given_values)


def test_lists_become_tuples_and_whole_numbers_floats() -> None:
    config = PrepareConfig(ratios=[0.5, 0.25, 0.25], blank_range=3)  # type: ignore[arg-type]
    assert config.ratios == (0.5, 0.25, 0.25) and isinstance(config.blank_range, float)
