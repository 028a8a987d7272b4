"""What a bundle is worth on labelled pictures, and whether something trivial would do as well.

parts.py      pictures through a session: one score and one map a part
baselines.py  scores that need no training, and pictures brought to equal mean and spread
evaluate.py   both, over a test folder
results.py    the figures, and the files they are written to
rows.py       defect, reconstruction, residual, heat map and ground truth side by side
"""

from __future__ import annotations

from edgeinspect.evaluation.evaluate import EvaluationSettings, evaluate, evaluate_into
from edgeinspect.evaluation.results import Evaluation

__all__ = ["Evaluation", "EvaluationSettings", "evaluate", "evaluate_into"]
