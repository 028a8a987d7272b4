"""The frozen backbone: which features it gives, that it is timm's, and that it never moves."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import load_file

from edgeinspect.errors import ConfigError
from edgeinspect.model.backbone import Backbone, feature_levels
from tests.backbones import BACKBONE

ROUNDING = 1e-5  # FP32 sums in another order


@pytest.fixture
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("strides", [(8, 16), (32, 4, 16), (8,)])
def test_features_come_in_the_order_that_was_asked_for(images, strides):
    backbone = Backbone(BACKBONE, strides)
    found = [tuple(level.shape[1:]) for level in backbone(images)]
    assert found == [
        (channels, 64 // stride, 64 // stride)
        for channels, stride in zip(backbone.channels, strides, strict=True)
    ]


def test_loaded_weights_compute_what_timms_model_does(images, backbone_file):
    backbone, weights = Backbone(BACKBONE, (16, 8)), load_file(backbone_file)
    backbone.load(weights)
    whole = timm.create_model(BACKBONE).eval()
    whole.load_state_dict(weights)
    mean, std = (torch.tensor(v)[:, None, None] for v in backbone.normalisation)
    with torch.no_grad():
        ours = backbone(images)
        theirs = whole.forward_intermediates((images - mean) / std, intermediates_only=True)
    by_side = {level.shape[-1]: level for level in theirs}
    assert [level.shape[-1] for level in ours] == [4, 8]
    assert all(torch.allclose(level, by_side[level.shape[-1]], atol=ROUNDING) for level in ours)


def test_a_backbone_stays_in_inference_when_the_rest_trains(images):
    backbone = Backbone(BACKBONE, (8,))
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.train()(images)
    assert not any(module.training for module in backbone.modules())
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


def test_no_weight_of_a_backbone_is_trained():
    assert not any(weight.requires_grad for weight in Backbone(BACKBONE, (8,)).parameters())


def test_a_backbone_that_timm_does_not_know_is_refused():
    with pytest.raises(ConfigError, match="timm has no backbone tf_efficientnet_light0 that gives"):
        Backbone("tf_efficientnet_light0", (16,))


def test_a_stride_that_a_backbone_lacks_is_named_with_those_it_has():
    with pytest.raises(ConfigError, match="has features every 2, 4, 8, 16, 32 px, none every 64"):
        feature_levels(BACKBONE, (16, 64))


def test_a_stride_of_many_levels_is_named_once():
    with pytest.raises(ConfigError, match="has features every 16 px, none every 32 px"):
        feature_levels("vit_tiny_patch16_224", (32,))
