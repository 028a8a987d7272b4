"""Which engines may bring code of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeinspect.cli.main import build_app
from edgeinspect.engines import VERSION_COMPATIBLE, require_trusted, trust_engines
from edgeinspect.engines.trust import remember_plan
from edgeinspect.errors import EngineError, OutputError
from tests.bundles import make_bundle
from tests.engines.receipts import KEY, RECEIPT, install

WITH_CODE = replace(KEY, flags=(VERSION_COMPATIBLE,))
RECEIPT_WITH_CODE = replace(RECEIPT, key=WITH_CODE)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path, calibrated=False)


def test_an_engine_without_code_of_its_own_needs_no_trust(tmp_path: Path) -> None:
    require_trusted(RECEIPT, tmp_path)


def test_a_plan_that_was_let_may_run_and_no_other(tmp_path: Path) -> None:
    for digest in ("0" * 64, RECEIPT.plan_sha256):
        remember_plan(digest)
    require_trusted(RECEIPT_WITH_CODE, tmp_path)
    with pytest.raises(EngineError, match="brings code that would run here"):
        require_trusted(replace(RECEIPT_WITH_CODE, plan_sha256="1" * 64), tmp_path)


def test_the_command_lets_the_engines_that_are_there(bundle: Path) -> None:
    engine = install(bundle, WITH_CODE)
    result = CliRunner().invoke(build_app("build-engine"), ["build-engine", str(bundle), "--trust"])
    assert (result.exit_code, str(engine.plan_path) in result.stdout) == (0, True)
    require_trusted(engine.receipt, bundle)


def test_a_plan_that_is_not_the_receipts_is_not_let(bundle: Path) -> None:
    engine = install(bundle, WITH_CODE)
    engine.plan_path.write_bytes(b"x" * engine.receipt.plan_bytes)
    with pytest.raises(EngineError, match="damaged"):
        trust_engines(bundle)
    with pytest.raises(EngineError, match="brings code"):
        require_trusted(engine.receipt, bundle)


def test_a_bundle_without_such_engines_says_so(bundle: Path) -> None:
    install(bundle)
    with pytest.raises(EngineError, match="no version-compatible engine"):
        trust_engines(bundle)


def test_where_nothing_can_be_kept_is_an_error_of_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"cannot write .*trusted_plans"):
        remember_plan("0" * 64)
