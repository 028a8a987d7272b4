from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.config import Normalisation, Rule
from edgeinspect.constants import Calibration, RuleConstants, Threshold, one_hot
from edgeinspect.errors import BundleError


def some_constants(rule: Rule = Rule.PEAK, n_tiles: int = 1, seed: int = 0) -> RuleConstants:
    rng = np.random.default_rng(seed)
    neutral = RuleConstants.neutral(
        n_measures=2, n_scales=3, size=8, n_statistics=24, n_tiles=n_tiles
    )
    return RuleConstants(
        **{name: rng.normal(size=a.shape) for name, a in neutral.as_inputs().items()}
        | {"rule": one_hot(rule)}
    )


def some_calibration(rule: Rule = Rule.PEAK, n_tiles: int = 1, seed: int = 0) -> Calibration:
    return Calibration(
        constants=some_constants(rule, n_tiles, seed),
        threshold=Threshold(
            value=1.5,
            false_reject_rate=0.01,
            interval=(1.0, 2.0),
            rate_interval=(0.0, 0.03),
            method="tail",
            n_good=3,
        ),
        rule=rule,
        normalisation=Normalisation.PIXEL,
        measures=("l1", "ssim"),
        good_scores=np.array([0.1, 0.2, 0.3]),
        good_local=np.array([1.1, 1.2, 1.3]),
        good_global=np.array([2.1, 2.2, 2.3]),
        good_names=("ä.png", "b.png", "c.png"),
        selection={"tried": [{"rule": "peak", "auroc": 0.9}]},
        tile_places=((0, 0), (5, 0)),
    )


def test_neutral_constants_leave_maps_and_statistics_as_they_are():
    constants = RuleConstants.neutral(n_measures=2, n_scales=3, size=8, n_statistics=24)
    maps = np.random.default_rng(0).random((1, 2, 3, 8, 8), np.float32)
    assert np.array_equal((maps - constants.map_mean) * constants.map_inv_std, maps)
    statistics = np.arange(24, dtype=np.float32)
    z = (statistics - constants.stat_mean) * constants.stat_inv_std
    assert np.array_equal(z, statistics)
    assert np.array_equal(constants.precision @ z, z)


@pytest.mark.parametrize("rule", list(Rule))
def test_one_hot_points_at_the_rule_in_the_order_of_the_config(rule):
    assert list(Rule)[int(one_hot(rule).argmax())] is rule
    assert one_hot(rule).sum() == 1


def test_inputs_of_the_graph_are_float32_and_contiguous():
    constants = some_constants()
    assert set(constants.as_inputs()) == {f.name for f in dataclasses.fields(RuleConstants)}
    for array in constants.as_inputs().values():
        assert array.dtype == np.float32
        assert array.flags.c_contiguous


def test_constants_of_two_sizes_cannot_be_built():
    inputs = some_constants().as_inputs()
    with pytest.raises(ValueError, match="precision has shape"):
        RuleConstants(**{**inputs, "precision": np.eye(3)})


def test_a_calibration_cannot_name_one_rule_and_carry_another():
    calibration = some_calibration(Rule.PEAK)
    with pytest.raises(ValueError, match="two rules"):
        dataclasses.replace(calibration, rule=Rule.PAPER)


@given(
    rule=st.sampled_from(list(Rule)),
    n_tiles=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_a_calibration_read_back_is_the_one_that_was_written(tmp_path_factory, rule, n_tiles, seed):
    path = tmp_path_factory.mktemp("calibration") / "calibration.npz"
    written = some_calibration(rule, n_tiles, seed)
    path.write_bytes(written.to_bytes())
    read = Calibration.load(path)
    for field in dataclasses.fields(Calibration):
        before, after = getattr(written, field.name), getattr(read, field.name)
        if field.name == "constants":
            for name, array in before.as_inputs().items():
                assert np.array_equal(array, getattr(after, name))
        elif isinstance(before, np.ndarray):
            assert np.array_equal(before, after)
        else:
            assert before == after, field.name


def test_equal_calibrations_are_equal_bytes():
    assert some_calibration().to_bytes() == some_calibration().to_bytes()
    assert some_calibration().to_bytes() != some_calibration(seed=1).to_bytes()


def test_a_calibration_is_a_plain_npz_without_pickles(tmp_path):
    (tmp_path / "c.npz").write_bytes(some_calibration().to_bytes())
    with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
        assert file["stat_mean"].shape == (24,)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other"])
def test_a_damaged_calibration_is_named(tmp_path: Path, damage):
    path = tmp_path / "calibration.npz"
    data = some_calibration().to_bytes()
    content = {"empty": b"", "cut": data[: len(data) // 2], "other": b"hello"}
    if damage != "missing":
        path.write_bytes(content[damage])
    with pytest.raises(BundleError, match=r"calibration\.npz"):
        Calibration.load(path)
