"""A call against what the box can do."""

from __future__ import annotations

import pytest

from edgeinspect.bench import roofline
from edgeinspect.bench.roofline import Peak, Roofline, Work, measure_peak
from edgeinspect.bench.variants import VariantKey
from edgeinspect.config import Precision
from edgeinspect.errors import EngineError
from edgeinspect.runtime import onnxruntime_graph
from tests.runtime.fake_onnxruntime import FakeOnnxRuntime, FakeSession

PEAK = Peak(runtime="onnxruntime", precision=Precision.FP32, flop_per_s=100e9, bytes_per_s=10e9)


def test_a_call_that_takes_twice_as_long_as_its_products_reached_half() -> None:
    work = Work(flop_per_image=10**9, weight_bytes=10**6, value_bytes_per_image=10**6)
    found = Roofline.of(work, PEAK, batch=2, call_ms=40)
    assert found.limit == "compute"
    assert found.share == pytest.approx(0.5)
    assert found.flop_per_s == pytest.approx(50e9)
    assert found.flop_per_byte == pytest.approx(2e9 / 3e6)


def test_weights_are_read_once_a_call_and_may_be_the_limit() -> None:
    work = Work(flop_per_image=10**6, weight_bytes=10**8, value_bytes_per_image=0)
    found = [Roofline.of(work, PEAK, batch=n, call_ms=10) for n in (1, 8)]
    assert [one.limit for one in found] == ["memory", "memory"]
    assert [one.share for one in found] == pytest.approx([1.0, 1.0])


def test_the_peak_is_measured_on_the_runtime_that_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roofline, "CPU_SIDE", 64)
    monkeypatch.setattr(roofline, "CPU_VALUES", 1 << 12)
    key = VariantKey(runtime="onnxruntime", precision=Precision.FP32, batch=1, threads=1)
    found = measure_peak(key)
    assert found is not None
    assert found.flop_per_s > 0
    assert found.bytes_per_s > 0


def test_a_box_without_memory_for_the_peak_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "GPU_SIDE", 64)
    monkeypatch.setattr(roofline, "GPU_VALUES", 1 << 12)
    ort = FakeOnnxRuntime()
    monkeypatch.setattr(onnxruntime_graph, "load_onnxruntime", lambda: ort)
    key = VariantKey(runtime="onnxruntime-cuda", precision=Precision.FP32, batch=1)

    def fail(*arguments: object) -> None:
        raise RuntimeError("Failed to allocate memory for requested buffer of size 1073741824")

    monkeypatch.setattr(FakeSession, "run_with_iobinding", fail)
    assert measure_peak(key) is None


def test_engines_without_cuda_of_onnx_runtime_have_no_peak() -> None:
    key = VariantKey(runtime="tensorrt", precision=Precision.FP16, batch=1)
    assert measure_peak(key) is None


def test_engines_are_measured_where_onnx_runtime_cannot_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise EngineError("cores are off")

    monkeypatch.setattr(onnxruntime_graph, "load_onnxruntime", fail)
    key = VariantKey(runtime="tensorrt", precision=Precision.FP16, batch=1)
    assert measure_peak(key) is None
