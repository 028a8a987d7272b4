from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeinspect.config import Equalisation
from edgeinspect.data.equalise import equalise_images
from edgeinspect.model.equalise import equalise


def test_exposure_and_contrast_make_no_difference_after_equalising():
    image = torch.rand(1, 3, 32, 32) * 0.3 + 0.4
    darker = (image - 0.5) * 0.5 + 0.35
    even, dark = (equalise(x, Equalisation.SPREAD) for x in (image, darker))
    assert torch.allclose(even, dark, atol=1e-5)
    assert torch.allclose(even.mean(), torch.tensor(0.5), atol=1e-3)


def test_an_empty_image_stays_empty():
    flat = equalise(torch.full((1, 3, 8, 8), 0.2), Equalisation.SPREAD)
    assert torch.allclose(flat, torch.tensor(0.5))


def test_without_equalising_the_image_is_untouched():
    image = torch.rand(1, 3, 8, 8)
    assert equalise(image, Equalisation.NONE) is image


@pytest.mark.parametrize("how", list(Equalisation))
def test_people_see_the_images_that_the_model_sees(how):
    images = np.random.default_rng(0).integers(20, 90, (2, 16, 16, 3), dtype=np.uint8)
    images[1] = 7
    expected = equalise(torch.from_numpy(images / np.float32(255)).movedim(-1, 1), how)
    assert np.allclose(equalise_images(images, how), expected.movedim(1, -1), atol=1e-5)
