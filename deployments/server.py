"""Prefect's server, with the retries its page lacks.

On SQLite, Prefect answers 503 when another writer came in between the reads and the writes of one
request. Its Python client then tries again; its page does not, so that a user who submits a form
while a run reports its states would be refused now and then.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

TRIES = 8
FIRST_WAIT_S = 0.05
LARGEST_BODY = 4_000_000
UNAVAILABLE = 503


class RetryUnavailable:
    """ASGI layer that sends a request again while the application answers 503 to it.

    A request answered so was rolled back, which makes it safe to send again. Web sockets, requests
    of unknown or large size and the last answer pass as they are.
    """

    def __init__(self, app: App, tries: int = TRIES, first_wait_s: float = FIRST_WAIT_S) -> None:
        self.app = app
        self.tries = tries
        self.first_wait_s = first_wait_s

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not 0 < _body_size(scope) <= LARGEST_BODY:
            await self.app(scope, receive, send)
            return
        body = await _whole_body(receive)
        for attempt in range(self.tries - 1):
            if not await self._refused(dict(scope), _replay(body, receive), send):
                return
            await asyncio.sleep(self.first_wait_s * 2**attempt)
        await self.app(scope, _replay(body, receive), send)

    async def _refused(self, scope: Message, receive: Receive, send: Send) -> bool:
        """Pass the request on; return whether it got 503, which is then kept from the client."""
        refused = False

        async def watch(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] == UNAVAILABLE:
                refused = True
            if not refused:
                await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception:
            # Starlette raises the error of a request once more after it has answered it.
            if not refused:
                raise
        return refused


def _body_size(scope: Message) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0


async def _whole_body(receive: Receive) -> list[Message]:
    """Return the messages of the request's body, up to its end or the client's leaving."""
    messages = [await receive()]
    while messages[-1]["type"] == "http.request" and messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def _replay(messages: list[Message], receive: Receive) -> Receive:
    """Return a `receive` that gives these messages first."""
    waiting = iter(messages)

    async def again() -> Message:
        for message in waiting:
            return dict(message)
        return await receive()

    return again


def main() -> int:
    """Serve Prefect's API, page and services on 127.0.0.1 until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    from prefect.server.api.server import create_app

    app = create_app(final=True)
    app.add_middleware(RetryUnavailable)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
