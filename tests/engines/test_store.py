"""engines/ of a bundle: what is found, what is installed, what is left after trouble."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgeinspect import writing
from edgeinspect.bundle import install_calibration, read_bundle
from edgeinspect.config import Normalisation, Precision, Rule
from edgeinspect.engines import (
    OPEN_TARGET,
    VERSION_COMPATIBLE,
    BatchRange,
    Proof,
    build_lock,
    find_engine,
    graph_sha256,
    list_engines,
    record_proof,
)
from edgeinspect.errors import BundleError, EngineError, OutputError
from tests.bundles import calibrate_stand_in, make_bundle
from tests.engines.receipts import KEY, PLAN, install

WANTED = replace(KEY, precision=Precision.FP32)
PROOF = Proof(
    gpu="Orin",
    compute_capability="8.7",
    at="2026-01-02T03:04:05+00:00",
    n_images=4,
    n_ties=0,
    score_error=1e-3,
    map_error=1e-2,
    map_correlation=0.9999,
    n_scale_changes=0,
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path)


def test_an_installed_engine_is_found_and_its_plan_read_whole(bundle):
    install(bundle)
    assert find_engine(bundle, WANTED).read_plan() == PLAN


def test_a_bundle_without_engines_says_how_to_build_one(bundle):
    with pytest.raises(EngineError, match=r"has no engine; run: edgeinspect build-engine .*part"):
        find_engine(bundle, WANTED)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"graph_sha256": "cd" * 32}, "graph abababababab, not cdcdcdcdcdcd"),
        ({"flavour": "tensorrt-rtx"}, "runtime tensorrt, not tensorrt-rtx"),
        ({"version": "10.16.1"}, r"version of tensorrt 10\.3\.0, not 10\.16\.1"),
        ({"target": "sm86"}, "target sm87, not sm86"),
        ({"system": "linux-x86_64"}, "system linux-aarch64, not linux-x86_64"),
        ({"precision": Precision.FP16}, "precision fp32, not fp16"),
        ({"batch": BatchRange.parse("1,32")}, "batch 1,1,8, not 1,32,32"),
        ({"flags": (VERSION_COMPATIBLE,)}, "flags none, not version-compatible"),
    ],
)
def test_what_differs_from_the_nearest_engine_is_said_in_words(bundle, change, words):
    install(bundle)
    with pytest.raises(EngineError, match=words):
        find_engine(bundle, replace(WANTED, **change))


def test_the_nearest_engine_is_the_one_with_the_fewest_differences(bundle):
    install(bundle, replace(KEY, version="8.0", target="sm72"))
    install(bundle, replace(KEY, target="sm72"))
    with pytest.raises(EngineError, match=r"has target sm72, not sm87; run"):
        find_engine(bundle, WANTED)


def test_a_session_takes_any_engine_whose_range_holds_its_batch(bundle):
    install(bundle)
    other_range = replace(WANTED, batch=BatchRange.parse("4"))
    assert find_engine(bundle, other_range, batch=4).receipt.key.batch.largest == 8


def test_a_batch_outside_the_range_is_refused_with_the_range_to_build(bundle):
    install(bundle)
    with pytest.raises(EngineError, match=r"batch 1 to 8, not 16; .*--batch 1,16"):
        find_engine(bundle, WANTED, batch=16)


def test_a_session_takes_an_engine_with_its_target_left_open(bundle):
    install(bundle, replace(KEY, target=OPEN_TARGET))
    assert find_engine(bundle, WANTED, batch=1).receipt.key.target == OPEN_TARGET


def test_a_session_takes_a_version_compatible_engine_of_another_version(bundle):
    install(bundle, replace(KEY, version="10.0", flags=(VERSION_COMPATIBLE,)))
    assert find_engine(bundle, WANTED, batch=1).receipt.key.version == "10.0"


def test_a_truncated_plan_is_refused_with_both_sizes(bundle):
    engine = install(bundle)
    engine.plan_path.write_bytes(PLAN[:7])
    with pytest.raises(EngineError, match=rf"has 7 bytes of {len(PLAN)}; run: .* --force"):
        engine.read_plan()


def test_a_damaged_plan_is_refused(bundle):
    engine = install(bundle)
    engine.plan_path.write_bytes(PLAN[::-1])
    with pytest.raises(EngineError, match="damaged: its sha256 is not the receipt's"):
        engine.read_plan()


def test_a_missing_plan_is_named(bundle):
    engine = install(bundle)
    engine.plan_path.unlink()
    with pytest.raises(EngineError, match=r"cannot read the plan .*: No such file"):
        engine.read_plan()


def test_a_plan_without_a_receipt_is_no_engine(bundle):
    install(bundle).receipt_path.unlink()
    assert list_engines(bundle) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 99}', '{"schema": 1}'])
def test_a_receipt_that_cannot_be_read_is_left_out_and_told(bundle, caplog, text):
    install(bundle).receipt_path.write_text(text)
    assert list_engines(bundle) == []
    assert "left out" in caplog.text


def test_the_receipt_reads_back_as_it_was_written(bundle):
    engine = install(bundle)
    assert list_engines(bundle)[0].receipt == engine.receipt


def test_recalibrating_keeps_engines(bundle):
    install(bundle)
    calibration = calibrate_stand_in(bundle, Rule.PEAK, Normalisation.NONE, 1)
    install_calibration(read_bundle(bundle), calibration)
    assert find_engine(bundle, WANTED).read_plan() == PLAN


def test_the_graphs_hash_does_not_change_with_calibration_but_with_its_weights(tmp_path):
    bundle = read_bundle(make_bundle(tmp_path))
    graph = bundle.graph_path()
    graph.write_bytes(graph.read_bytes() + b"weights.bin")
    files = {**bundle.manifest.files, "weights.bin": "1" * 64}

    def with_files(**changes: str):
        manifest = replace(bundle.manifest, files={**files, **changes})
        return graph_sha256(replace(bundle, manifest=manifest), Precision.FP32)

    assert with_files() == with_files(**{"golden.npz": "2" * 64})
    assert with_files() != with_files(**{"weights.bin": "2" * 64})


def test_an_engine_of_a_bundle_exported_anew_meanwhile_is_not_installed(bundle, monkeypatch):
    opened = read_bundle(bundle)
    files = {**opened.manifest.files, "graph_fp32.onnx": "0" * 64}
    stale = replace(opened, manifest=replace(opened.manifest, files=files))
    monkeypatch.setattr("tests.engines.receipts.read_bundle", lambda path: stale)
    with pytest.raises(BundleError, match="exported anew while the engine was built"):
        install(bundle)


def test_a_full_disk_leaves_the_earlier_engine_whole(bundle, monkeypatch):
    engine = install(bundle)
    monkeypatch.setattr(writing.os, "fsync", _full_disk)
    with pytest.raises(OutputError, match="no space is left on the disk"):
        install(bundle, build_seconds=9.0)
    assert engine.read_plan() == PLAN
    assert list_engines(bundle) == [engine]
    assert not list(engine.plan_path.parent.glob("*.tmp"))


def test_a_disk_that_is_full_at_the_receipt_leaves_nothing(bundle, monkeypatch):
    writes = iter([os.fsync, os.fsync, _full_disk])  # plan, its folder, receipt
    monkeypatch.setattr(writing.os, "fsync", lambda descriptor: next(writes)(descriptor))
    with pytest.raises(OutputError, match="no space"):
        install(bundle)
    assert not list((bundle / "engines").iterdir())


def test_a_proof_marks_an_engine_as_verified(bundle):
    engine = record_proof(bundle, install(bundle), PROOF)
    assert engine.receipt.is_verified
    assert list_engines(bundle)[0].receipt.proof == PROOF


def test_a_proof_of_a_plan_that_was_replaced_is_refused(bundle):
    engine = install(bundle)
    plain = json.loads(engine.receipt_path.read_text())
    engine.receipt_path.write_text(json.dumps({**plain, "plan_sha256": "0" * 64}))
    with pytest.raises(EngineError, match="built anew meanwhile"):
        record_proof(bundle, engine, PROOF)


HOLD = """
import sys
from pathlib import Path
from edgeinspect.engines import build_lock
with build_lock(Path(sys.argv[1]), on_wait=lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_builder_waits_and_a_killed_one_leaves_no_lock(bundle):
    command = [sys.executable, "-c", HOLD, str(bundle)]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        waited = []

        def kill_the_first() -> None:
            waited.append(True)
            first.kill()

        with build_lock(bundle, on_wait=kill_the_first):
            pass
    assert waited == [True]


def test_half_a_plan_that_a_killed_build_left_is_removed_by_the_next(bundle):
    engine = install(bundle)
    half = writing.temporary_sibling(engine.plan_path)
    half.write_bytes(PLAN[:3])
    with build_lock(bundle, on_wait=lambda: None):
        assert not half.exists()
    assert engine.read_plan() == PLAN


def _full_disk(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
