"""Faults in a real graph, whose files and hashes are in order, are found by `verify`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Precision
from edgeinspect.errors import ParityError
from edgeinspect.verification import Verification, verify_bundle
from tests.export.conftest import Exported
from tests.planted_faults import Edit, change_one_weight, overflow, plant, swap_colours, wrong_mask

EXPORTED = (Precision.FP32, Precision.FP16)  # INT8 is made on the box


def verify(bundle: Bundle, precision: Precision) -> Verification:
    return verify_bundle(bundle, runtime="onnxruntime", precision=precision, threads=1)


@pytest.mark.parametrize("precision", EXPORTED, ids=lambda p: p.value)
def test_a_graph_as_it_was_exported_is_within_the_budgets(
    exported: Exported, precision: Precision
) -> None:
    assert verify(exported.bundle, precision).problems == ()


@pytest.mark.parametrize("precision", EXPORTED, ids=lambda p: p.value)
@pytest.mark.parametrize(
    "fault",
    [change_one_weight, swap_colours, overflow, wrong_mask],
    ids=["one weight", "BGR for RGB", "FP16 overflow", "a wrong mask"],
)
def test_a_planted_fault_is_found_and_the_images_are_named(
    exported: Exported, tmp_path: Path, fault: Edit, precision: Precision
) -> None:
    path = Path(shutil.copytree(exported.bundle.path, tmp_path / "part.bundle"))
    plant(path, f"graph_{precision.value}.onnx", fault)
    found = verify(read_bundle(path), precision)
    with pytest.raises(
        ParityError, match=r"does not compute what was trained: .* \((synthetic|noise)"
    ):
        found.require()
