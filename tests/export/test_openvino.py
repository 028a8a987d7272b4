"""Real graphs on OpenVINO: every form, target and merging, held to PyTorch's answers."""

from __future__ import annotations

import numpy as np
import pytest

from edgeinspect.config import Rule
from edgeinspect.parity import FP32_BUDGET, compare_outputs
from edgeinspect.runtime.session import open_session
from edgeinspect.verification import verify_bundle

from .conftest import Exported
from .test_bundling import TILE, in_torch, make_constants, make_images


def test_each_variant_computes_what_pytorch_does(each_variant: Exported) -> None:
    verify_bundle(each_variant.bundle, runtime="openvino", threads=1).require()


@pytest.mark.parametrize("rule", [Rule.PEAK, Rule.MAHALANOBIS])
def test_features_meet_the_budget_under_constants_that_count(
    of_features: Exported, rule: Rule
) -> None:
    constants = make_constants(rule, of_features.config)
    with open_session(
        of_features.bundle, runtime="openvino", batch=3, threads=1, constants=constants
    ) as session:
        found = session.infer(make_images(), TILE)
    expected = in_torch(of_features, 3, constants)
    n_placed = of_features.config.scoring.n_placed
    report = compare_outputs(expected, found, constants, FP32_BUDGET, n_placed=n_placed)
    assert report.problems == ()


@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_reaches_the_scores_of_its_image_alone(
    exported: Exported, rule: Rule, value: float
) -> None:
    constants = make_constants(rule)
    constants.map_mean[0, 1, 1, 3, 3] = value
    with open_session(
        exported.bundle, runtime="openvino", batch=3, threads=1, constants=constants
    ) as session:
        found = session.infer(make_images(), TILE)
    for scores in (found.score, found.local_score, found.global_score):
        assert np.isfinite(scores).tolist() == [True, False, True]


def test_a_distance_beyond_all_numbers_is_no_small_one(exported: Exported) -> None:
    constants = make_constants(Rule.MAHALANOBIS)
    constants.stat_inv_std[:] = 1e25
    constants.precision[0, 1:] = constants.precision[1:, 0] = -0.1
    with open_session(
        exported.bundle, runtime="openvino", batch=3, threads=1, constants=constants
    ) as session:
        found = session.infer(make_images(), TILE)
    assert np.isfinite(found.local_score).all()
    assert not np.isfinite(found.score).any()
