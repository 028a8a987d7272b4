"""What constant masks save: operations of the exported graph, against passes that share nothing.

    python -m benchmarks.graph_savings [--presets tiny nano]

The masks never change, so the exporter folds what depends on them alone. The reference embeds and
decodes every pass by itself, on an image whose removed pixels were set to noise: that the answers
agree shows that nothing of what was saved was needed. Weights are random.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from edgeinspect.config import Form, GeneratorConfig, RunConfig, Target, preset
from edgeinspect.export.bundling import graph_io
from edgeinspect.export.golden import golden_images, make_golden
from edgeinspect.export.graph import MAPS_OUTPUTS, InspectionGraph
from edgeinspect.export.graph_flops import flops_by_node
from edgeinspect.export.onnx_graph import cut_part, export_graph, save_graphs
from edgeinspect.model.generator import Generator
from edgeinspect.runtime.onnxruntime_session import OnnxRuntimeMaps

RESULTS = Path(__file__).parent / "results" / "graph_savings.json"
FORMS = (Form.CROSS, Form.VISIBLE)  # form `all` encodes removed tokens: it has no such savings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["nano", "tiny", "edge"])
    found: dict[str, Any] = {}
    for name in parser.parse_args().presets:
        for form in FORMS:
            config = preset(name, Target.PIXELS)
            config = replace(config, generator=replace(config.generator, form=form))
            found[f"{name} {form.value}"] = measure(config)
            print(name, form.value, found[f"{name} {form.value}"], flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def measure(config: RunConfig) -> dict[str, Any]:
    torch.manual_seed(0)
    generator = Generator(config.generator).eval()
    torch.nn.init.normal_(generator.head.weight, std=0.02)
    graph = InspectionGraph(generator, config).eval()
    images, names = golden_images([], config.preprocess)
    golden, _ = make_golden(graph, images[:1], names[:1], config)
    golden = replace(golden, images=np.repeat(golden.images, 2, axis=0))
    model = cut_part(
        export_graph(graph, graph_io(golden)),
        "maps",
        inputs=["image"],
        outputs=MAPS_OUTPUTS,
        axes={"image": {0: "batch"}},
    )
    flops = by_module(model)
    with tempfile.TemporaryDirectory() as folder:
        save_graphs({"maps.onnx": model}, Path(folder), weights="weights.bin")
        with OnnxRuntimeMaps(Path(folder) / "maps.onnx", threads=1) as maps:
            found = maps.reconstruct(golden.images[:1])[1]
    expected = reconstruct_pass_by_pass(generator, golden.images[:1])
    return {
        "gflop": round(sum(flops.values()) / 1e9, 4),
        "patch_embedding_gflop": {
            "once_an_image": round(flops["generator.encoder.embedding"] / 1e9, 4),
            "once_a_pass": round(
                config.generator.n_passes * flops["generator.encoder.embedding"] / 1e9, 4
            ),
        },
        "head_gflop": {
            "in_the_graph": round(flops["generator.head"] / 1e9, 4),
            "for_all_tokens": round(head_of_all_tokens(config.generator) / 1e9, 4),
        },
        "nodes_on_constants_alone": nodes_on_constants(model),
        "largest_difference": float(np.abs(found - expected).max()),
    }


def reconstruct_pass_by_pass(generator: Generator, images: np.ndarray) -> np.ndarray:
    """(1, I, H, W, 3): each pass from an image without its removed pixels, tables not constant."""
    image = torch.from_numpy(images).float().permute(0, 3, 1, 2) / 255
    removed = generator.masks.removed.unflatten(0, (-1, 2))  # (I, 2, 1, H, W)
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(1))
    scales = []
    for scale in range(generator.config.n_scales):
        which = torch.tensor([scale])
        fused = torch.zeros_like(image)
        for complement in range(2):
            mask = removed[scale, complement]
            fused += (
                one_pass(generator, torch.where(mask > 0, noise, image), which, complement) * mask
            )
        scales.append(fused)
    return torch.stack(scales, 1).clamp(0, 1).permute(0, 1, 3, 4, 2).numpy()


def one_pass(generator: Generator, seen: Tensor, scale: Tensor, complement: int) -> Tensor:
    """A reconstruction that can have used nothing but the pixels that the pass sees."""
    with torch.inference_mode():
        pixels: Tensor | None = generator(seen, scale).pixels
    assert pixels is not None
    return pixels[:, 0, complement]


def by_module(model: onnx.ModelProto) -> Counter[str]:
    """Operations by the first three parts of a module's name."""
    totals = Counter[str]()
    for name, flops in flops_by_node(model).items():
        totals[".".join(name.partition("/")[0].split(".")[:3])] += flops
    return totals


def head_of_all_tokens(config: GeneratorConfig) -> int:
    n_values = config.patch**2 * 3
    return config.n_passes * 2 * config.n_tokens * config.width_of_decoder * n_values


def nodes_on_constants(model: onnx.ModelProto) -> int:
    constants = {tensor.name for tensor in model.graph.initializer}
    return sum(constants.issuperset(node.input) for node in model.graph.node)


if __name__ == "__main__":
    main()
