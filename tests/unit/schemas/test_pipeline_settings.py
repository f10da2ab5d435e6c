"""All stages' settings together: files, the shared split, the published schema."""

import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from schemas.errors import SettingsError
from schemas.settings.explain import explain_settings
from schemas.settings.pipeline import PipelineSettings, load_settings

PUBLISHED = Path(__file__).resolve().parents[3] / "schemas" / "settings.schema.json"


def test_the_published_schema_is_current() -> None:
    """`make schema` writes it anew."""
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert published == PipelineSettings.model_json_schema()


def test_every_setting_explains_itself() -> None:
    schema = PipelineSettings.model_json_schema()
    models = [schema, *schema["$defs"].values()]
    silent = [
        f"{model['title']}.{name}"
        for model in models
        for name, field in model.get("properties", {}).items()
        if not field.get("description")
    ]
    assert silent == []


def test_printed_settings_are_a_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(explain_settings(PipelineSettings()), encoding="utf-8")
    assert load_settings(file) == PipelineSettings()


def test_a_file_overrides_only_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("causal: {max_dimension: 5}\n", encoding="utf-8")
    settings = load_settings(file)
    assert settings.causal.max_dimension == 5
    assert settings.lnm == PipelineSettings().lnm


def test_the_split_is_shared_unless_a_stage_has_its_own() -> None:
    values = yaml.safe_load("{split: {test: 0.3}, lnm: {split: {test: 0.25}}}")
    settings = PipelineSettings.model_validate(values)
    assert settings.causal.split.test == 0.3
    assert settings.twin.split.test == 0.3
    assert settings.lnm.split.test == 0.25


def test_the_twin_refuses_blocks_and_says_where_to_set_them() -> None:
    with pytest.raises(ValidationError, match=r"one test part.*lnm\.split\.blocks"):
        PipelineSettings.model_validate({"split": {"blocks": 4}})
    own = PipelineSettings.model_validate({"lnm": {"split": {"blocks": 4}}})
    assert (own.lnm.split.blocks, own.twin.split.blocks) == (4, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("causal: {no_such: 1}", ["causal.no_such", "Extra inputs"]),
        ("causal: {max_dimension: 0}\nlnm: {steps: x}", ["causal.max_dimension", "lnm.steps"]),
        ("causal: [", ["is not YAML"]),
        ("- 1", ["wrong"]),
    ],
)
def test_every_wrong_setting_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    assert str(file) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml: cannot be read"):
        load_settings(tmp_path / "none.yaml")
