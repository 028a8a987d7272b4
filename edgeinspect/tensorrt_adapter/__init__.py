"""TensorRT in all its flavours and versions: the one place that knows how they differ.

    flavours.py  what is installed, and the logger that TensorRT's messages go to
    builders.py  from an ONNX graph to a plan
    loading.py   from a plan to an engine

Written for TensorRT 10.3 (JetPack 6.1) to 11.4 and TensorRT-RTX 1.7. Their Python modules have the
same names for the same things, so every function takes the module (`trt`) and asks for what not
all versions have by its name. Networks are strongly typed, so no version needs a precision flag.

A contract test (tests/test_tensorrt_contract.py) reads these files and all others that use a
TensorRT module, and holds each name to the API of every version. It follows types from parameters
annotated as `trt.CLASS` through the calls on them; a name that a version lacks must stand in a
function that asks for it with `hasattr`.
"""

from __future__ import annotations

from edgeinspect.tensorrt_adapter.builders import (
    BuilderOptions,
    add_profile,
    build_plan,
    can_run,
    configure,
    create_builder,
    create_network,
    known_targets,
    matrix_types,
    output_types,
    parse_graph,
    progress_monitor,
    timing_cache_of,
)
from edgeinspect.tensorrt_adapter.flavours import (
    Flavour,
    TensorRT,
    find_tensorrt,
    installed_flavours,
    recent_errors,
    recent_reason,
)
from edgeinspect.tensorrt_adapter.loading import deserialise_engine, engine_information

__all__ = [
    "BuilderOptions",
    "Flavour",
    "TensorRT",
    "add_profile",
    "build_plan",
    "can_run",
    "configure",
    "create_builder",
    "create_network",
    "deserialise_engine",
    "engine_information",
    "find_tensorrt",
    "installed_flavours",
    "known_targets",
    "matrix_types",
    "output_types",
    "parse_graph",
    "progress_monitor",
    "recent_errors",
    "recent_reason",
    "timing_cache_of",
]
