"""A whole bench of a small bundle, on the CPU."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeinspect.bench import baseline, bundle_bench, row, variants
from edgeinspect.bench.bundle_bench import BenchSettings, bench_bundle
from edgeinspect.bench.machine import read_hardware
from edgeinspect.bench.measuring import Case, Rounds, WarmUp
from edgeinspect.bench.pictures import open_pictures
from edgeinspect.bench.results import BenchReport
from edgeinspect.bench.stages import measure_stages
from edgeinspect.bench.variants import LeftOut, Variant, VariantKey, variant_keys
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Precision, ResizeRule
from edgeinspect.data.images import save_picture
from edgeinspect.errors import (
    BundleError,
    ConfigError,
    DataError,
    EngineError,
    MissingPackageError,
)
from edgeinspect.runtime.session import DeviceTimes, Images, Ints, Scores, open_session
from tests.bundles import bad_picture, good_picture, make_bundle

QUICK = BenchSettings(batches=(1, 2), rounds=6, threads=1, has_baseline=False)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle"), has_golden=True))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(3):
        save_picture(folder / f"{i}.png", good_picture(i, (96, 80)))
    return folder


@pytest.fixture(scope="module", autouse=True)
def quick_peak() -> None:
    """The peak of a small product is as good as any here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgeinspect.bench.roofline.CPU_SIDE", 64)
        patch.setattr("edgeinspect.bench.roofline.CPU_VALUES", 1 << 12)
        patch.setattr(row, "STAGES_S", 0.01)
        yield


@pytest.fixture(scope="module")
def found(bundle: Bundle, pictures: Path, quick_peak: None) -> BenchReport:
    return bench_bundle(bundle, QUICK, data=pictures)


def test_int8_is_measured_beside_fp32_where_the_bundle_has_it(tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path, has_golden=True, has_int8=True))
    settings = dataclasses.replace(QUICK, runtimes=("onnxruntime",), batches=(1,))
    found = bench_bundle(bundle, settings)
    assert [v.precision for v in found.variants] == ["fp32", "int8"]
    assert found.variants[1].roofline is None
    assert "there is no roofline of int8: its products are of two types" in found.notes


def test_every_batch_has_its_row_with_stages_and_parity(found: BenchReport) -> None:
    assert [v.name for v in found.variants] == [
        "onnxruntime fp32 batch 1",
        "onnxruntime fp32 batch 2",
        "openvino fp32 batch 1",
        "openvino fp32 batch 2",
    ]
    for one in found.variants:
        assert one.latency.p50_ms > 0
        assert one.stages_ms is not None
        assert {"decode", "resize", "compute", "post_process", "record"} <= set(one.stages_ms)
        assert one.parity is not None
        assert one.parity["is_within"]


def test_runtimes_that_are_not_there_are_left_out_with_the_reason(found: BenchReport) -> None:
    assert {one["name"] for one in found.left_out} >= {"onnxruntime-cuda", "tensorrt"}
    assert all(one["why"] for one in found.left_out)


def test_the_report_is_json_that_says_what_was_measured_on_what(found: BenchReport) -> None:
    plain = json.loads(found.to_json())
    assert plain["schema"] == 1
    assert plain["pictures"]["n_pictures"] == 3
    assert plain["bundle"]["calibration"]["false_reject_rate"] == 0.05
    assert plain["hardware"]["n_cores"] >= 1
    assert len(plain["states"]) == 7  # before, and after each round


def test_the_unoptimised_model_is_measured_in_the_same_rounds(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    seen: list[str] = []

    def few(cases: list[Case], n: int, **rest: object) -> list[Rounds]:
        seen.extend(case.name for case in cases)
        warm = WarmUp(n_calls=1, is_stable=True, last_ms=1.0)
        times = [np.full((n, 1), 30.0 if "unopt" in c.name else 10.0 * c.batch) for c in cases]
        return [Rounds(case=c, warm_up=warm, times_ms=t) for c, t in zip(cases, times, strict=True)]

    monkeypatch.setattr(bundle_bench, "measure_rounds", few)
    report = bench_bundle(bundle, dataclasses.replace(QUICK, has_baseline=True))
    assert seen[0] == "unoptimised"
    assert [v.ratio.value for v in report.variants if v.ratio] == pytest.approx([3.0] * 4)
    assert "preset nano" in report.baselines[0].description


@pytest.mark.parametrize(("asked", "given"), [(None, read_hardware().n_cores), (1, 1)])
def test_the_unoptimised_model_has_as_many_threads_as_the_variants(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle, asked: int | None, given: int
) -> None:
    seen: list[int] = []

    class Counted(baseline.Baseline):
        def __init__(self, *args: Any, threads: int, **rest: Any) -> None:
            seen.append(threads)
            super().__init__(*args, threads=threads, **rest)

    monkeypatch.setattr(baseline, "Baseline", Counted)
    settings = dataclasses.replace(QUICK, runtimes=("onnxruntime",), batches=(1,))
    bench_bundle(bundle, dataclasses.replace(settings, has_baseline=True, threads=asked))
    assert seen == [given]


def test_without_torch_the_reference_is_named_and_the_ratio_left_out(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else real(name)
    )
    report = bench_bundle(bundle, dataclasses.replace(QUICK, has_baseline=True))
    (base,) = report.baselines
    assert base.latency is None
    assert "torch is not installed" in (base.why_not or "")
    assert "the unoptimised nano" in (base.why_not or "")
    assert all(v.ratio is None for v in report.variants)
    assert any("roofline" in note for note in report.notes)


def test_an_uncalibrated_bundle_has_no_stages_and_says_so(tmp_path: Path) -> None:
    path = make_bundle(tmp_path, has_golden=True, calibrated=False)
    report = bench_bundle(read_bundle(path), QUICK)
    assert all(v.stages_ms is None for v in report.variants)
    assert any("not calibrated" in note for note in report.notes)


def test_a_bundle_without_golden_images_needs_pictures(tmp_path: Path, pictures: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path))
    with pytest.raises(DataError, match="no golden images"):
        bench_bundle(bundle, QUICK)
    report = bench_bundle(bundle, QUICK, data=pictures)
    assert any("no parity" in note for note in report.notes)


