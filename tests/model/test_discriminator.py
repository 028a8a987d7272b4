from __future__ import annotations

import torch

from edgeinspect.config import DiscriminatorConfig
from edgeinspect.model.discriminator import Discriminator
from edgeinspect.model.encoder import Encoder
from tests.model.settings import small


def test_one_logit_and_the_middle_features_an_image():
    judge = Discriminator(DiscriminatorConfig(depth=4, merge=2), small())
    images = torch.rand(3, 3, 64, 64)
    assert judge(images).shape == (3,)
    assert judge.middle_features(images).shape == (3, 64)


def test_each_block_merges_its_tokens_away():
    judge = Discriminator(DiscriminatorConfig(depth=4, merge=2), small())
    tokens, sizes = judge.features(torch.rand(1, 3, 64, 64))
    assert tokens.shape[1] == 64 - 2 * 2
    assert sizes is not None
    assert sizes.sum() == 64


def test_gradients_reach_every_parameter_of_the_discriminator():
    judge = Discriminator(DiscriminatorConfig(depth=4, merge=2), small())
    judge(torch.rand(2, 3, 64, 64)).sum().backward()
    assert [n for n, p in judge.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_latent_encoder_keeps_every_token_of_a_whole_image():
    encoder = Encoder(small(merge=4))
    latents = encoder(torch.rand(2, 3, 64, 64))
    assert latents.shape == (2, 64, 64)
