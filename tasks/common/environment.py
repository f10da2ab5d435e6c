"""The machine and the packages a run used, for lineage."""

import hashlib
import json
import os
import platform
from functools import cache
from importlib.metadata import distributions, version
from typing import Any


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
