"""From a training run to a bundle: the graphs, their check against PyTorch, and the folder.

    graph.py       generator, fusion and scoring as the two modules that are exported
    joined.py      both complements of a scale as one picture, the last steps of those
    onnx_graph.py  torch -> ONNX (the one place that knows torch's exporter)
    half.py        the scoring graph in FP16, with ranges.py, products.py and precision.py around it
    operators.py   what the oldest TensorRT parser reads
    graph_flops.py operations of a graph, by node and by type
    weights.py     one file of weights for the graphs of one precision
    golden.py      a few images and PyTorch's answers, which every runtime is held to
    bundling.py    all of it, in order

Needs torch and the packages of the extra `train`; what it writes needs neither.
"""

from __future__ import annotations

from edgeinspect.export.bundling import export_run

__all__ = ["export_run"]
