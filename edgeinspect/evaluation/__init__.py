"""What a bundle is worth on labelled pictures, and whether something trivial would do as well.

settings.py    how it is done
reference.py   the good pictures that baselines compare with
baselines.py   scores that need no training, and pictures brought to equal mean and spread
collecting.py  test pictures through an inspector: scores, features, counted maps
summary.py     judged parts -> figures, per score, class and baseline
warnings.py    what must be known before a figure is believed
peaks.py       where a part's map is highest
figures.py     metrics with their intervals
results.py     all results as frozen values, and their plain form
rows.py        defect, reconstruction, residual, heat map and ground truth side by side
card.py        the bundle's card with what was found, and the failures
folder.py      figures, scores, charts and rows as files
evaluate.py    all of it, in order
"""

from __future__ import annotations

from edgeinspect.evaluation.evaluate import evaluate, evaluate_into
from edgeinspect.evaluation.results import Evaluation
from edgeinspect.evaluation.settings import EvaluationSettings

__all__ = ["Evaluation", "EvaluationSettings", "evaluate", "evaluate_into"]
