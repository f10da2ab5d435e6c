"""Files over http(s), in spite of dropped connections and slow servers."""

import asyncio
import logging
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from fsspec.asyn import sync
from fsspec.implementations.http import HTTPFileSystem

from schemas.errors import NetworkError
from tasks.common.remote import public_url

log = logging.getLogger("tectum")

PIECE_BYTES = 2**20
WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})


class WholeFilesOnlyError(NetworkError):
    """A server that does not know range requests was asked for a part of a file."""


class SteadyHttpFileSystem(HTTPFileSystem):
    """fsspec's http file system that tries again, and never takes a whole file for a part.

    bytes_read : bytes of content that were received, those of broken answers not counted
    """

    protocol = ("http", "https")

    def __init__(
        self, attempts: int, wait_s: float, timeout_s: float, asynchronous: bool = False
    ) -> None:
        limits = aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s)
        super().__init__(
            asynchronous=asynchronous, client_kwargs={"timeout": limits, "trust_env": True}
        )
        self.attempts, self.wait_s = attempts, wait_s
        self.bytes_read = 0

    async def set_session(self) -> aiohttp.ClientSession:
        """Return the pool of connections; it is closed with the file system, at the latest."""
        if self._session is None and self.asynchronous:
            session = await super().set_session()
            weakref.finalize(self, self.close_session, None, session)
        found: aiohttp.ClientSession = await super().set_session()
        return found

    async def _cat_file(
        self, url: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        if start is None and end is None:
            return await self._persist(url, lambda: self._get(url, {}))
        wanted = await self._process_limits(url, start, end)
        return await self._persist(url, lambda: self._get(url, {"Range": wanted}))

    def fetch_whole(self, url: str, target: Path, on_progress: Callable[[int], None]) -> None:
        """Copy a file in one answer, from its beginning again if that breaks off.

        on_progress : called with the bytes there are so far
        """
        sync(self.loop, self._persist, url, lambda: self._copy(url, target, on_progress))

    async def _copy(self, url: str, target: Path, on_progress: Callable[[int], None]) -> None:
        got = 0
        async with self._answer(url, {}) as response:
            with target.open("wb") as handle:
                async for piece in response.content.iter_chunked(PIECE_BYTES):
                    handle.write(piece)
                    got += len(piece)
                    on_progress(got)
        self.bytes_read += got

    async def _info(self, url: str, **_: Any) -> dict[str, Any]:
        return await self._persist(url, lambda: self._head(url))

    async def _exists(self, url: str, **_: Any) -> bool:
        try:
            await self._info(url)
        except FileNotFoundError:
            return False
        return True

    @asynccontextmanager
    async def _answer(
        self, url: str, headers: dict[str, str]
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        session = await self.set_session()
        # identity: a range of compressed bytes is of no use.
        asked = {"Accept-Encoding": "identity", **headers}
        async with session.get(self.encode_url(url), headers=asked) as response:
            _check_status(response, url)
            yield response

    async def _get(self, url: str, headers: dict[str, str]) -> bytes:
        async with self._answer(url, headers) as response:
            if "Range" in headers and response.status != 206:
                raise WholeFilesOnlyError(
                    "the server sends whole files only (it does not know range requests).",
                    where=public_url(url),
                    remedy="Download the file and give its path.",
                )
            content = bytes(await response.read())
        self.bytes_read += len(content)
        return content

    async def _head(self, url: str) -> dict[str, Any]:
        session = await self.set_session()
        asked = {"Accept-Encoding": "identity"}
        async with session.head(
            self.encode_url(url), headers=asked, allow_redirects=True
        ) as response:
            _check_status(response, url)
            found = response.headers
            size = found.get("Content-Length")
            tags = {name: found[name] for name in ("ETag", "Last-Modified") if name in found}
        return {"name": url, "type": "file", "size": None if size is None else int(size), **tags}

    async def _persist[T](self, url: str, request: Callable[[], Awaitable[T]]) -> T:
        """Send a request until it is answered, waiting longer each time."""
        said = ""
        for attempt in range(self.attempts):
            if attempt:
                log.info("%s: %s; trying again", public_url(url), said)
                await asyncio.sleep(self.wait_s * 2 ** (attempt - 1))
            try:
                return await request()
            except (aiohttp.ClientError, TimeoutError) as error:
                said = f"{type(error).__name__}: {error}"
                status = getattr(error, "status", None)
                if isinstance(status, int) and status not in WORTH_ANOTHER_TRY:
                    break
        # A new error: aiohttp keeps its own, with whatever is below it on the caller's stack.
        raise ConnectionError(said)


def _check_status(response: aiohttp.ClientResponse, url: str) -> None:
    if response.status in {404, 410}:
        raise FileNotFoundError(public_url(url))
    if response.status in {401, 403}:
        raise PermissionError(f"HTTP {response.status} {response.reason}")
    response.raise_for_status()
