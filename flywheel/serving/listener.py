"""The socket that the service listens on, taken before anything slow is loaded."""

import socket

from eval.errors import OperationalError, UserError
from flywheel.serving.egress import is_loopback


def listen(host: str, port: int) -> socket.socket:
    """Take a port of this machine before anything slow is loaded.

    Any other address is a UserError: the service has no authentication. A port in use is an OperationalError.
    """
    if not is_loopback(host):
        raise UserError(
            f"serve has no authentication, so it listens on this machine only, and {host} is another address; "
            f"use --host 127.0.0.1, and to reach it from elsewhere put a proxy that authenticates before it"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, each reply takes 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Listening now makes the port ours: two sockets may be bound to it, but not two listen.
        listener.listen()
    except OSError as error:
        listener.close()
        raise OperationalError(
            f"cannot listen on {host} port {port}: {error.strerror}; "
            f"end what uses the port, or choose another: flywheel serve --port 0 takes a free one"
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Give the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
