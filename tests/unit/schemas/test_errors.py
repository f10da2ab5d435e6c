"""Errors say what, where and what to do, also after a trip through another process."""

import pickle

import pytest

from schemas.errors import (
    ContractError,
    LakeError,
    NotFoundError,
    NothingToDoError,
    RecordingError,
    RecordingTooShortError,
    SettingsError,
    TectumError,
)

PLAIN = [
    TectumError, RecordingError, SettingsError, LakeError, NotFoundError, NothingToDoError,
    RecordingTooShortError,
]  # fmt: skip


@pytest.mark.parametrize("kind", PLAIN)
def test_an_error_survives_pickling_with_all_it_says(kind: type[TectumError]) -> None:
    error = kind("the file is empty.", where="a.nwb", remedy="Record again.")
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(back) is kind
    assert (back.what, back.where, back.remedy) == (error.what, error.where, error.remedy)
    assert str(back) == str(error) == "a.nwb: the file is empty. Record again."


def test_a_contract_error_survives_pickling_with_every_violation() -> None:
    error = ContractError("aligned", ["/clock: missing", "/calcium: missing"])
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert back.violations == ("/clock: missing", "/calcium: missing")
    assert str(back) == str(error)
    assert "2 violation(s) of the 'aligned' contract" in str(back)


def test_where_and_remedy_may_be_left_out() -> None:
    assert str(TectumError("broken.")) == "broken."
    assert issubclass(RecordingTooShortError, NothingToDoError)
