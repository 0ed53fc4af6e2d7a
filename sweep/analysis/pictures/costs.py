"""What a setting's network costs: its parameters, counted without building it. Needs plan, data's `describe`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sweep.data import describe
from sweep.errors import SweepError
from sweep.hyperparameters import canonical, program_of
from sweep.networks import Network
from sweep.plan import parameter_count
from sweep.recipe import TRAINER_DATA


def parameter_counter(data: str, network: Network | None = None) -> Callable[[dict[str, Any]], int] | None:
    """What counts the parameters of a setting's network, each network once; None where the shape of the study's data is
    not known here (a file that has gone, an imported table), or a user's own code has it."""
    if data == TRAINER_DATA:
        return None
    try:
        info = describe(data)
        if network:
            network.fingerprint()  # its file is there
    except SweepError:
        return None

    @functools.cache
    def counted(program: tuple[tuple[str, Any], ...]) -> int:
        return parameter_count(canonical(dict(program)), info)

    return lambda setting: counted(tuple(program_of(setting).items()))
