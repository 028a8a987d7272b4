from __future__ import annotations

import math

import pytest
import torch

from edgeinspect.config import LossConfig
from edgeinspect.scoring.measures import luminance, structure_error
from edgeinspect.training.losses import (
    ConsistencyLoss,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
    gradient_loss,
    latent_loss,
)


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)


def test_a_perfect_reconstruction_has_no_consistency_loss(pair):
    terms = ConsistencyLoss(LossConfig(), 32)(pair[0], pair[0])
    assert sorted(terms) == ["gradient", "l1", "ssim"]
    assert all(abs(float(term)) < 1e-5 for term in terms.values())


def test_a_term_without_weight_is_not_computed(pair):
    terms = ConsistencyLoss(LossConfig(ssim=0.0, gradient=0.0), 32)(*pair)
    assert list(terms) == ["l1"]


def test_ssim_equals_its_definition_at_a_pixel(pair):
    x, y = ((p * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1)[0] for p in pair)
    weights = torch.tensor([math.exp(-(d**2) / 4.5) for d in range(-5, 6)])
    window = weights[:, None] * weights[None, :] / weights.sum() ** 2
    a, b = x[5:16, 5:16], y[5:16, 5:16]  # around (10, 10)
    ma, mb = (window * a).sum(), (window * b).sum()
    va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
    cov = (window * (a - ma) * (b - mb)).sum()
    c1, c2 = 0.01**2, 0.03**2
    expected = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    got = ConsistencyLoss(LossConfig(), 32).ssim(*pair)[0, 10, 10]
    assert float(got) == pytest.approx(float(expected), abs=1e-5)


def test_ssim_is_that_of_scoring(pair):
    grey = torch.stack([luminance(p) for p in pair], dim=1)  # (B, 1 + I, H, W), one scale
    ours = ConsistencyLoss(LossConfig(), 32).ssim(*pair)
    assert torch.allclose(1 - ours, structure_error(grey)[:, 0], atol=1e-5)


def test_the_gradient_loss_ignores_a_shift_of_grey(pair):
    assert float(gradient_loss(pair[0], pair[0] + 0.1)) < 1e-6
    assert float(gradient_loss(*pair)) > 0.1


def test_distances_of_features_do_not_grow_with_their_number():
    narrow = adversarial_loss(torch.zeros(1, 4), torch.ones(1, 4))
    wide = adversarial_loss(torch.zeros(1, 400), torch.ones(1, 400))
    assert float(narrow) == pytest.approx(1.0)
    assert float(wide) == pytest.approx(1.0)


def test_the_feature_loss_is_the_mean_squared_distance():
    targets, features = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
    assert float(feature_loss(targets, features)) == 0
    features[0, 1, :2] = 3.0  # squared: no linear tail
    assert float(feature_loss(targets, features)) == pytest.approx(9 / 4)


def test_the_feature_loss_is_computed_in_single_precision():
    halves = torch.full((1, 1, 4), 300.0, dtype=torch.float16)  # its square is not in FP16
    assert float(feature_loss(torch.zeros(1, 1, 4), halves)) == pytest.approx(90000)


def test_the_latent_loss_is_a_mean_over_tokens():
    ours, theirs = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
    theirs[0, 1] = 2.0
    assert float(latent_loss(ours, theirs)) == pytest.approx(1.0)


def test_a_discriminator_that_is_right_has_less_loss_than_one_that_guesses():
    sure = discriminator_loss(torch.tensor([5.0]), torch.tensor([-5.0]))
    guess = discriminator_loss(torch.tensor([0.0]), torch.tensor([0.0]))
    assert float(sure) < 0.01
    assert float(guess) == pytest.approx(math.log(2))
