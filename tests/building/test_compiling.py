"""Parsing and building: what is asked of TensorRT, and what its failures become."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from edgeinspect.building.compiling import N_TILE_POSITIONS, Compiled, compile_plan
from edgeinspect.building.request import Job
from edgeinspect.config import Precision
from edgeinspect.engines import BatchRange
from edgeinspect.errors import EngineError
from edgeinspect.progress import no_progress
from tests.building.fake_tensorrt import PLAN, Behaviour, fake_tensorrt
from tests.building.machines import ORIN
from tests.engines.receipts import KEY
from tests.tensorrt_names import Listing

LISTING = Listing.read(Path(__file__).parents[1] / "data/tensorrt_api/10.3.0.json")


def _compile(
    behaviour: Behaviour,
    *,
    precision: Precision = Precision.FP16,
    flags: tuple[str, ...] = (),
    **arguments: Any,
) -> Compiled:
    batch = BatchRange.parse("1,2,4")
    job = Job(
        key=type(KEY)(**{**_fields(KEY), "precision": precision, "batch": batch, "flags": flags}),
        tensorrt=fake_tensorrt(behaviour),
        gpu=ORIN,
        workspace_mib=512,
        runs_here=True,
    )
    return compile_plan(job, Path("graph.onnx"), **{"on_progress": no_progress, **arguments})


def _fields(key: Any) -> dict[str, Any]:
    return {name: getattr(key, name) for name in key.__dataclass_fields__}


def test_the_stand_in_has_names_of_its_version_only() -> None:
    trt = fake_tensorrt(Behaviour()).module
    for name in (n for n in vars(trt) if not n.startswith("_")):
        assert name in LISTING.module
        kind = getattr(trt, name)
        members = getattr(kind, "__members__", None) or [m for m in vars(kind) if m[0] != "_"]
        for member in members:
            assert LISTING.has(name, member), f"{name}.{member}"


def test_a_plan_comes_with_the_layers_it_was_built_from() -> None:
    compiled = _compile(Behaviour())
    assert compiled.plan == PLAN
    assert (compiled.layers.n_fp16, compiled.layers.is_of_engine) == (1, False)


def test_batch_and_tile_positions_set_the_dynamic_axes() -> None:
    behaviour = Behaviour()
    _compile(behaviour)
    assert behaviour.shapes["image"] == ((1, 8, 8, 3), (2, 8, 8, 3), (4, 8, 8, 3))
    assert behaviour.shapes["map_mean"][2] == (N_TILE_POSITIONS, 1)
    assert "rule" not in behaviour.shapes


def test_the_workspace_reaches_the_builder_in_bytes() -> None:
    behaviour = Behaviour()
    _compile(behaviour)
    assert behaviour.workspace_bytes == 512 << 20


def test_a_version_compatible_engine_sets_the_flag_and_no_other_does() -> None:
    asked, other = Behaviour(), Behaviour()
    _compile(asked, flags=("version-compatible",))
    _compile(other)
    assert (asked.flags, other.flags) == (["VERSION_COMPATIBLE"], [])


def test_fp32_is_fp32_not_tf32() -> None:
    behaviour = Behaviour()
    _compile(behaviour)
    assert behaviour.cleared == ["TF32"]


def test_phases_are_told_with_their_steps() -> None:
    told: list[tuple[str, int, int]] = []
    _compile(Behaviour(), on_progress=lambda *step: told.append(step))
    assert told[0] == ("parsing", 0, 1)
    assert told[-1] == ("Building engine", 3, 3)


def test_what_the_build_learned_is_kept_for_the_next() -> None:
    behaviour = Behaviour()
    assert _compile(behaviour, timing_cache=b"before").timing_cache == b"learned"
    assert behaviour.timing_caches == [b"before"]


def test_a_timing_cache_of_another_gpu_is_told_and_begun_anew(caplog) -> None:
    behaviour = Behaviour(accepts_timing_cache=False)
    _compile(behaviour, timing_cache=b"other")
    assert behaviour.timing_caches == [b"other", b""]
    assert "of another GPU or version" in caplog.text


def test_no_driver_says_where_to_build() -> None:
    with pytest.raises(EngineError, match=r"CUDA initialization failure.*; it builds on the mach"):
        _compile(Behaviour(has_gpu=False))


def test_a_tensorrt_without_typed_networks_is_too_old() -> None:
    behaviour = Behaviour(has_typed_networks=False)
    with pytest.raises(EngineError, match=r"tensorrt 10\.3\.0 is too old.*JetPack 6\.1 or later"):
        _compile(behaviour)


def test_all_that_the_parser_refuses_is_told_by_node() -> None:
    errors = (("/blocks.0/attn", "Foo", "no importer"), ("", "", "a shape is unknown"))
    with pytest.raises(EngineError) as caught:
        _compile(Behaviour(parser_errors=errors))
    assert "node /blocks.0/attn (Foo): no importer; node 7: a shape is unknown" in str(caught.value)
    assert "refuses graph.onnx" in str(caught.value)


def test_a_graph_that_claims_fp16_and_is_not_is_an_error() -> None:
    with pytest.raises(EngineError, match="claims FP16, but 1 of its 1 matrix products are not"):
        _compile(Behaviour(product_type="FLOAT"))


def test_an_fp32_graph_may_be_fp32() -> None:
    assert _compile(Behaviour(product_type="FLOAT"), precision=Precision.FP32).layers.n_fp32 == 1


@pytest.mark.parametrize(
    "message",
    [
        "[defaultAllocator.cpp] Error Code 1: Cuda Runtime (out of memory)",
        "Requested amount of GPU memory (4294967296 bytes) could not be allocated.",
        "OutOfMemory Error in computeCosts: 0 (Could not find any implementation for node x)",
    ],
)
def test_out_of_memory_says_the_smaller_workspace_to_try(message) -> None:
    with pytest.raises(EngineError, match=r"out of memory .* 512 MiB; .*--workspace-mib 256"):
        _compile(Behaviour(build_errors=(message,)))


def test_too_little_workspace_says_the_larger_one_to_try() -> None:
    message = "Error Code 10: Could not find any implementation for node {ForeignNode}"
    with pytest.raises(EngineError, match=r"within a workspace of 512 MiB.*--workspace-mib 1024"):
        _compile(Behaviour(build_errors=(message,)))


def test_another_failure_is_told_in_tensorrts_words_on_one_line() -> None:
    with pytest.raises(EngineError, match=r"could not build the engine: first second third$"):
        _compile(Behaviour(build_errors=("first", "second\nthird")))


def test_ctrl_c_ends_the_build_at_its_next_step() -> None:
    def interrupt(phase: str, done: int, total: int) -> None:
        if (phase, done) == ("Building engine", 1):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="no engine was written"):
        _compile(Behaviour(steps=1_000_000), on_progress=interrupt)
