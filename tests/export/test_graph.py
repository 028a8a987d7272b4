"""What the graph answers, against the generator and the measures in their plain forms."""

from __future__ import annotations

import pytest
import torch

from edgeinspect.config import Form, Prior, Target
from edgeinspect.constants import neutral_constants
from edgeinspect.export.graph import InspectionGraph
from edgeinspect.model.generator import Generator
from edgeinspect.scoring import RuleInputs, error_maps

from .conftest import CONFIG, SIZE, config_of, make_generator


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


@pytest.mark.parametrize("prior", list(Prior))
@pytest.mark.parametrize("form", list(Form))
def test_the_graph_reconstructs_as_the_generator_does(form: Form, prior: Prior) -> None:
    config = config_of(form, prior=prior)
    torch.manual_seed(0)
    generator = Generator(config.generator).eval()
    for layer in (generator.head, generator.smooth):
        torch.nn.init.normal_(layer.weight, std=0.05)
    picture = torch.randint(0, 256, (2, SIZE, SIZE, 3), dtype=torch.uint8)
    constants = RuleInputs.from_constants(neutral_constants(config))
    with torch.no_grad():
        graph = InspectionGraph(generator, config).eval()
        *_, errors, shown = graph(picture, torch.zeros(2, dtype=torch.int32), *constants)
        images = (picture.float() / 255).permute(0, 3, 1, 2)
        recons = generator.reconstruct(images)
    assert torch.allclose(shown, recons.clamp(0, 1).permute(0, 1, 3, 4, 2), atol=1e-6)
    expected = error_maps(images, recons, config.scoring.measures)
    assert torch.allclose(errors, expected, atol=1e-4)
