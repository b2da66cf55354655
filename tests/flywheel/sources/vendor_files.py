"""Files of vendors' exports, written for a test and read back."""

import json

import msgspec

from flywheel.sources.delivery import Delivery
from flywheel.sources.records import Blank, ExportedScore, Found, Rejected, Span
from flywheel.trace import RetrievedContext, Trace


def written(path, *values):
    """Write one JSON document, or several as JSON lines; bytes as they are."""
    texts = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    path.write_bytes(b"\n".join(texts) + (b"\n" if len(texts) > 1 else b""))
    return path


def records(reader, path):
    """Read all records of a file, each of them checked to be one that can be stored."""
    delivery = Delivery(path)
    found = list(reader.read(delivery))
    for item in found:
        assert isinstance(item, Found | Rejected | Blank)
        assert item.line >= 1
        if isinstance(item, Found):
            assert not isinstance(item.what, Trace | RetrievedContext)
            kind = type(item.what)
            assert msgspec.json.decode(msgspec.json.encode(item.what), type=kind) == item.what
            msgspec.msgpack.encode(item.what)
    assert delivery.size == path.stat().st_size
    return found


def spans(found):
    """Give the spans among records."""
    return [item.what for item in found if isinstance(item, Found) and isinstance(item.what, Span)]


def scores(found):
    """Give the scores among records."""
    return [item.what for item in found if isinstance(item, Found) and isinstance(item.what, ExportedScore)]


def rejected(found):
    """Give the rejected records."""
    return [item for item in found if isinstance(item, Rejected)]


def reason(reader, path):
    """Say why a reader takes a file for one of its own, or None."""
    return reader.recognise(Delivery(path).head)
