"""Which endpoints text may be sent to: this machine, and those that `allow_egress` names."""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from eval.errors import UserError

DEFAULT_PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def require_egress(url: str, setting: str, allow_egress: Sequence[str]) -> None:
    """Raise UserError unless a URL is on this machine or its host is allowed.

    An entry of `allow_egress` is a host (`api.example.org`), a host and port, or a URL, whose scheme then counts too.
    `setting` is the name of the setting that held the URL.
    """
    parts = split_url(url, setting)
    host = parts.hostname or ""
    if is_loopback(host) or any(names(entry, parts) for entry in allow_egress):
        return
    raise UserError(
        f"{setting} is {origin(parts)}, and nothing is sent there unless you say so; "
        f'add it to flywheel.toml: allow_egress = ["{host}"]'
    )


def split_url(url: str, setting: str) -> SplitResult:
    """Take a URL apart; one that is not http or https with a host, or that carries a password, is a UserError."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UserError(f"{setting} is no http or https URL; write it like http://127.0.0.1:8000/v1")
    if parts.username is not None:
        raise UserError(f"{setting} carries a user name or password; keep secrets in the environment")
    return parts


def names(entry: str, parts: SplitResult) -> bool:
    """Say whether an entry of `allow_egress` names the place of a URL."""
    allowed = urlsplit(entry if "://" in entry else f"//{entry}")
    if allowed.scheme and allowed.scheme != parts.scheme:
        return False
    port = allowed.port or DEFAULT_PORTS.get(allowed.scheme)
    return allowed.hostname == parts.hostname and (port is None or port == port_of(parts))


def port_of(parts: SplitResult) -> int:
    """Give the port that a URL means."""
    return parts.port or DEFAULT_PORTS[parts.scheme]


def origin(parts: SplitResult) -> str:
    """Give scheme, host and port for a message: a path or a query may hold a secret."""
    return f"{parts.scheme}://{parts.netloc}"
