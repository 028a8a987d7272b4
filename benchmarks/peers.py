"""How fast anomalib's models are beside ours: same core, same images, same rounds.

    python3 -m venv VENV
    VENV/bin/pip install "anomalib[openvino]==2.7.0" -e ".[train]"
    VENV/bin/python -m benchmarks.peers
    python -m benchmarks.peers --rehearse          # ours alone at toy size, without anomalib

Speed only: weights and backbones are random or untrained, and nothing is said of what they find.
Each peer goes through its own export to ONNX, run by ONNX Runtime, and by OpenVINO where that is
installed, on one thread. A ratio is the peer's time over ours: above 1 ours is faster. What cannot
be built or exported is a row with the reason. Results: `benchmarks/results/peers.json`.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.util
import json
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from edgeinspect.bench.baseline import make_generator
from edgeinspect.bench.latency import median_ratio
from edgeinspect.bench.machine import read_hardware, read_versions
from edgeinspect.bench.measuring import Case, Rounds, measure_rounds
from edgeinspect.bundle import Bundle
from edgeinspect.config import PreprocessConfig, Target, preset
from edgeinspect.export.bundling import write_bundle
from edgeinspect.parity import Golden
from edgeinspect.runtime.session import open_session
from edgeinspect.writing import write_atomically

OUT = Path(__file__).parent / "results/peers.json"
OURS = ("edge", "tiny")
SIZE, TOY_SIZE = 256, 128
BANK = 20_480
N_FITTED = 8  # pictures that statistics are taken of; how many changes no time

# name: class in anomalib.models, its arguments
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "PatchCore WideResNet-50": ("Patchcore", {"backbone": "wide_resnet50_2", "pre_trained": False}),
    "PatchCore ResNet-18": ("Patchcore", {"backbone": "resnet18", "pre_trained": False}),
    "PaDiM ResNet-18": ("Padim", {"backbone": "resnet18", "pre_trained": False}),
    "FastFlow ResNet-18": ("Fastflow", {"backbone": "resnet18", "pre_trained": False}),
    "EfficientAD-S": ("EfficientAd", {"model_size": "small"}),
    "GANomaly": ("Ganomaly", {}),
    "DRAEM": ("Draem", {}),
    "Dinomaly base": ("Dinomaly", {"encoder_name": "dinov2reg_vit_base_14"}),
}


def main() -> None:
    options = _parse()
    names = [] if options.rehearse else list(PEERS)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        size = TOY_SIZE if options.rehearse else SIZE
        cases = [_our_case(name, work, size) for name in (OURS[1:] if options.rehearse else OURS)]
        image = np.random.default_rng(0).random((1, 3, size, size), dtype=np.float32)
        for name in names:
            try:
                cases += _peer_cases(name, work, image)
            except Exception as error:  # what a peer's export raises is for its row
                why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:300]
                rows.append({"system": "anomalib", "model": name, "why": why})
        rows += _rows(measure_rounds(cases, options.rounds))
    report = {
        "hardware": dataclasses.asdict(read_hardware()),
        "versions": read_versions() | _versions("anomalib", "openvino"),
        "rounds": options.rounds,
        "threads": 1,
        "is_rehearsal": options.rehearse,
        "rows": rows,
    }
    write_atomically(options.out, (json.dumps(report, indent=1) + "\n").encode())
    for row in rows:
        print(row)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rehearse", action="store_true", help="ours alone, toy size, seconds")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def _our_case(name: str, work: Path, size: int) -> Case:
    """A preset in its default form, target pixels, on ONNX Runtime's CPU."""
    config = preset(name, Target.PIXELS)
    generator = dataclasses.replace(config.generator, size=size)
    preprocess = PreprocessConfig(size=size)
    config = dataclasses.replace(config, generator=generator, preprocess=preprocess)
    bundle = write_bundle(make_generator(generator), config, work / f"{name}.bundle")
    return Case(name=f"edgeinspect|{name}|onnxruntime", batch=1, run=_session(bundle))


