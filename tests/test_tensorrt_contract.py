"""The code uses only what each version of TensorRT has, or asks for it by name first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tensorrt_names import Listing, Use, missing, returns_of, uses_in

ROOT = Path(__file__).parents[1]
LISTINGS = [Listing.read(p) for p in sorted((ROOT / "tests/data/tensorrt_api").glob("*.json"))]
FILES = sorted(p for p in (ROOT / "edgeinspect").rglob("*.py") if "trt" in p.read_text())
RETURNS = {name: kind for path in FILES for name, kind in returns_of(path.read_text()).items()}
BY_NAME = {listing.name: listing for listing in LISTINGS}


def _uses(listing: Listing) -> list[Use]:
    found = []
    for path in FILES:
        place = str(path.relative_to(ROOT))
        found += uses_in(path.read_text(), place, listing, RETURNS)
    return found


def _names(source: str, version: str = "10.3.0") -> list[str]:
    """OWNER.NAME of what a version lacks in a piece of code."""
    listing = BY_NAME[version]
    uses = uses_in(source, "x.py", listing, RETURNS)
    return [f"{use.owner}.{use.name}" for use in uses if missing(use, listing)]


def test_the_versions_are_those_promised() -> None:
    assert set(BY_NAME) == {"10.3.0", "10.16.1.11", "11.4.0.106", "rtx-1.7.1.116"}


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda listing: listing.name)
def test_every_name_that_the_code_uses_is_there_or_asked_for(listing: Listing) -> None:
    lacking = [str(use) for use in _uses(listing) if missing(use, listing)]
    assert lacking == []


def test_every_name_that_is_used_exists_in_some_version() -> None:
    uses = {(use.owner.removeprefix("type:"), use.name) for v in LISTINGS for use in _uses(v)}
    unknown = [f"{o}.{n}" for o, n in uses if not any(v.has(o, n) for v in LISTINGS)]
    assert unknown == []


def test_names_are_found_in_all_that_building_takes() -> None:
    owners = {use.owner for use in _uses(BY_NAME["rtx-1.7.1.116"])}
    assert owners >= {
        "module",
        "Builder",
        "IBuilderConfig",
        "INetworkDefinition",
        "IOptimizationProfile",
        "OnnxParser",
        "ParserError",
        "ILayer",
        "ITensor",
        "Runtime",
        "ICudaEngine",
        "EngineInspector",
        "type:BuilderFlag",
        "type:LayerType",
    }


@pytest.mark.parametrize(
    ("source", "lacking"),
    [
        ("def f(trt): trt.Bilder(1)", "module.Bilder"),
        ("def f(trt): trt.BuilderFlag.STRICT_NANS", "type:BuilderFlag.STRICT_NANS"),
        ("def f(trt): trt.ILogger.Severity.DEBUG", "type:ILogger.Severity.DEBUG"),
        ("def f(c: trt.IBuilderConfig): c.num_compute_capabilities = 1", "num_compute_cap"),
        ("def f(trt): b = trt.Builder(1); b.create_network(0).add_attention()", "add_attention"),
        ("def f(n: trt.INetworkDefinition):\n [l.kind for l in [n.get_layer(0)]]", "ILayer.kind"),
        ("def f(trt):\n class M(trt.IProgressMonitor):\n  def phase_began(self): pass", "phase_be"),
        ("class S:\n def f(self):\n  self.e: trt.ICudaEngine = 1\n  self.e.size", "Engine.size"),
        ("def f(trt): deserialise_engine(trt, b'').refit()", "ICudaEngine.refit"),
    ],
)
def test_a_name_that_is_not_there_is_found(source: str, lacking: str) -> None:
    assert any(lacking in name for name in _names(source))


def test_a_name_that_the_function_asks_for_may_be_lacking() -> None:
    body = "return trt.ComputeCapability.SM86"
    assert _names(f"def f(trt):\n {body}")
    assert not _names(f"def f(trt):\n if hasattr(trt, 'ComputeCapability'):\n  {body}")


def test_asking_for_a_name_that_the_version_has_excuses_nothing() -> None:
    assert _names("def f(trt):\n if hasattr(trt, 'Builder'):\n  return trt.ComputeCapability")


@pytest.mark.tensorrt
def test_the_listing_of_the_installed_version_is_true() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    listing = BY_NAME.get(f"rtx-{trt.__version__}")
    if listing is None:
        pytest.skip(f"there is no listing of TensorRT-RTX {trt.__version__}")
    assert all(hasattr(trt, name) for name in listing.module)
    for kind, members in listing.classes.items():
        assert all(hasattr(getattr(trt, kind), name) for name in members), kind
