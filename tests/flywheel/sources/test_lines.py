import gzip
import tracemalloc

import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.sources.lines import KEPT_OF_A_LONG_LINE, bounded_lines, is_whole_zstd

PACKERS = {"plain": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


def read(path, limit=100):
    return list(bounded_lines(path, limit))


@pytest.mark.parametrize("packer", PACKERS)
@settings(deadline=None)
@given(content=st.binary(max_size=300))
def test_only_lf_ends_a_line_and_nothing_is_lost(packer, content, tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "file"
    assume(packer != "plain" or not content.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")))
    path.write_bytes(PACKERS[packer](content))
    found = read(path, 1000)
    assert [number for number, _, _ in found] == list(range(1, len(found) + 1))
    assert b"\n".join(line for _, line, _ in found) == content.removesuffix(b"\n")
    assert all(whole for _, _, whole in found)


def test_a_line_of_just_the_limit_is_whole_and_one_byte_more_is_not(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100 + b"\n" + b"y" * 101 + b"\n" + b"z" * 100)
    assert [(line[:1], whole) for _, line, whole in read(path)] == [(b"x", True), (b"y", False), (b"z", True)]


@pytest.mark.parametrize("packer", PACKERS)
def test_the_lines_after_a_long_one_are_read(packer, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(PACKERS[packer](b"a\n" + b"x" * 3_000_000 + b"\nb\n"))
    found = read(path)
    assert [(number, line[:1], whole) for number, line, whole in found] == [
        (1, b"a", True), (2, b"x", False), (3, b"b", True)
    ]  # fmt: skip
    assert len(found[1][1]) <= KEPT_OF_A_LONG_LINE


def test_a_line_of_any_length_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"x" * 40_000_000 + b"\n", 1))
    tracemalloc.start()
    read(path, 1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12_000_000


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_archives_packed_one_after_the_other_are_one_file(packer, tmp_path):
    path = tmp_path / "file"
    parts = [b"".join(b"%d line of part %d\n" % (line, part) for line in range(50_000)) for part in range(3)]
    path.write_bytes(b"".join(PACKERS[packer](part) for part in parts))
    assert b"".join(line + b"\n" for _, line, _ in read(path)) == b"".join(parts)


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
def test_an_archive_that_is_cut_off_is_damaged(packer, kept, tmp_path):
    path = tmp_path / "file"
    packed = PACKERS[packer](b"".join(b"line %d\n" % number for number in range(100_000)))
    path.write_bytes(packed[: int(len(packed) * kept)])
    with pytest.raises(UserError, match=r"the file is damaged .*nothing was added, deliver it again"):
        read(path)


@settings(deadline=None)
@given(st.data())
def test_a_zstd_file_is_whole_only_at_its_full_length(tmp_path_factory, data):
    content = data.draw(st.binary(max_size=200)) * data.draw(st.integers(1, 3000))
    packer = zstandard.ZstdCompressor(write_checksum=data.draw(st.booleans()))
    skippable = b"\x50\x2a\x4d\x18" + (7).to_bytes(4, "little") + b"padding"
    packed = packer.compress(content) + data.draw(st.sampled_from([b"", skippable, packer.compress(b"more")]))
    path = tmp_path_factory.mktemp("zstd") / "file"
    path.write_bytes(packed)
    assert is_whole_zstd(path)
    path.write_bytes(packed[: data.draw(st.integers(1, len(packed) - 1))])
    first = len(packer.compress(content))
    assert is_whole_zstd(path) == (path.stat().st_size == first)


def test_garbage_behind_an_archive_is_damage(tmp_path):
    for packer in ("gzip", "zstd"):
        path = tmp_path / packer
        path.write_bytes(PACKERS[packer](b"line\n") + b"garbage that is no archive")
        with pytest.raises(UserError, match="damaged"):
            read(path)


def test_a_file_that_is_not_there_is_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read(tmp_path / "nothing")


def test_an_empty_file_has_no_lines(tmp_path):
    for name, packer in PACKERS.items():
        (tmp_path / name).write_bytes(packer(b""))
        assert read(tmp_path / name) == []
