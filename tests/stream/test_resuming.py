from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.stream import resuming
from edgeinspect.stream.resuming import last_bundle, read_back, read_last
from tests.stream.made_records import made_record


def line_of(seq: int, stream: str | None = None, bundle: str = "") -> bytes:
    record = made_record(seq)
    frame = dataclasses.replace(record.frame, stream=stream)
    return dataclasses.replace(record, frame=frame, bundle=bundle).to_line().encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


def test_where_nothing_was_written_nothing_is_recorded(path):
    assert read_back(path) == read_last(path, streams=[None]) == {}
    assert last_bundle(path) is None


@given(data=st.data(), nuls=st.integers(0, 20), is_live=st.booleans())
def test_a_file_cut_at_any_byte_is_repaired_to_its_whole_records(
    tmp_path_factory, data, nuls, is_live
):
    path = tmp_path_factory.mktemp("run") / "records.jsonl"
    whole = b"".join(map(line_of, range(3)))
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut] + b"\0" * nuls)
    n_whole = whole[:cut].count(b"\n")
    recorded = read_last(path, streams=[None]) if is_live else read_back(path)
    assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[:n_whole])
    assert (recorded[None].next_seq if n_whole else len(recorded)) == n_whole


def test_a_damaged_line_between_whole_ones_costs_no_later_record(path):
    last = line_of(2)
    path.write_bytes(line_of(0) + b"{damaged\n" + last)
    assert read_back(path)[None].next_seq == 3
    assert read_last(path, streams=[None])[None].next_seq == 3
    assert path.read_bytes().endswith(last)


@pytest.mark.parametrize("edited", [b'"seq": 1e400', b'"seq": "first"', b'"stream": ["left"]'])
def test_a_record_that_was_edited_into_none_counts_for_none(path, edited):
    key = edited.partition(b":")[0]
    value = b"null" if key == b'"stream"' else b"1"
    line = line_of(1).replace(key + b": " + value, edited)
    path.write_bytes(line_of(0) + line + line_of(2))
    assert list(read_back(path)) == list(read_last(path, streams=[None, "left"])) == [None]
    assert read_back(path)[None].next_seq == 3


def test_the_names_of_frames_are_told_for_the_streams_asked_for(path):
    path.write_bytes(line_of(0) + line_of(1))
    assert not read_back(path)[None].sources
    recorded = read_back(path, with_sources=[None])[None]
    names = [json.loads(line)["source"] for line in path.read_text().splitlines()]
    assert list(recorded.without([*names, names[0], "new.png"])) == [names[0], "new.png"]


@given(
    streams=st.lists(st.sampled_from([None, "left", "right"]), max_size=30),
    block=st.integers(1, 2000),
)
def test_reading_from_the_end_finds_the_numbers_that_reading_all_does(
    tmp_path_factory, streams, block
):
    path = tmp_path_factory.mktemp("run") / "records.jsonl"
    lines = [line_of(streams[:i].count(stream), stream) for i, stream in enumerate(streams)]
    path.write_bytes(b"".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resuming, "BLOCK", block)
        assert read_last(path, streams=[None, "left", "right"]) == read_back(path)


def test_cameras_of_a_long_run_are_found_at_its_end(path, monkeypatch):
    path.write_bytes(b"".join(line_of(i // 2, "ab"[i % 2]) for i in range(1000)))
    looked_at: list[bytes] = []
    read_line = resuming._read_line

    def look(line: bytes) -> object:
        looked_at.append(line)
        return read_line(line)

    monkeypatch.setattr(resuming, "_read_line", look)
    assert {of.next_seq for of in read_last(path, streams=["a", "b"]).values()} == {500}
    assert len(looked_at) == 2


def test_the_last_bundle_is_that_of_the_last_whole_record(path):
    path.write_bytes(line_of(0, bundle="before") + line_of(1, bundle="after") + b'{"seq": 2')
    assert last_bundle(path) == "after"
