"""pyEDM's own data and validation files, read where the package is installed."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

ReadTable = Callable[[str], pd.DataFrame]


@pytest.fixture(scope="session")
def pyedm() -> ReadTable:
    """Return a function that reads a CSV file of pyEDM: of its data, or of its validation.

    pyEDM may be used for research only, so its files stay where they are.
    """
    found = find_spec("pyEDM")
    if found is None or found.origin is None:
        pytest.skip("pyEDM is not installed (extra 'oracles')")
    package = Path(found.origin).parent

    def read(name: str) -> pd.DataFrame:
        for folder in (package / "data", package / "tests" / "validation"):
            if (folder / f"{name}.csv").exists():
                return pd.read_csv(folder / f"{name}.csv")
        pytest.skip(f"this pyEDM comes without {name}.csv")

    return read
