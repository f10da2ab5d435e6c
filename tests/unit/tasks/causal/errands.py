"""Work for Dask workers, in a module that they import in no time."""

import os
import signal
from pathlib import Path
from time import sleep

import numpy as np

from tasks.common.cluster import available_threads


def who(values, part):
    """Say where, with how many threads, and pass an array on."""
    sleep(0.02)
    found = {"pid": os.getpid(), "threads": available_threads(), "value": values[part.start]}
    return {name: np.array([value]) for name, value in found.items()}


def dies(pid_file, part):
    """Kill the first worker that gets here."""
    try:
        with Path(pid_file).open("x") as file:
            file.write(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    except FileExistsError:
        pass
    return {"value": np.array([part.start])}


def dies_on_workers(here, part):
    """Kill every process but one."""
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"value": np.array([part.start])}


def fails(part):
    raise ZeroDivisionError(part)