def _session(bundle: Bundle) -> Callable[[], object]:
    golden = Golden.load(bundle.golden_path)
    session = open_session(bundle, runtime="onnxruntime", threads=1, constants=golden.constants)
    image, tile = golden.images[:1], np.zeros(1, np.int32)
    return lambda: session.infer(image, tile)


def _peer_cases(name: str, work: Path, image: np.ndarray) -> list[Case]:
    """A peer through its own export, on each runtime that is installed."""
    import onnxruntime as ort

    kind, arguments = PEERS[name]
    model = getattr(importlib.import_module("anomalib.models"), kind)(**arguments)
    _fit(kind, model, image)
    path = model.to_onnx(work / kind / name.replace(" ", "-"), input_size=image.shape[-2:])
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: image}
    cases = [
        Case(name=f"anomalib|{name}|onnxruntime", batch=1, run=lambda: session.run(None, feeds))
    ]
    if importlib.util.find_spec("openvino") is not None:
        openvino: Any = importlib.import_module("openvino")
        settings = {"INFERENCE_NUM_THREADS": 1}
        compiled = openvino.Core().compile_model(openvino.convert_model(path), "CPU", settings)
        cases.append(Case(name=f"anomalib|{name}|openvino", batch=1, run=lambda: compiled([image])))
    return cases


def _fit(kind: str, model: Any, image: np.ndarray) -> None:
    """Statistics of noise for those that need some before they can be exported."""
    import torch

    core = model.model
    if kind in ("Patchcore", "Padim"):
        core.train()
        with torch.no_grad():
            seen = core(torch.rand(N_FITTED, *image.shape[1:]))
        if kind == "Padim":
            core.fit()
        else:
            core.memory_bank = torch.rand(BANK, seen.shape[-1])
    model.eval()


def _rows(rounds: list[Rounds]) -> list[dict[str, Any]]:
    ours = {one.case.name.split("|")[1]: one for one in rounds if "edgeinspect" in one.case.name}
    rows = []
    for one in rounds:
        system, model, runtime = one.case.name.split("|")
        row: dict[str, Any] = {
            "system": system,
            "model": model,
            "runtime": runtime,
            "p50_ms": round(float(np.median(one.times_ms)), 3),
            "images_per_s": round(1e3 / float(np.median(one.times_ms)), 2),
        }
        for name, base in ours.items():
            ratio = median_ratio(one.medians_ms, base.medians_ms)
            row[f"ratio_to_{name}"] = round(ratio.value, 3)
            row[f"ratio_to_{name}_ci95"] = [round(ratio.low, 3), round(ratio.high, 3)]
        row |= _cost_of(system)
        rows.append(row)
    return rows


def _cost_of(system: str) -> dict[str, float]:
    """Megabytes of the distributions that running takes, and CPU seconds to import them."""
    name = "edgeinspect" if system == "edgeinspect" else "anomalib"
    code = (
        "import edgeinspect.runtime.inspector"
        if name == "edgeinspect"
        else "import anomalib.models"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"install_mb": round(_megabytes(name), 1), "import_s": round(seconds, 2)}


def _megabytes(root: str) -> float:
    """Of a distribution and of all that it requires, extras left out."""
    waiting, done, n_bytes = [root], set(), 0
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in done:
            continue
        done.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        for file in found.files or []:
            path = Path(str(file.locate()))
            n_bytes += path.stat().st_size if path.is_file() else 0
        required = [text for text in found.requires or [] if "extra ==" not in text]
        waiting += [match[0] for text in required if (match := re.match(r"[\w.-]+", text))]
    return n_bytes / 1e6


def _versions(*names: str) -> dict[str, str]:
    return {n: metadata.version(n) for n in names if importlib.util.find_spec(n) is not None}


if __name__ == "__main__":
    main()
