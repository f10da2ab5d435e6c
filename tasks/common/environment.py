"""The machine and the packages a run used, for lineage; the workspace the variables name."""

import hashlib
import json
import os
import platform
from functools import cache
from importlib.metadata import distributions, version
from typing import Any

from schemas.settings.workspace import WorkspaceSettings

ENVIRONMENT_FIELDS = ("lake", "catalogue", "dask")


@cache
def describe_environment() -> dict[str, Any]:
    """Return the machine and every installed package with its version."""
    packages = {dist.name: dist.version for dist in distributions() if dist.name}
    return {
        "tectum": version("tectum"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.node(),
        "cpus": os.cpu_count() or 1,
        "packages": dict(sorted(packages.items())),
    }


def hash_environment() -> str:
    """Return a short hash of the environment's description."""
    text = json.dumps(describe_environment(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def workspace_from_environment() -> WorkspaceSettings:
    """Return the workspace that TECTUM_LAKE, TECTUM_CATALOGUE and TECTUM_DASK name.

    For the edge only (command line, flows, notebooks): no stage reads the environment.
    """
    named = {field: os.environ.get(f"TECTUM_{field.upper()}") for field in ENVIRONMENT_FIELDS}
    return WorkspaceSettings.model_validate({k: value for k, value in named.items() if value})
