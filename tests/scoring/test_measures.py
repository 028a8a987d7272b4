"""Error maps, against the measures' definitions written pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeinspect.config import Measure
from edgeinspect.scoring.measures import error_maps, luminance

OF_PIXELS = [measure for measure in Measure if not measure.is_of_features]
SIZE = 16
N_SCALES = 2
# Sums of up to 121 products in float32 against float64.
TOLERANCE = 2e-5
SMALL_TOLERANCE = 1e-3  # the images themselves are rounded: 6e-8 of differences of 1e-3


def make_images(seed: int = 0, n: int = 2) -> tuple[Tensor, Tensor]:
    """Images (B, 3, H, W) and reconstructions (B, I, 3, H, W) that are near them."""
    rng = np.random.default_rng(seed)
    images = rng.random((n, 3, SIZE, SIZE))
    recons = images[:, None] + rng.normal(0, 0.1, (n, N_SCALES, 3, SIZE, SIZE))
    return torch.from_numpy(images).float(), torch.from_numpy(recons).float()


def grey(colours: Tensor) -> NDArray[np.float64]:
    r, g, b = np.moveaxis(colours.numpy().astype(np.float64), -3, 0)
    return np.asarray(0.299 * r + 0.587 * g + 0.114 * b)


def ssim_at(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """SSIM of two 11 x 11 windows."""
    bell = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    w = np.outer(bell, bell) / np.outer(bell, bell).sum()
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy = (w * (x - mx) ** 2).sum(), (w * (y - my) ** 2).sum()
    cov = (w * (x - mx) * (y - my)).sum()
    c1, c2 = 1e-4, 9e-4
    return float((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))


def magnitude(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prewitt's gradient magnitude, edges repeated."""
    kernel = np.array([[1, 0, -1]] * 3) / 3
    padded = np.pad(picture, 1, mode="edge")
    found = np.zeros_like(picture)
    for y, x in np.ndindex(picture.shape):
        window = padded[y : y + 3, x : x + 3]
        found[y, x] = np.hypot((kernel * window).sum(), (kernel.T * window).sum())
    return found


def one_minus_msgms(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros_like(x)
    for step in (1, 2, 4):
        small = [p.reshape(SIZE // step, step, SIZE // step, step).mean((1, 3)) for p in (x, y)]
        a, b = (magnitude(p) for p in small)
        gms = (2 * a * b + 0.0026) / (a**2 + b**2 + 0.0026)
        total += np.kron(1 - gms, np.ones((step, step)))
    return total / 3


@pytest.mark.parametrize("measure", OF_PIXELS)
def test_a_reconstruction_that_equals_its_image_has_no_error(measure: Measure) -> None:
    images, _ = make_images()
    errors = error_maps(images, images[:, None].repeat(1, N_SCALES, 1, 1, 1), [measure])
    assert errors.shape == (2, 1, N_SCALES, SIZE, SIZE)
    assert errors.abs().max() < 1e-5


def test_luminance_weights_the_colours() -> None:
    images, recons = make_images()
    assert luminance(recons).numpy() == pytest.approx(grey(recons), abs=1e-6)
    assert luminance(images).shape == (2, SIZE, SIZE)


def test_l1_l2_and_signed_are_means_over_the_colours() -> None:
    images, recons = make_images()
    found = error_maps(images, recons, [Measure.L1, Measure.L2, Measure.SIGNED]).numpy()
    difference = recons.numpy() - images.numpy()[:, None]
    assert found[:, 0] == pytest.approx(np.abs(difference).mean(2), abs=1e-6)
    assert found[:, 1] == pytest.approx((difference**2).mean(2), abs=1e-6)
    assert found[:, 2] == pytest.approx(difference.mean(2), abs=1e-6)


def test_ssim_is_that_of_the_gaussian_window_around_each_pixel() -> None:
    images, recons = make_images()
    found = error_maps(images, recons, [Measure.SSIM])[1, 0, 1].numpy()
    x, y = (np.pad(grey(p), 5, mode="edge") for p in (images[1], recons[1, 1]))
    for row, column in np.ndindex(SIZE, SIZE):
        place = (slice(row, row + 11), slice(column, column + 11))
        assert found[row, column] == pytest.approx(1 - ssim_at(x[place], y[place]), abs=TOLERANCE)


def test_ssim_of_small_errors_on_a_smooth_surface_is_no_noise() -> None:
    rows = torch.linspace(0.6, 0.62, SIZE).view(1, 1, SIZE, 1).expand(1, 3, SIZE, SIZE)
    ripple = 1e-3 * torch.sin(torch.arange(SIZE) * 2.0)
    found = error_maps(rows, (rows + ripple)[:, None], [Measure.SSIM])[0, 0, 0].numpy()
    x, y = (np.pad(grey(p[0]), 5, mode="edge") for p in (rows, rows + ripple))
    for row, column in np.ndindex(SIZE, SIZE):
        place = (slice(row, row + 11), slice(column, column + 11))
        expected = 1 - ssim_at(x[place], y[place])
        assert 1e-5 < expected < 1e-3
        assert found[row, column] == pytest.approx(expected, rel=SMALL_TOLERANCE)


def test_msgms_is_the_mean_over_three_sizes() -> None:
    images, recons = make_images()
    found = error_maps(images, recons, [Measure.MSGMS])[0, 0].numpy()
    for scale in range(N_SCALES):
        expected = one_minus_msgms(grey(images[0]), grey(recons[0, scale]))
        assert found[scale] == pytest.approx(expected, abs=TOLERANCE)


def test_msgms_sees_a_line_that_was_smoothed_away() -> None:
    images = torch.full((1, 3, SIZE, SIZE), 0.5)
    flat = images[:, None].clone()
    images[..., 8] = 0.9
    errors = error_maps(images, flat, [Measure.MSGMS])[0, 0, 0]
    assert errors[:, 9].min() > 0.3  # one of the three sizes sees it there
    assert errors[:, 0].max() < 1e-6


@pytest.mark.parametrize("measure", OF_PIXELS)
def test_scales_and_images_do_not_influence_each_other(measure: Measure) -> None:
    images, recons = make_images()
    together = error_maps(images, recons, [measure])
    alone = error_maps(images[1:], recons[1:, 1:], [measure])
    assert torch.allclose(together[1:, :, 1:], alone, atol=1e-6)


def test_maps_come_in_the_order_of_the_measures() -> None:
    images, recons = make_images()
    found = error_maps(images, recons, [Measure.MSGMS, Measure.L1])
    assert torch.equal(found[:, :1], error_maps(images, recons, [Measure.MSGMS]))
    assert torch.equal(found[:, 1:], error_maps(images, recons, [Measure.L1]))
