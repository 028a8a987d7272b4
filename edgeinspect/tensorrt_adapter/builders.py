"""From an ONNX graph to a plan, in the words of every version."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from edgeinspect.errors import EngineError
from edgeinspect.progress import OnProgress
from edgeinspect.tensorrt_adapter.flavours import recent_errors, recent_reason, shared_logger

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = [
    "BuilderOptions",
    "add_profile",
    "build_plan",
    "can_run",
    "configure",
    "create_builder",
    "create_network",
    "known_targets",
    "matrix_types",
    "output_types",
    "parse_graph",
    "progress_monitor",
    "timing_cache_of",
]

_log = logging.getLogger(__name__)


def create_builder(trt: ModuleType) -> trt.Builder:
    """A builder. Raises: EngineError where TensorRT needs a GPU and there is none.

    TensorRT-RTX needs none; the others fail in their constructor.
    """
    recent_errors(trt)
    try:
        return trt.Builder(shared_logger(trt))
    except TypeError as error:
        raise EngineError(
            f"{trt.__name__} cannot start: {recent_reason(trt) or error}",
            hint="it builds on the machine with the GPU; TensorRT-RTX builds without one:"
            " add --runtime tensorrt-rtx --target sm86",
        ) from error


def create_network(trt: ModuleType, builder: trt.Builder) -> trt.INetworkDefinition:
    """A strongly typed network: types are the graph's, in every version from 10 on.

    Raises: EngineError where TensorRT is older.
    """
    flags = trt.NetworkDefinitionCreationFlag
    if not hasattr(flags, "STRONGLY_TYPED"):
        raise EngineError(
            f"{trt.__name__} {trt.__version__} is too old: it does not take a graph's own types",
            hint="use TensorRT 10.3 or later (JetPack 6.1 or later)",
        )
    return builder.create_network(1 << int(flags.STRONGLY_TYPED))  # differs between versions


@dataclass(frozen=True, slots=True, kw_only=True)
class BuilderOptions:
    """What a builder is told beside the network.

    Attributes:
        target: such as "sm86", where the flavour builds for other GPUs than the one at hand; None
            leaves it to the flavour: the GPU at hand, or any that it serves.
        workspace_mib: the most that a layer may take of the GPU for scratch.
        timing_cache: what `timing_cache_of` gave after an earlier build, b"" to begin one, None
            for none.
    """

    target: str | None
    workspace_mib: int
    is_version_compatible: bool = False
    timing_cache: bytes | None = None


def known_targets(trt: ModuleType) -> tuple[str, ...] | None:
    """Targets that the flavour can be aimed at without their GPU (TensorRT-RTX), else None."""
    if not hasattr(trt, "ComputeCapability"):
        return None
    names = trt.ComputeCapability.__members__
    return tuple(name.lower() for name in names if name.startswith("SM"))


def can_run(trt: ModuleType, target: str) -> bool:
    """Whether any engine of the flavour runs on a GPU of this target, such as sm90.

    TensorRT-RTX's portable engines run on the GPUs it has targets for and on all that are newer,
    not on those in between (seen on an H100: "has compute capability 9.0 ... not supported").
    """
    known = known_targets(trt)
    newest = max((_number(name) for name in known or ()), default=0)
    return known is None or target in known or _number(target) > newest


def _number(target: str) -> int:
    return int(target.removeprefix("sm"))


def configure(trt: ModuleType, builder: trt.Builder, options: BuilderOptions) -> trt.IBuilderConfig:
    """A builder's configuration, with all that the engine inspector will be asked for.

    Raises: EngineError if the flavour does not build for the target.
    """
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # It is on unless it is cleared, and leaves FP32 convolutions ten bits: FP16's, not FP32's.
    config.clear_flag(trt.BuilderFlag.TF32)
    if options.is_version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.target is not None:
        _aim(trt, config, options.target)
    if options.timing_cache is not None:
        cache = config.create_timing_cache(options.timing_cache)
        if not config.set_timing_cache(cache, False):
            _log.warning("the timing cache is of another GPU or version: a new one is begun")
            config.set_timing_cache(config.create_timing_cache(b""), False)
    return config


def _aim(trt: ModuleType, config: trt.IBuilderConfig, target: str) -> None:
    """Only TensorRT-RTX has compute capabilities to set; a wrong one is refused by an answer."""
    known = known_targets(trt) or ()
    if hasattr(trt, "ComputeCapability") and target in known:
        config.num_compute_capabilities = 1
        if config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), 0):
            return
    raise EngineError(
        f"{trt.__name__} {trt.__version__} does not build for {target}",
        hint=f"it builds for {', '.join(known) or 'the GPU at hand'}",
    )


def timing_cache_of(config: trt.IBuilderConfig) -> bytes:
    """What a build learned of the GPU's kernels, to make the next one faster."""
    return bytes(config.get_timing_cache().serialize())


