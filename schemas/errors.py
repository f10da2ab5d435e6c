"""One base error, few subclasses: each says what is wrong, where, and what to do."""

from collections.abc import Sequence


class TectumError(Exception):
    """Base of every error that Tectum raises on purpose.

    Parameters
    ----------
    what : what is wrong, with the offending value
    where : the file, object, setting or sample it was found at
    remedy : what the reader can do about it
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(self._text())

    def _text(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} {self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments: the default reduction would lose where and remedy
        # on the way back from a Dask worker.
        return (_rebuild, (type(self), self.__dict__))


def _rebuild(kind: type[TectumError], state: dict[str, object]) -> TectumError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    Exception.__init__(error, error._text())
    return error


class RecordingError(TectumError):
    """A recording cannot be read or is not valid; it goes to quarantine.

    Parameters
    ----------
    problem : a word for the kind of problem, by which a user may accept it on release
    """

    def __init__(
        self, what: str, *, where: str = "", remedy: str = "", problem: str = "unreadable"
    ) -> None:
        self.problem = problem
        super().__init__(what, where=where, remedy=remedy)


class SettingsError(TectumError):
    """A settings file or value is not accepted."""


class LakeError(TectumError):
    """The lake or the catalogue cannot be read or written (disk full, read-only, damaged)."""


class NetworkError(TectumError):
    """Another machine cannot be reached or refuses; the data themselves may be good."""


class NotFoundError(TectumError):
    """No session, artifact or stream of that name."""


class NothingToDoError(TectumError):
    """The input cannot feed this stage; its run ends as Empty with this reason."""


class RecordingTooShortError(NothingToDoError):
    """Fewer valid samples than the method needs."""


class ContractError(TectumError):
    """A dataset breaks its contract; lists every violation at once."""

    def __init__(self, contract: str, violations: Sequence[str]) -> None:
        self.violations = tuple(violations)
        listed = "\n".join(f"  - {violation}" for violation in self.violations)
        super().__init__(
            f"{len(self.violations)} violation(s) of the '{contract}' contract:\n{listed}"
        )
