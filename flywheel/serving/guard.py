"""What is refused before it is read: requests for another host, and bodies that are too large."""

import json
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flywheel.serving.egress import is_loopback

MAX_BODY_BYTES = 512 * 1024


class Guard:
    """ASGI middleware around a service without authentication, which therefore serves this machine alone.

    A page on the web can point a name of its own at 127.0.0.1 and have a visitor's browser ask us; the Host
    header then carries that name.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not is_loopback(host_of(headers.get(b"host", b"").decode("latin-1"))):
            await refuse(send, 421, "this service answers requests for 127.0.0.1 and localhost only")
            return
        body = await read_body(receive)
        if body is None:
            await refuse(send, 413, f"the request is larger than {MAX_BODY_BYTES} bytes")
            return
        await self.app(scope, replay(body, receive), send)


def host_of(header: str) -> str:
    """Give the host of a Host header without its port, or nothing."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


async def read_body(receive: Receive) -> bytes | None:
    """Read a body, or None as soon as it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read once more, then whatever else comes."""
    waiting = [body]

    async def receive_again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return receive_again


async def refuse(send: Send, status: int, error: str) -> None:
    """Reply with an error."""
    content = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
