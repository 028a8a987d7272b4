"""Keys, ranges and receipts by themselves."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.config import Precision
from edgeinspect.engines import BatchRange, Receipt
from edgeinspect.errors import ConfigError, EngineError
from tests.engines.receipts import KEY, RECEIPT

OTHERS = {
    "graph_sha256": "0" * 64,
    "flavour": "tensorrt-rtx",
    "version": "11.4",
    "target": "sm86",
    "system": "linux-x86_64",
    "precision": Precision.FP32,
    "batch": BatchRange.parse("2"),
    "flags": ("version-compatible",),
}


@pytest.mark.parametrize("field", [f.name for f in fields(KEY)])
def test_every_field_of_the_key_changes_its_fingerprint_and_is_told(field):
    other = replace(KEY, **{field: OTHERS[field]})
    assert other.fingerprint != KEY.fingerprint
    assert len(other.differences(KEY)) == 1


def test_equal_keys_have_one_fingerprint_and_no_differences():
    again = replace(KEY)
    assert again.fingerprint == KEY.fingerprint
    assert again.differences(KEY) == ()


@pytest.mark.parametrize(
    ("text", "expected"), [("8", (8, 8, 8)), ("1,8", (1, 8, 8)), ("1,4,8", (1, 4, 8))]
)
def test_one_two_or_three_numbers_are_a_range(text, expected):
    batch = BatchRange.parse(text)
    assert (batch.smallest, batch.tuned, batch.largest) == expected


@pytest.mark.parametrize("text", ["", "0", "8,4", "1,9,8", "1,2,3,4", "a", "1;8"])
def test_what_is_no_range_is_refused_with_the_form(text):
    with pytest.raises(ConfigError, match="SMALLEST,TUNED,LARGEST"):
        BatchRange.parse(text)


@given(st.lists(st.integers(1, 999), min_size=3, max_size=3).map(sorted), st.integers(0, 1000))
def test_a_range_holds_what_lies_between_its_ends(numbers, n_tiles):
    batch = BatchRange.parse(",".join(map(str, numbers)))
    assert BatchRange.parse(str(batch)) == batch
    assert (n_tiles in batch) == (numbers[0] <= n_tiles <= numbers[2])


def test_a_receipt_reads_back_as_it_was_written():
    assert Receipt.from_bytes(RECEIPT.to_bytes(), where="x") == RECEIPT


def test_a_receipt_of_a_newer_version_says_so():
    newer = RECEIPT.to_bytes().replace(b'"schema": 1', b'"schema": 2')
    with pytest.raises(EngineError, match=r"r\.json was written by a newer edgeinspect"):
        Receipt.from_bytes(newer, where="r.json")


def test_a_receipt_cannot_be_verified_without_proof():
    plain = RECEIPT.to_bytes().replace(b'"is_verified": false', b'"is_verified": true')
    with pytest.raises(EngineError, match="damaged: a proof is what verifies"):
        Receipt.from_bytes(plain, where="r.json")
