"""Fusion as the graph does it, against the equation."""

from __future__ import annotations

import pytest
import torch

from edgeinspect.config import Form, Target
from edgeinspect.export.golden import neutral_constants
from edgeinspect.export.graph import InspectionGraph, select_reconstructions
from edgeinspect.model.fusion import fuse_reconstructions
from edgeinspect.model.masks import block_masks
from edgeinspect.scoring import RuleInputs, error_maps

from .conftest import CONFIG, SIZE, make_generator


def test_selecting_is_the_sum_over_the_complements() -> None:
    masks = block_masks(CONFIG.generator)
    recons = torch.rand(3, len(masks), 2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    found = select_reconstructions(recons, masks[:, 0, None] > 0)
    assert torch.equal(found, fuse_reconstructions(recons, masks))


def test_what_a_pass_saw_spoils_no_pixel() -> None:
    masks = block_masks(CONFIG.generator)
    recons = torch.where(masks[None, :, :, None] > 0, 0.5, torch.nan).expand(1, -1, -1, 3, -1, -1)
    assert (select_reconstructions(recons, masks[:, 0, None] > 0) == 0.5).all()


def look(target: Target) -> tuple[torch.Tensor, ...]:
    """Of a random generator: images, its own answer, and the graph's error maps and pictures."""
    generator, config = make_generator(Form.CROSS, target=target)
    picture = torch.randint(0, 256, (2, SIZE, SIZE, 3), dtype=torch.uint8)
    constants = RuleInputs.from_constants(neutral_constants(config))
    images = (picture.float() / 255).permute(0, 3, 1, 2)
    with torch.no_grad():
        graph = InspectionGraph(generator, config).eval()
        *_, errors, shown = graph(picture, torch.zeros(2, dtype=torch.int32), *constants)
        made = generator(images)
        of_features = generator.targets.error_maps(images, made.features)
        recons = generator.fill_of(images)
        if made.pixels is not None:
            recons = generator.reconstruct(images)
        of_pixels = error_maps(images, recons, CONFIG.scoring.measures)
    return of_pixels, of_features, recons, errors, shown


def test_maps_of_features_stand_behind_those_of_pixels() -> None:
    of_pixels, of_features, _, errors, _ = look(Target.BOTH)
    assert errors.shape == (2, 3 + 2, 2, SIZE, SIZE)
    assert torch.allclose(errors[:, :3], of_pixels, atol=1e-5)
    assert torch.allclose(errors[:, 3:], of_features, rtol=1e-4, atol=1e-5)


def test_features_alone_have_a_map_of_places_and_one_of_the_whole() -> None:
    _, of_features, _, errors, _ = look(Target.FEATURES)
    assert errors.shape == (2, 2, 2, SIZE, SIZE)
    assert torch.allclose(errors, of_features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("target", [Target.FEATURES, Target.BOTH])
def test_features_are_looked_at_as_what_they_came_from(target: Target) -> None:
    _, _, recons, _, shown = look(target)  # the fill, where no pixels are reconstructed
    assert torch.allclose(shown, recons.clamp(0, 1).permute(0, 1, 3, 4, 2), atol=1e-5)
