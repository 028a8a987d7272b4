"""From reconstructions to a score (eq. 7 to 9): what is exported after the generator.

image, reconstruction -> `measures` (error maps) -> `maps` (normalised, blurred) -> `statistics`
-> `rules` (local, global and paper's score, scale, anomaly map). Pure functions in FP32; all after
the error maps is `score_maps`. What good parts teach is not in the graph: it comes in as
`RuleInputs`.

Everything here has static shapes but for the batch, no scatter, no branch on data and no matrix
product, so that every ONNX runtime and TensorRT take it as it is.
"""

from __future__ import annotations

from edgeinspect.scoring.measures import error_maps
from edgeinspect.scoring.path import RuleInputs, ScoreOutputs, score_maps

__all__ = ["RuleInputs", "ScoreOutputs", "error_maps", "score_maps"]
