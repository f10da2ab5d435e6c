"""The stages as Prefect tasks: what a flow calls where the command line calls the function."""

from functools import cache
from typing import Any

from prefect import Task as PrefectTask
from prefect.cache_policies import NO_CACHE

from flows.chain import Task
from schemas.entities import StageOutcome


def call_as_task(task: Task, *args: Any) -> StageOutcome:
    """Call a stage's function as a task run of the surrounding Prefect flow."""
    return as_prefect_task(task)(*args)


@cache
def as_prefect_task(task: Task) -> PrefectTask[..., StageOutcome]:
    """Return the Prefect task of a stage's function, named as the function is.

    Without Prefect's cache and result storage: the artifact's id does their job.
    """
    name = task.__name__.replace("_", "-")
    return PrefectTask(task, name=name, cache_policy=NO_CACHE, persist_result=False)
