"""Two lots are told from one, and one lot, however its values are spread, is not called two."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeinspect.data import populations
from edgeinspect.data.appearance import Appearance, Trait
from edgeinspect.data.populations import FEWEST_PICTURES, find_populations

Sample = NDArray[np.float64]
N_SAMPLES = 20


def looks(means: Sample, seed: int = 0) -> list[Appearance]:
    """Pictures of these means; spread and gradient are of one population."""
    rng = np.random.default_rng(1000 + seed)
    rest = rng.normal((30, 5), (2, 0.4), (len(means), 2))
    return [
        Appearance(mean=float(m), spread=float(s), gradient=float(g))
        for m, (s, g) in zip(means, rest, strict=True)
    ]


def two_lots(n: int = 100, gap: float = 30, share: float = 0.3) -> Sample:
    rng = np.random.default_rng(0)
    is_second = np.arange(n) >= round(n * (1 - share))
    return rng.normal(120, 4, n) + gap * is_second


def test_two_exposures_are_two_groups_by_mean_intensity() -> None:
    found = find_populations(looks(two_lots()))
    assert found is not None
    assert found.trait is Trait.MEAN
    assert 125 < found.limit < 145
    assert sorted(found.upper) == list(range(70, 100))
    assert sorted(found.lower) == list(range(70))


def test_two_parts_among_few_pictures_are_told_and_parted_where_they_part() -> None:
    lower = [51, 52, 59, 61, 62, 63, 66, 66, 66, 67, 73, 86, 89, 95, 108]
    upper = [172, 172, 176, 178, 182, 182, 183, 186, 187, 188, 189, 191, 191, 191, 192]
    upper += [193, 194, 194, 195, 195, 196, 197, 198, 200, 200]
    found = find_populations(looks(np.array(lower + upper, np.float64)))
    assert found is not None
    assert (len(found.lower), len(found.upper), found.limit) == (15, 25, 140)


def test_a_gap_that_is_narrower_than_a_group_is_left_to_chance() -> None:
    means = np.concatenate([np.linspace(60, 120, 20), np.linspace(179, 200, 20)])
    assert populations._middle_of_gap(means) is None
    assert populations._middle_of_gap(means + 2 * (means > 150)) == 150.5


def test_the_sentence_has_counts_the_limit_and_typical_pictures() -> None:
    means = two_lots()
    found = find_populations(looks(means))
    assert found is not None
    text = found.tell([f"{i}.png" for i in range(100)])
    assert "the 100 good pictures fall into two groups by mean intensity: 70 below 1" in text
    typical = int(np.abs(means[70:] - np.median(means[70:])).argmin()) + 70
    assert f"30 above (such as {typical}.png, " in text


def test_two_finishes_of_one_brightness_are_found_by_their_gradient() -> None:
    rng = np.random.default_rng(0)
    gradients = np.concatenate([rng.normal(5, 0.3, 50), rng.normal(8, 0.3, 50)])
    pictures = [Appearance(mean=120, spread=30, gradient=float(g)) for g in gradients]
    found = find_populations(pictures)
    assert found is not None
    assert found.trait is Trait.GRADIENT


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.normal(120, 5, n),
        lambda rng, n: 100 + 5 * rng.gamma(2, size=n),
        lambda rng, n: 100 + 5 * rng.standard_t(3, n),
        lambda rng, n: 100 * rng.lognormal(0, 0.2, n),
        lambda rng, n: rng.normal(120, 5, n) + 0.2 * np.arange(n),
    ],
    ids=["normal", "skewed", "heavy tails", "lognormal", "slow drift"],
)
@pytest.mark.parametrize("n", [40, 150])
def test_one_population_is_hardly_ever_called_two(
    draw: Callable[[np.random.Generator, int], Sample], n: int
) -> None:
    samples = [draw(np.random.default_rng(seed), n) for seed in range(N_SAMPLES)]
    found = [find_populations(looks(s, seed)) for seed, s in enumerate(samples)]
    assert sum(one is not None for one in found) <= 0.05 * N_SAMPLES


def test_a_few_outliers_are_no_population() -> None:
    means = np.random.default_rng(0).normal(120, 4, 100)
    means[:4] += 80
    assert find_populations(looks(means)) is None


@pytest.mark.parametrize("n", [0, 1, FEWEST_PICTURES - 1])
def test_a_handful_of_pictures_says_nothing(n: int) -> None:
    assert find_populations(looks(two_lots(n) if n else np.zeros(0))) is None


def test_pictures_that_are_all_alike_are_one_population() -> None:
    assert find_populations([Appearance(mean=120, spread=0, gradient=0)] * 50) is None
