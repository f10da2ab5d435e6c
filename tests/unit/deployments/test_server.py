"""The page of Prefect gets the retries that Prefect's own client makes."""

import asyncio

import pytest

from deployments.server import Message, Receive, RetryUnavailable, Send

TYPED = b'{"recording": "a.nwb"}'


class Busy:
    """An application that answers 503 a number of times before it echoes the body with 201.

    Like Starlette, it raises the error of a request once more after it has answered it.
    """

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.calls = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.calls += 1
        body = b""
        more = scope["method"] == "POST"
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        status = 503 if self.calls <= self.refusals else 201
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})
        if status == 503:
            raise RuntimeError("database is locked")


def ask(app: Busy, method: str = "POST", tries: int = 4) -> tuple[list[int], bytes]:
    """Return the statuses and the body of the answer to a request that comes in two parts."""
    parts = iter([(TYPED[:5], True), (TYPED[5:], False)])
    sent: list[Message] = []

    async def receive() -> Message:
        body, more = next(parts)
        return {"type": "http.request", "body": body, "more_body": more}

    async def send(message: Message) -> None:
        sent.append(message)

    size = str(len(TYPED)).encode() if method == "POST" else b"0"
    scope = {"type": "http", "method": method, "headers": [(b"content-length", size)]}
    layer = RetryUnavailable(app, tries=tries, first_wait_s=0)
    asyncio.run(layer(scope, receive, send))
    statuses = [message["status"] for message in sent if "status" in message]
    return statuses, b"".join(message.get("body", b"") for message in sent)


@pytest.mark.parametrize("refusals", [0, 1, 3])
def test_a_refused_form_is_sent_again_whole(refusals: int) -> None:
    app = Busy(refusals)
    assert ask(app) == ([201], TYPED)
    assert app.calls == refusals + 1


def test_the_last_refusal_is_passed_on_with_its_error() -> None:
    app = Busy(refusals=9)
    with pytest.raises(RuntimeError, match="locked"):
        ask(app, tries=4)
    assert app.calls == 4


def test_a_request_without_a_body_is_passed_on_as_it_is() -> None:
    app = Busy(refusals=1)
    with pytest.raises(RuntimeError, match="locked"):
        ask(app, method="GET")
    assert app.calls == 1


def test_another_error_is_not_hidden() -> None:
    class Broken(Busy):
        async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
            raise ValueError("a fault of the application")

    with pytest.raises(ValueError, match="fault"):
        ask(Broken(0))
