"""Settings are frozen and closed; their hash says whether a result would differ."""

from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.settings.base import StageSettings
from schemas.settings.split import SplitSettings
from schemas.settings.workspace import WorkspaceSettings


class Parts(BaseModel):
    """A part of those settings with settings of its own, which stays as it is for ever."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    validation: float = 0.15
    test: float = 0.2
    guard_s: float = 2.0


class FilterSettings(StageSettings):
    """Settings of a made-up stage."""

    not_identity: ClassVar[frozenset[str]] = frozenset({"block"})

    cutoff_hz: float = Field(default=5.0, gt=0)
    names: tuple[str, ...] = ()
    split: Parts = Parts()
    block: int = 100


def test_the_hash_is_the_same_for_ever() -> None:
    """Golden: a change here would recompute every lake. Made by this code in November 2026."""
    assert FilterSettings().param_set("align").hash == "52f902513a9f74e319bf0410ed854d92"


def test_how_the_work_is_done_is_no_part_of_the_hash() -> None:
    few, many = FilterSettings(block=1), FilterSettings(block=10_000)
    assert few.param_set("align") == many.param_set("align")
    assert "block" not in few.param_set("align").values


@pytest.mark.parametrize(
    "other",
    [
        {"cutoff_hz": 5.1},
        {"names": ("a",)},
        {"split": Parts(test=0.3)},
    ],
)
def test_whatever_changes_the_result_changes_the_hash(other: dict[str, object]) -> None:
    assert (
        FilterSettings(**other).param_set("align").hash != FilterSettings().param_set("align").hash
    )


@given(st.floats(1e-6, 1e6), st.lists(st.text()))
def test_settings_and_hash_survive_json(cutoff_hz: float, names: list[str]) -> None:
    settings = FilterSettings(cutoff_hz=cutoff_hz, names=tuple(names))
    back = FilterSettings.model_validate_json(settings.model_dump_json())
    assert back == settings
    assert back.param_set("align") == settings.param_set("align")
    assert FilterSettings.model_validate(settings.param_set("align").values) == settings


def test_settings_are_closed_frozen_and_report_every_fault() -> None:
    with pytest.raises(ValidationError) as caught:
        FilterSettings.model_validate({"cutoff_hz": -1, "names": 3, "cutof": 1})
    assert caught.value.error_count() == 3
    with pytest.raises(ValidationError, match="frozen"):
        FilterSettings().cutoff_hz = 1  # type: ignore[misc]


def test_a_split_must_leave_training_data() -> None:
    with pytest.raises(ValidationError, match="leave a part for training"):
        SplitSettings(validation=0.5, test=0.5)


def test_a_workspace_is_absolute_and_keeps_its_catalogue_in_the_lake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = WorkspaceSettings(lake="lake")
    assert settings.lake == str(tmp_path / "lake")
    assert settings.catalogue == f"sqlite:///{tmp_path}/lake/catalogue.sqlite"
    assert WorkspaceSettings.model_validate(settings.model_dump()) == settings
    assert WorkspaceSettings(lake=f"file://{tmp_path}/lake") == settings
    assert WorkspaceSettings(catalogue="postgresql://h/d").catalogue == "postgresql://h/d"
