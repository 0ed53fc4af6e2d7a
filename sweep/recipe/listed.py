"""Settings that are listed one by one, in place of a space. Needs hyperparameters, space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sweep.errors import UsageError, unknown
from sweep.hyperparameters import IN_SETTING, Hyperparameter, Setting, Value, canonical, in_order, show_given
from sweep.space import Axis, setting_key

NO_ROWS: Mapping[str, Hyperparameter] = {}


def check_listed(
    key: str, value: object, where: str, of_network: Mapping[str, Hyperparameter] = NO_ROWS
) -> list[dict[str, Value]]:
    """The settings as a recipe lists them, each value checked. of_network: what a user's network has of its own."""
    if not isinstance(value, list | tuple) or not value or not all(isinstance(item, Mapping) for item in value):
        raise UsageError(
            f"{where}{key} = {show_given(value)}: expected a list of tables, such as [{{ lr = 0.1, beta1 = 0.9 }}]"
        )
    rows = {**{row.name: row for row in IN_SETTING}, **of_network}
    known = [*rows]
    for name in (name for item in value for name in item):
        if name not in known:
            raise unknown("hyperparameter", name, known, f"{where}{key}: ")
    for item in value:
        if item.get("steps") and "epochs" in item:
            raise UsageError(f"{where}{key}: steps and epochs both given in one setting; expected one of them")
    try:
        return [{name: rows[name].check(given) for name, given in item.items()} for item in value]
    except UsageError as error:
        raise UsageError(f"{where}{key}: {error}") from None


def listed_settings(listed: Sequence[Mapping[str, Value]], axes: Sequence[Axis], where: str) -> tuple[Setting, ...]:
    """The settings that are listed one by one, equal ones once, with what the space fixes for all of them."""
    for axis in axes:
        if axis.swept:
            raise UsageError(
                f"{where}settings are listed one by one, so {axis.name} cannot "
                "be swept beside them; give it one value, or one in each"
            )
        if any(axis.name in values for values in listed):
            raise UsageError(f"{where}{axis.name} is given in a setting and for all of them; give it once")
    fixed: dict[str, Value] = {axis.name: axis.values[0] for axis in axes}  # type: ignore[index]
    settings = (canonical({**fixed, **values}) for values in listed)
    return tuple({setting_key(setting): setting for setting in settings}.values())


def axes_of(settings: Sequence[Setting]) -> tuple[Axis, ...]:
    """Each hyperparameter with the values that occur."""
    names = in_order({name: value for setting in settings for name, value in setting.items()})
    values = {name: tuple(dict.fromkeys(s[name] for s in settings if name in s)) for name in names}
    return tuple(Axis(name, taken) for name, taken in values.items() if taken)
