"""Files of weights, whoever asks; what only the encoder's asks for is in test_encoder_weights."""

from __future__ import annotations

import pytest
import torch

from edgeinspect.errors import TrainingError
from edgeinspect.training.weight_files import fetch_weights, find_known, read_weights


def test_an_error_says_whose_weights_it_is_about(tmp_path):
    (tmp_path / "damaged.pth").write_bytes(b"no weights")
    with pytest.raises(TrainingError, match=r"backbone weights .*damaged\.pth cannot be read"):
        read_weights(tmp_path / "damaged.pth", what="backbone weights")


def test_whole_numbers_are_read_as_floats_too(tmp_path):
    torch.save({"num_batches_tracked": torch.tensor(3)}, tmp_path / "weights.pt")
    found = read_weights(tmp_path / "weights.pt", what="weights")
    assert found["num_batches_tracked"].dtype == torch.float32


def test_a_name_that_timm_does_not_know_is_answered_with_those_that_would_do():
    with pytest.raises(TrainingError, match=r"weights named resnet19; there are resnet18\.a1_in1k"):
        fetch_weights("resnet19", option="--weights", similar=["resnet18*"])


@pytest.mark.parametrize("name", ["no_such_model", "resnet18.no_such_tag"])
def test_what_timm_does_not_know_is_nothing(name):
    assert find_known(name) is None