def test_a_folder_without_pictures_is_named(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        bench_bundle(bundle, QUICK, data=tmp_path)


def test_a_runtime_that_was_named_must_be_ready(bundle: Bundle) -> None:
    for name in ("onnxruntime-cuda", "tensorrt"):
        with pytest.raises((EngineError, MissingPackageError)):
            bench_bundle(bundle, dataclasses.replace(QUICK, runtimes=(name,)))
    with pytest.raises(EngineError, match="no runtime 'fast'"):
        bench_bundle(bundle, dataclasses.replace(QUICK, runtimes=("fast",)))


@pytest.mark.parametrize("bad", [{"batches": (0,)}, {"batches": ()}, {"rounds": 5}])
def test_settings_that_cannot_be_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        BenchSettings(**bad)


class OnDevice:
    """A session of the CPU that tells times of a device as well."""

    def __init__(self, inner: object) -> None:
        self._inner = inner
        self.name = "onnxruntime"

    def infer(self, images: Images, tile: Ints, *, map_above: float | None = None) -> Scores:
        scores: Scores = self._inner.infer(images, tile, map_above=map_above)
        return scores

    def device_times(self, n_images: int, n_times: int) -> list[DeviceTimes]:
        return [DeviceTimes(copy_in_ms=0.01, compute_ms=0.02, copy_out_ms=0.03)] * n_times

    def device_ms(self, n_images: int, n_times: int) -> list[float]:
        return [0.001] * n_times


def test_a_device_s_time_is_told_apart_from_the_host_s(bundle: Bundle, pictures: Path) -> None:
    key = VariantKey(runtime="onnxruntime", precision=Precision.FP32, batch=1, threads=1)
    with open_session(bundle, threads=1) as session, open_pictures(bundle, pictures) as found:
        variant = Variant(key, OnDevice(session), found, n_tiles=1, map_above=np.inf)
        stages = measure_stages(bundle, variant, found, n_calls=3)
        assert (stages.copy_in, stages.compute, stages.copy_out) == (0.01, 0.02, 0.03)
        assert stages.host is not None
        assert stages.host > 0
        assert row._device_ms(variant) == 0.001


@pytest.mark.parametrize("batch", [4, 6])
def test_parts_of_several_tiles_fill_a_batch_as_in_run(tmp_path: Path, batch: int) -> None:
    bundle = read_bundle(make_bundle(tmp_path, resize=ResizeRule.TILE, has_golden=True))
    folder = tmp_path / "wide"
    folder.mkdir()
    save_picture(folder / "wide.png", bad_picture(0, (64, 160)))
    key = VariantKey(runtime="onnxruntime", precision=Precision.FP32, batch=batch, threads=1)
    with open_session(bundle, threads=1) as session, open_pictures(bundle, folder) as found:
        assert found.tiles_of_one == 3
        variant = Variant(key, session, found, n_tiles=1, map_above=np.inf)
        stages = measure_stages(bundle, variant, found, n_calls=2)
    assert stages.n_parts == 2
    assert stages.calls_ms.shape == (2,)


@pytest.mark.parametrize("batch", [1, 3, 6])
def test_a_part_of_several_tiles_has_the_device_s_time_of_all_of_them(
    tmp_path: Path, batch: int
) -> None:
    bundle = read_bundle(make_bundle(tmp_path, resize=ResizeRule.TILE, has_golden=True))
    folder = tmp_path / "wide"
    folder.mkdir()
    save_picture(folder / "wide.png", bad_picture(0, (64, 160)))  # three tiles
    key = VariantKey(runtime="onnxruntime", precision=Precision.FP32, batch=batch, threads=1)
    with open_session(bundle, threads=1) as session, open_pictures(bundle, folder) as found:
        variant = Variant(key, OnDevice(session), found, n_tiles=1, map_above=np.inf)
        stages = measure_stages(bundle, variant, found, n_calls=2)
    assert stages.compute == pytest.approx(0.02 * 3 / batch)


def test_a_runtime_that_the_bundle_has_no_graph_for_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "check_runtime", lambda name: None)
    bundle = read_bundle(make_bundle(tmp_path))  # of before there were graphs in FP16

    def search(runtimes: tuple[str, ...] | None) -> tuple[list[VariantKey], list[LeftOut]]:
        return variant_keys(
            bundle, runtimes=runtimes, precisions=None, batches=(1,), threads=(None,)
        )

    keys, left_out = search(None)
    assert [key.runtime for key in keys] == ["onnxruntime", "onnxruntime-cuda", "openvino"]
    assert [one.name for one in left_out] == ["tensorrt", "tensorrt-rtx"]
    assert "holds no graph_fp16.onnx" in left_out[0].why
    with pytest.raises(BundleError, match=r"holds no graph_fp16.onnx"):
        search(("tensorrt",))


def test_a_batch_beyond_all_memory_is_refused(bundle: Bundle) -> None:
    with (
        open_pictures(bundle, None) as pictures,
        pytest.raises(ConfigError, match="do not fit into memory; use a smaller --batch"),
    ):
        pictures.batch(10**13)
