"""What constant masks save is not in the exported graph: its operations, counted node by node."""

from __future__ import annotations

from collections import Counter

import onnx
import pytest

from benchmarks.flops import count_flops
from edgeinspect.config import Form, GeneratorConfig, Precision, Prior, Target
from edgeinspect.export.graph_flops import flops_by_node, flops_by_type
from edgeinspect.node_names import module_of

from .conftest import MERGE, Exported, Exporting

PARTS = {
    "generator.encoder.embedding": "embedding",
    "generator.form.fill_embedding": "embedding",
    "generator.encoder": "encoder",
    "generator.form": "decoder",
    "generator.head": "head",
    "generator.fill": "fill",
    "smoothing": "smoothing",
}


def load(made: Exported, precision: Precision = Precision.FP32) -> onnx.ModelProto:
    return onnx.load(made.bundle.graph_path(precision))


def flops_by_part(model: onnx.ModelProto) -> Counter[str]:
    """Operations of the generator, by the names of `GeneratorFlops`."""
    totals = Counter[str]()
    for name, flops in flops_by_node(model).items():
        module = name.partition("/")[0]
        inside = [m for m in PARTS if module == m or module.startswith(f"{m}.")]
        if inside:
            totals[PARTS[inside[0]]] += flops
    return totals


@pytest.mark.parametrize(
    ("merge", "prior"), [(0, Prior.FILL), (MERGE, Prior.FILL), (0, Prior.NONE)]
)
@pytest.mark.parametrize("form", list(Form))
def test_the_graph_costs_what_the_model_is_said_to(
    export_once: Exporting, form: Form, merge: int, prior: Prior
) -> None:
    made = export_once(form, Target.PIXELS, merge, prior)
    counted = count_flops(made.config.generator)
    expected = Counter({part: getattr(counted, part) for part in set(PARTS.values())})
    expected["smoothing"] = expected["smoothing"] // 3 * 4  # the luminance is a fourth colour
    assert flops_by_part(load(made)) == expected


def embedded_once(config: GeneratorConfig, n_images: int, width: int) -> int:
    return 2 * n_images * config.n_tokens * config.patch**2 * 3 * width


def test_patches_are_embedded_once_an_image_and_not_once_a_pass(each_exported: Exported) -> None:
    config, model = each_exported.config.generator, load(each_exported)
    found = flops_by_part(model)["embedding"]
    of_images = embedded_once(config, 1, config.width)
    of_fills = embedded_once(config, config.n_scales, config.width)
    assert found == of_images + of_fills  # six passes would be six of the first


def test_only_removed_tokens_become_pixels_in_cross(export_once: Exporting) -> None:
    heads = [flops_by_part(load(export_once(form)))["head"] for form in (Form.CROSS, Form.ALL)]
    assert 2 * heads[0] == heads[1]


def test_all_gathers_of_the_generator_have_constant_indices(each_exported: Exported) -> None:
    model = load(each_exported)
    constants = {tensor.name for tensor in model.graph.initializer}
    gathers = [
        node
        for node in model.graph.node
        if node.op_type.startswith("Gather") and module_of(node).startswith(("generator", "joined"))
    ]
    assert all(node.op_type == "Gather" and node.input[1] in constants for node in gathers)


def test_nothing_is_computed_from_constants_alone(each_exported: Exported) -> None:
    model = load(each_exported)
    constants = {tensor.name for tensor in model.graph.initializer}
    assert not [n.name for n in model.graph.node if constants.issuperset(n.input)]


def test_the_fp16_graph_costs_the_same(each_exported: Exported) -> None:
    half, full = (load(each_exported, precision) for precision in (Precision.FP16, Precision.FP32))
    assert sum(flops_by_node(half).values()) == sum(flops_by_node(full).values())


def test_most_operations_of_the_fp16_graph_are_fp16(each_exported: Exported) -> None:
    by_type = flops_by_type(load(each_exported, Precision.FP16))
    assert set(by_type) == {"float16", "float32"}
    assert by_type["float16"] > 2 * by_type["float32"]
