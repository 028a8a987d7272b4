"""The demo: its parts, its page as a browser shows it, and where it refuses to write."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgeinspect.bundle import read_bundle
from edgeinspect.cli.main import build_app
from edgeinspect.data.synthetic.defects import DefectKind
from edgeinspect.errors import NotCalibratedError, OutputError
from edgeinspect.report.demo import PACKAGED_BUNDLE, demo_parts, make_demo
from tests.bundles import make_bundle
from tests.chromium import look_at

PACKAGED_LIMIT_BYTES = 8e6  # weights that a wheel may carry for a demo, in FP32 and FP16
PACKAGED_AUROC = 0.95  # of the demo parts; 0.977 when the bundle was trained


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


def test_every_kind_of_defect_is_shown_as_often() -> None:
    parts = demo_parts(n_good=4, n_per_kind=2, seed=0)
    counts = Counter(part.truth for part in parts)
    assert counts == {"good": 4, **{kind.value: 2 for kind in DefectKind}}


def test_a_seed_gives_the_same_parts_and_another_gives_others() -> None:
    first, again, other = (demo_parts(n_good=2, n_per_kind=0, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first[0].picture, again[0].picture)
    assert not np.array_equal(first[0].picture, other[0].picture)


def test_chromium_shows_a_card_for_every_part(bundle: Path, tmp_path: Path) -> None:
    told = _run("--out", str(tmp_path / "demo"), "--bundle", str(bundle), "--json")
    seen = look_at(tmp_path / "demo" / "index.html", tmp_path)
    assert seen.title == "Inspection of 30 synthetic parts"
    assert seen.n_parts == told["n_parts"] == 30
    assert seen.n_charts == 2
    assert f"{told['auroc']:.3f}" in seen.text
    assert told["n_ok"] + told["n_ng"] + told["n_not_inspected"] == 30
    assert (seen.addresses, seen.console) == ([], [])


def test_good_parts_alone_make_a_page_without_curves(bundle: Path, tmp_path: Path) -> None:
    page = make_demo(tmp_path, bundle=bundle, n_good=3, n_per_kind=0)
    assert (page.auroc, page.charts) == (None, ())
    assert (tmp_path / "index.html").stat().st_size > 0


def test_a_page_is_not_replaced_unless_asked(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(OutputError, match="add --force"):
        make_demo(tmp_path, bundle=bundle)
    assert (tmp_path / "index.html").read_text() == "mine"
    make_demo(tmp_path, bundle=bundle, n_good=2, n_per_kind=0, force=True)
    assert (tmp_path / "index.html").read_text() != "mine"


def test_a_file_in_place_of_the_folder_is_named(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        make_demo(tmp_path / "demo", bundle=bundle)


def test_nothing_is_written_when_the_bundle_cannot_judge(tmp_path: Path) -> None:
    raw = make_bundle(tmp_path, calibrated=False)
    with pytest.raises(NotCalibratedError):
        make_demo(tmp_path / "demo", bundle=raw)
    assert not (tmp_path / "demo").exists()


def test_the_packaged_bundle_is_small_and_whole() -> None:
    bundle = read_bundle(PACKAGED_BUNDLE)
    n_bytes = sum(path.stat().st_size for path in PACKAGED_BUNDLE.glob("weights_*.bin"))
    assert n_bytes < PACKAGED_LIMIT_BYTES
    assert bundle.require_calibration().threshold.n_good > 0


def test_the_packaged_bundle_tells_defects_from_good_parts(tmp_path: Path) -> None:
    page = make_demo(tmp_path, threads=1)
    assert page.auroc is not None
    assert page.auroc >= PACKAGED_AUROC


def _run(*words: str) -> dict[str, float]:
    done = CliRunner().invoke(build_app("demo"), ["demo", *words])
    assert done.exit_code == 0, done.output
    found: dict[str, float] = json.loads(done.stdout)
    return found
