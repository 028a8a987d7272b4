from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from edgeinspect.bundle import (
    CARD,
    MANIFEST,
    SCHEMA,
    Manifest,
    bundle_lock,
    install_calibration,
    new_bundle,
    read_bundle,
)
from edgeinspect.config import Normalisation, Precision, Rule, RunConfig, to_dict
from edgeinspect.errors import BundleError, NotCalibratedError, OutputError
from tests.bundles import calibrate_stand_in, make_bundle
from tests.stream.made_records import HANGS_S

MANIFEST_OF_NOTHING = Manifest(
    tool_version="0", name="part", config=to_dict(RunConfig()), graph={"inputs": []}
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("original"), calibrated=False)


@pytest.fixture
def bundle(tmp_path: Path, original: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "part.bundle"))


def edit_manifest(bundle: Path, **changes: object) -> None:
    plain = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps({**plain, **changes}))


def test_a_bundle_read_back_holds_what_was_put_into_it(tmp_path):
    with new_bundle(tmp_path / "a.bundle", force=False) as draft:
        (draft.folder / "card.md").write_text("hello")
        draft.manifest = MANIFEST_OF_NOTHING
    read = read_bundle(tmp_path / "a.bundle")
    assert read.config == RunConfig()
    assert read.manifest.graph == {"inputs": []}
    assert list(read.manifest.files) == ["card.md"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.bundle"]


def test_nothing_is_left_of_a_bundle_whose_making_failed(tmp_path):
    def fail_half_way() -> None:
        with new_bundle(tmp_path / "a.bundle", force=False) as draft:
            (draft.folder / "graph_fp32.onnx").write_bytes(b"half")
            raise RuntimeError("export failed")

    with pytest.raises(RuntimeError, match="export failed"):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match="no space"), new_bundle(tmp_path / "a", force=False):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_missing_elsewhere_is_not_called_trouble_with_writing(tmp_path):
    with pytest.raises(FileNotFoundError), new_bundle(tmp_path / "a.bundle", force=False):
        (tmp_path / "weights.pth").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_draft_that_cannot_be_written_is_named_as_the_bundle(tmp_path):
    def write_twice() -> None:
        with new_bundle(tmp_path / "a.bundle", force=False) as draft:
            (draft.folder / "engines").mkdir()
            (draft.folder / "engines").mkdir()

    with pytest.raises(OutputError, match=r"cannot write .*a\.bundle: a file of that name"):
        write_twice()


def test_an_existing_bundle_is_replaced_only_when_forced(bundle):
    with pytest.raises(OutputError, match="--force"), new_bundle(bundle, force=False):
        pass
    assert read_bundle(bundle).name == "part"
    with new_bundle(bundle, force=True) as draft:
        draft.manifest = MANIFEST_OF_NOTHING
    assert read_bundle(bundle).manifest.files == {}


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.jpg").write_bytes(b"sand")
    with (
        pytest.raises(OutputError, match="not a bundle"),
        new_bundle(tmp_path / "holiday", force=True),
    ):
        pass
    assert (tmp_path / "holiday" / "beach.jpg").read_bytes() == b"sand"


def test_a_missing_bundle_suggests_the_near_name(bundle):
    with pytest.raises(BundleError, match=r"did you mean .*part\.bundle"):
        read_bundle(bundle.with_name("prt.bundle"))


def test_a_folder_without_manifest_is_not_a_bundle(tmp_path):
    with pytest.raises(BundleError, match="not a bundle"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 1}', '{"schema": "new"}'])
def test_a_damaged_manifest_is_named(bundle, text):
    (bundle / MANIFEST).write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        read_bundle(bundle)


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(Manifest)])
@pytest.mark.parametrize("junk", [None, 3, "x", [], ["x"], {}, {"x": 1}], ids=repr)
def test_no_junk_in_a_manifest_is_more_than_an_error_of_the_bundle(bundle, key, junk):
    edit_manifest(bundle, **{key: junk})
    with contextlib.suppress(BundleError):
        assert read_bundle(bundle).path == bundle


def test_a_newer_schema_names_both_and_the_upgrade(bundle):
    edit_manifest(bundle, schema=SCHEMA + 1)
    with pytest.raises(BundleError, match=f"schema {SCHEMA + 1}.*up to {SCHEMA}") as caught:
        read_bundle(bundle)
    assert "pip install --upgrade edgeinspect" in str(caught.value)


@pytest.mark.parametrize("name", ["graph_fp32.onnx", "maps_fp32.onnx"])
def test_a_truncated_file_is_named(bundle, name):
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[:-1])
    with pytest.raises(BundleError, match=f"{name} is damaged or incomplete"):
        read_bundle(bundle)


def test_a_missing_file_is_named(bundle):
    (bundle / "maps_fp32.onnx").unlink()
    with pytest.raises(BundleError, match=r"lacks maps_fp32\.onnx"):
        read_bundle(bundle)


def test_a_manifest_cannot_point_outside_its_folder(bundle):
    edit_manifest(bundle, files={"../secret": "0"})
    with pytest.raises(BundleError, match="damaged"):
        read_bundle(bundle)


def test_an_unknown_setting_in_the_manifest_is_an_error_of_the_bundle(bundle):
    edit_manifest(bundle, config={**to_dict(RunConfig()), "colour": "red"})
    with pytest.raises(BundleError, match="there is no setting colour"):
        read_bundle(bundle)


def test_a_bundle_without_calibration_says_what_to_type(bundle):
    with pytest.raises(NotCalibratedError, match="edgeinspect calibrate"):
        read_bundle(bundle).require_calibration()