def add_profile(
    builder: trt.Builder,
    network: trt.INetworkDefinition,
    config: trt.IBuilderConfig,
    lengths: Mapping[str, tuple[int, int, int]],
) -> None:
    """Say how long each dynamic first axis gets: (smallest, tuned, largest) by input name."""
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(tensor.shape)
        if -1 in shape:
            profile.set_shape(tensor.name, *((n, *shape[1:]) for n in lengths[tensor.name]))
    config.add_optimization_profile(profile)


def parse_graph(trt: ModuleType, network: trt.INetworkDefinition, path: Path) -> trt.OnnxParser:
    """Fill a network with an ONNX graph; the parser must outlive the build, for its weights.

    Raises: EngineError with all that the parser objects to, by node.
    """
    parser = trt.OnnxParser(network, shared_logger(trt))
    if not parser.parse_from_file(str(path)):
        errors = [_sentence(parser.get_error(i)) for i in range(parser.num_errors)]
        raise EngineError(
            f"{trt.__name__} {trt.__version__} refuses {path}:"
            f" {'; '.join(errors) or 'its parser does not say why'}",
            hint="export the bundle again, or take a newer TensorRT",
        )
    return parser


def _sentence(error: trt.ParserError) -> str:
    """The node by name and operator, and what is wrong with it."""
    name, operator = error.node_name(), error.node_operator()
    place = f"node {error.node()}" if not name else f"node {name}"
    return f"{place}{f' ({operator})' if operator else ''}: {error.desc()}"


def matrix_types(trt: ModuleType, network: trt.INetworkDefinition) -> dict[str, str]:
    """The type of the first input of each matrix product, by layer name, as "HALF"."""
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    products = [layer for layer in layers if layer.type == trt.LayerType.MATRIX_MULTIPLY]
    return {layer.name: layer.get_input(0).dtype.name for layer in products}


def output_types(trt: ModuleType, network: trt.INetworkDefinition) -> list[str]:
    """The type of each layer's first output, as "HALF"; constants and shapes left out."""
    idle = (trt.LayerType.CONSTANT, trt.LayerType.SHAPE)
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    return [layer.get_output(0).dtype.name for layer in layers if layer.type not in idle]


def progress_monitor(
    trt: ModuleType, on_progress: OnProgress, is_cancelled: Callable[[], bool]
) -> trt.IProgressMonitor:
    """A monitor that tells each phase's steps and can end a build.

    It is called on threads of TensorRT's, so nothing it calls may take long.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._n_steps: dict[str, int] = {}  # of the phases that are open, outermost first

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._n_steps[phase_name] = num_steps
            self._tell(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._tell(phase_name, step + 1)
            return not is_cancelled()

        def phase_finish(self, phase_name: str) -> None:
            self._n_steps.pop(phase_name, None)

        def _tell(self, phase_name: str, n_done: int) -> None:
            outermost = next(iter(self._n_steps), phase_name)
            name = phase_name if outermost == phase_name else f"{outermost}: {phase_name}"
            on_progress(name, n_done, self._n_steps.get(phase_name, n_done))

    return Monitor()


def build_plan(
    builder: trt.Builder, network: trt.INetworkDefinition, config: trt.IBuilderConfig
) -> bytes | None:
    """Build; seconds to many minutes. None if it failed or was cancelled (`recent_errors`)."""
    memory = builder.build_serialized_network(network, config)
    return None if memory is None else bytes(memory)
