"""Settings as YAML that explains itself."""

import textwrap
from collections.abc import Iterator

import yaml
from pydantic import BaseModel

WIDTH = 96


def explain_settings(settings: BaseModel) -> str:
    """Return YAML with every field's meaning as a comment above its value.

    The text is itself a valid settings file.
    """
    return "\n".join(_lines(settings, 0)) + "\n"


def _lines(model: BaseModel, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if depth == 0:
            yield ""
        for line in textwrap.wrap(field.description or "", WIDTH - len(indent) - 2):
            yield f"{indent}# {line}"
        if isinstance(value, BaseModel) and type(value).model_fields:
            yield f"{indent}{name}:"
            yield from _lines(value, depth + 1)
        else:
            plain = model.model_dump(mode="json", include={name})[name]
            # "...": the end of a document, which a bare scalar gets.
            text = yaml.safe_dump(plain, default_flow_style=True, width=1000, sort_keys=False)
            yield f"{indent}{name}: {text.removesuffix('...\n').strip()}"
