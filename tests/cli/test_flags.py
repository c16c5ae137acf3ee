"""Flags equal the settings' fields, in name, type and help."""

import inspect

import pytest

from pizzaiolo import cli
from pizzaiolo.config import SECTIONS
from pizzaiolo.errors import UsageError
from pizzaiolo.flags import with_flags
from pizzaiolo.settings import Config


@pytest.mark.parametrize("section", SECTIONS)
def test_a_command_has_one_flag_for_each_field(section: str) -> None:
    given = inspect.signature(getattr(cli, section)).parameters
    assert set(SECTIONS[section].__dataclass_fields__) < set(given)
    assert "config" not in given and "recipe_file" in given


@pytest.mark.parametrize("section", SECTIONS)
def test_flags_not_given_are_the_defaults(section: str) -> None:
    assert run(SECTIONS[section]) == SECTIONS[section]()


def run(kind: type[Config], **given: object) -> Config:
    """What the command receives as `config`."""

    @with_flags(kind)
    def command(config: Config) -> Config:
        return config

    empty = dict.fromkeys([*kind.__dataclass_fields__, "recipe_file"])
    received: Config = command(**{**empty, **given})
    return received


def test_given_flags_arrive_with_their_types() -> None:
    config = run(SECTIONS["prepare"], ratios="0.5,0.25,0.25", drop_near=True, size=64)
    assert config == SECTIONS["prepare"](ratios=(0.5, 0.25, 0.25), drop_near=True, size=64)


@pytest.mark.parametrize("text", ["", "a,b,c", "0.7,,0.3", "0.7;0.15;0.15"])
def test_a_list_that_is_none_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="numbers separated by commas"):
        run(SECTIONS["prepare"], ratios=text)
