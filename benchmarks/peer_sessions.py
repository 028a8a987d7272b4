"""A model's file in, a call out: one opener a runtime, all on one thread.

Imports are each opener's own, so that a process that opens one pays for that runtime alone: what
`start_s` of `benchmarks.peers` measures.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[], object]


def open_call(runtime: str, path: str, size: int) -> Call:
    """A call for one picture.

    Args:
        runtime: "onnxruntime", "openvino" (its own choice of precision), "openvino fp32", or
            "edgeinspect", whose path is a bundle.
    """
    return _OPENERS[runtime](path, size)


def _open_bundle(path: str, size: int) -> Call:
    from edgeinspect.bundle import read_bundle
    from edgeinspect.parity import Golden
    from edgeinspect.runtime.session import open_session

    bundle = read_bundle(Path(path))
    golden = Golden.load(bundle.golden_path)
    session = open_session(bundle, runtime="onnxruntime", threads=1, constants=golden.constants)
    image, tile = golden.images[:1], np.zeros(1, np.int32)
    return lambda: session.infer(image, tile)


def _open_onnx(path: str, size: int) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: _picture(size)}
    return lambda: session.run(None, feeds)


def _open_openvino(path: str, size: int, **settings: str) -> Call:
    openvino: Any = importlib.import_module("openvino")
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": 1, **settings})
    feeds = [_picture(size)]
    return lambda: model(feeds)


def _open_openvino_fp32(path: str, size: int) -> Call:
    return _open_openvino(path, size, INFERENCE_PRECISION_HINT="f32")


def _picture(size: int) -> np.ndarray:
    return np.random.default_rng(0).random((1, 3, size, size), dtype=np.float32)


_OPENERS: dict[str, Callable[[str, int], Call]] = {
    "edgeinspect": _open_bundle,
    "onnxruntime": _open_onnx,
    "openvino": _open_openvino,
    "openvino fp32": _open_openvino_fp32,
}
