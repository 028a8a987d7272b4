"""TensorRT-RTX as a judge of graphs: it parses and builds without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorrt_rtx as trt

LOGGER = trt.Logger(trt.Logger.ERROR)  # the first of a process is the only one that counts
LARGEST_BATCH = 4
TARGETS = ("SM75", "SM86")


def build(path: Path, targets: tuple[str, ...] = TARGETS) -> int:
    """Build a graph for several GPUs at once; the plan's bytes. No target: any Ampere or later.

    Raises: AssertionError with what the parser or the builder said.
    """
    builder = trt.Builder(LOGGER)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, LOGGER)
    is_parsed = parser.parse_from_file(str(path))
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    assert is_parsed, [(error.node_name(), error.desc()) for error in errors]
    config = builder.create_builder_config()
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        assert config.set_compute_capability(getattr(trt.ComputeCapability, target), index)
    config.add_optimization_profile(_profile(builder, network))
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, f"{path.name} does not build for {', '.join(targets) or 'any'}"
    return int(plan.nbytes)


def _profile(builder: Any, network: Any) -> Any:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        value = network.get_input(index)
        shapes = [[n if d < 0 else d for d in value.shape] for n in (1, 1, LARGEST_BATCH)]
        if -1 in list(value.shape):
            profile.set_shape(value.name, *shapes)
    return profile
