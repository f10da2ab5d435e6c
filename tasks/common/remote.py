"""Files on other machines: file systems by URL, and one clear error when the network fails."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from schemas.errors import NetworkError
from schemas.settings.remote import RemoteSettings

type FileSystem = Any
"""A file system of fsspec, which has no types."""

_URL = re.compile(r"^[a-z][a-z0-9+.-]*://")
_HTTP = ("http", "https")


def is_url(text: str) -> bool:
    """Tell whether a text is a URL; file:// counts as a path."""
    return _URL.match(text) is not None and not text.startswith("file://")


def local_path(text: str) -> Path:
    """Return the path that a text names which is no URL; file:// and ~ are understood."""
    return Path(text.removeprefix("file://")).expanduser()


def public_url(url: str) -> str:
    """Return a URL without what may be secret in it: user, password, query, fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def open_filesystem(
    url: str, settings: RemoteSettings, *, asynchronous: bool = False
) -> tuple[FileSystem, str]:
    """Return the file system behind a URL, and the path that the URL names in it.

    asynchronous : for Zarr, which has an event loop of its own

    Raises
    ------
    NetworkError
        No file system is known for this kind of URL.
    """
    # Imported where it is needed, as all below: a local recording passes none of it.
    import fsspec

    scheme = urlsplit(url).scheme
    if scheme in _HTTP:
        from tasks.common.http_files import SteadyHttpFileSystem

        limits = (settings.attempts, settings.wait_s, settings.timeout_s)
        return SteadyHttpFileSystem(*limits, asynchronous=asynchronous), url
    options = _s3_options(settings) if scheme in {"s3", "s3a"} else {}
    try:
        filesystem = fsspec.filesystem(scheme, asynchronous=asynchronous, **options)
    except (ValueError, ImportError) as error:
        raise NetworkError(
            f"no way is known to read '{scheme}://' ({error}).",
            where=public_url(url),
            remedy="Use a path, http(s):// or s3://, or install the fsspec driver.",
        ) from error
    return filesystem, str(filesystem._strip_protocol(url))


@contextmanager
def network_errors(where: str) -> Generator[None]:
    """Turn what drivers of remote stores raise into one clear error.

    FileNotFoundError passes: whether a file must be there is the caller's to say.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise NetworkError(
            f"access is refused ({_first_line(error)}).",
            where=public_url(where),
            remedy="Check the credentials in the environment, or set remote.access to "
            "'anonymous' for public data.",
        ) from error
    except Exception as error:
        if not is_network_error(error):
            raise
        raise NetworkError(
            f"the connection failed ({_first_line(error)}).",
            where=public_url(where),
            remedy="Check the address and the network, then run again: nothing that was finished "
            "is lost.",
        ) from error


def is_network_error(error: BaseException) -> bool:
    """Tell whether a driver of a remote store, rather than a reader of data, raised this."""
    if isinstance(error, OSError | TimeoutError):
        return True
    names = {f"{base.__module__}.{base.__name__}" for base in type(error).__mro__}
    return not names.isdisjoint(
        {
            "aiohttp.client_exceptions.ClientError",
            "botocore.exceptions.BotoCoreError",
            "botocore.exceptions.ClientError",
        }
    )


def _s3_options(settings: RemoteSettings) -> dict[str, Any]:
    anonymous = settings.access == "anonymous" or (
        settings.access == "auto" and not _has_s3_credentials()
    )
    limits = {"connect_timeout": settings.timeout_s, "read_timeout": settings.timeout_s}
    retries = {"max_attempts": settings.attempts, "mode": "standard"}
    # Listings change under us: another process commits, a stage uploads.
    return {
        "anon": anonymous,
        "config_kwargs": {**limits, "retries": retries},
        "use_listings_cache": False,
    }


@cache
def _has_s3_credentials() -> bool:
    """Whether S3's usual places hold credentials; asked once, since a machine's role is slow."""
    from botocore.session import Session

    return Session().get_credentials() is not None


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:300]}" if text else type(error).__name__
