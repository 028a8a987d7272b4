"""What people look at: charts and pages, each one text without any outside file."""

from __future__ import annotations

from edgeinspect.report.charts import Curve, ScoreGroup, roc_chart, score_chart

__all__ = ["Curve", "ScoreGroup", "roc_chart", "score_chart"]
