"""Arguments and options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

SessionArgument = Annotated[str, typer.Argument(help="Session name, or its start.")]
RecordingsArgument = Annotated[
    list[str], typer.Argument(help="NWB files, Zarr folders, or http(s):// and s3:// URLs.")
]
LakeOption = Annotated[
    str, typer.Option("--lake", envvar="TECTUM_LAKE", help="Folder that holds all artifacts.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
SettingsOption = Annotated[
    Path | None, typer.Option("--settings", help="YAML file that overrides default settings.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show the log.")]
DaskOption = Annotated[
    str, typer.Option("--dask", envvar="TECTUM_DASK", help="'threads', 'local' or an address.")
]
CatalogueOption = Annotated[
    str,
    typer.Option("--catalogue", envvar="TECTUM_CATALOGUE", help="Database URL of the catalogue."),
]