def test_a_precision_that_is_not_there_is_named(bundle):
    with pytest.raises(BundleError, match=r"holds no graph_fp16\.onnx"):
        read_bundle(bundle).graph_path(Precision.FP16)


def test_recalibrating_replaces_the_calibration_and_leaves_the_graph(bundle):
    before = read_bundle(bundle).manifest.files["graph_fp32.onnx"]
    for rule in (Rule.PEAK, Rule.MAHALANOBIS):
        calibration = calibrate_stand_in(bundle, rule, Normalisation.BLOCK, 1)
        after = install_calibration(read_bundle(bundle), calibration)
        assert after.require_calibration().rule is rule
    assert after.manifest.files["graph_fp32.onnx"] == before
    assert [p.name for p in bundle.glob("calibration-*")] == [after.manifest.calibration]


def test_installing_the_same_calibration_twice_changes_nothing(bundle):
    calibration = calibrate_stand_in(bundle, Rule.PEAK, Normalisation.BLOCK, 1)
    first = install_calibration(read_bundle(bundle), calibration).manifest
    assert install_calibration(read_bundle(bundle), calibration).manifest == first


@pytest.mark.parametrize("name", ["graph_fp32.onnx", "maps_fp32.onnx", "weights_fp32.bin"])
def test_a_calibration_of_another_export_is_refused(bundle, name):
    calibration = calibrate_stand_in(bundle, Rule.PEAK, Normalisation.BLOCK, 1)
    read = read_bundle(bundle)
    edit_manifest(bundle, files={**read.manifest.files, name: "0"})
    before = (bundle / MANIFEST).read_bytes()
    with pytest.raises(BundleError, match="exported anew while it was calibrated"):
        install_calibration(read, calibration)
    assert (bundle / MANIFEST).read_bytes() == before


def test_a_calibration_of_other_settings_is_refused(bundle):
    calibration = calibrate_stand_in(bundle, Rule.PEAK, Normalisation.BLOCK, 1)
    read = read_bundle(bundle)
    edit_manifest(bundle, config=to_dict(RunConfig(preset="tiny")))
    with pytest.raises(BundleError, match="exported anew while it was calibrated"):
        install_calibration(read, calibration)


def test_a_calibration_stands_beside_what_a_box_made_meanwhile(bundle):
    read = read_bundle(bundle)
    first, second = (
        calibrate_stand_in(bundle, rule, Normalisation.BLOCK, 1)
        for rule in (Rule.PEAK, Rule.MAHALANOBIS)
    )
    made = install_calibration(read, first).manifest
    shutil.copyfile(bundle / "graph_fp32.onnx", bundle / "graph_int8.onnx")
    digest = made.files["graph_fp32.onnx"]
    edit_manifest(bundle, files={**made.files, "graph_int8.onnx": digest})
    after = install_calibration(read, second)
    assert after.require_calibration().rule is Rule.MAHALANOBIS
    assert after.has_graph(Precision.INT8)


def test_a_calibration_writes_the_card_anew(bundle):
    calibration = calibrate_stand_in(bundle, Rule.PEAK, Normalisation.BLOCK, 1)
    installed = install_calibration(read_bundle(bundle), calibration)
    card = (bundle / CARD).read_bytes()
    assert f"| threshold | {calibration.threshold.value:.4g} " in card.decode()
    assert installed.manifest.files[CARD] == hashlib.sha256(card).hexdigest()


@pytest.mark.parametrize("n_written", range(4))
def test_a_calibration_that_stops_anywhere_leaves_a_whole_bundle(bundle, monkeypatch, n_written):
    """Also where there is a card that must change."""
    old = calibrate_stand_in(bundle, Rule.PEAK, Normalisation.BLOCK, 1)
    install_calibration(read_bundle(bundle), old)
    new = calibrate_stand_in(bundle, Rule.PAPER, Normalisation.BLOCK, 1)
    replace, done = os.replace, []

    def stop(source: Path, target: Path) -> None:
        if len(done) == n_written:
            raise KeyboardInterrupt
        done.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        install_calibration(read_bundle(bundle), new)
    monkeypatch.undo()
    assert read_bundle(bundle).require_calibration().rule is Rule.PEAK
    assert install_calibration(read_bundle(bundle), new).manifest.files.keys() >= {CARD}


def test_a_bundle_that_someone_else_changes_is_locked(bundle):
    is_held, is_done = threading.Event(), threading.Event()

    def hold() -> None:
        with bundle_lock(bundle):
            is_held.set()
            is_done.wait(HANGS_S)

    holder = threading.Thread(target=hold)
    holder.start()
    assert is_held.wait(HANGS_S)
    try:
        with (
            pytest.raises(BundleError, match="being changed by another process"),
            bundle_lock(bundle, timeout_s=0),
        ):
            pass
    finally:
        is_done.set()
        holder.join()
    with bundle_lock(bundle, timeout_s=0):
        assert read_bundle(bundle).calibration is None


def test_a_failed_commit_leaves_the_old_calibration_current(bundle, monkeypatch):
    old = calibrate_stand_in(bundle, Rule.PEAK, Normalisation.BLOCK, 1)
    install_calibration(read_bundle(bundle), old)
    new = calibrate_stand_in(bundle, Rule.PAPER, Normalisation.BLOCK, 1)
    replace = os.replace

    def no_manifest(source: Path, target: Path) -> None:
        if Path(target).name == MANIFEST:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", no_manifest)
    with pytest.raises(OutputError, match="no space"):
        install_calibration(read_bundle(bundle), new)
    monkeypatch.undo()
    assert read_bundle(bundle).require_calibration().rule is Rule.PEAK
