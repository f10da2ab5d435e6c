"""One recording being read: a guarded first look at all of it, then opened once for the rest."""

from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from schemas.settings.ingest import IngestSettings
from tasks.ingest.guard import Guard, survey_guarded
from tasks.ingest.source import Source

if TYPE_CHECKING:
    from tasks.ingest.opening import OpenedRecording


class Reader:
    """Reads what a source names, on demand, and closes it in the end."""

    def __init__(self, source: Source, settings: IngestSettings) -> None:
        self.source = source
        self._settings = settings
        self._guard = Guard()
        self._open = ExitStack()

    def get_ready(self) -> None:
        """Start the first look, or what it takes to start it, while something else is done."""
        if self.source.folder is None:
            # Far away: there is no file until it was fetched.
            self._guard.start()
        else:
            self._guard.begin(self.source.path(), self._settings.safety)

    def survey(self, accepted: tuple[str, ...]) -> str:
        """Return the logical hash; see survey_guarded."""
        return survey_guarded(self.source.path(), self._settings.safety, accepted, self._guard)

    @cached_property
    def opened(self) -> "OpenedRecording":
        """The recording, open until this reader is closed; see read_recording."""
        # Imported where it is needed: pynwb takes seconds, and a known file never gets here.
        from tasks.ingest.opening import read_recording

        alone = self.source.folder is None
        reading = read_recording(self.source.path(), self._settings, alone=alone)
        return self._open.enter_context(reading)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the recording and end the process that looked at it first."""
        self._guard.end()
        self._open.__exit__(kind, error, trace)
