"""Covariance of many statistics from few good parts: Ledoit-Wolf shrinkage.

Between statistics and the `mahalanobis` rule. The sample covariance of 36 statistics from tens
of parts has directions without any spread; drawn towards a multiple of the identity it can be
inverted. Source: Ledoit and Wolf, "A well-conditioned estimator for large-dimensional
covariance matrices", J. Multivariate Analysis 88 (2004); the intensity is theirs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["shrunk_covariance", "shrunk_precision"]

Doubles = NDArray[np.float64]

RIDGE = 1e-6  # of the mean variance; keeps the inverse finite when shrinkage comes out as 0


def shrunk_covariance(samples: Doubles) -> tuple[Doubles, float]:
    """Covariance (S, S) of samples (n, S) about their mean, and the shrinkage 0 to 1.

    (1 - shrinkage) * sample covariance + shrinkage * mean variance * identity.
    """
    n, size = samples.shape
    centred = samples - samples.mean(axis=0)
    sample = centred.T @ centred / n
    level = np.trace(sample) / size
    distance = np.sum(sample * sample) - size * level**2  # ||sample - level * identity||^2
    squares = centred * centred
    noise = (np.sum(squares.T @ squares) / n - np.sum(sample * sample)) / n
    shrinkage = float(np.clip(noise / distance, 0, 1)) if distance > 0 and noise > 0 else 0.0
    shrunk = (1 - shrinkage) * sample + shrinkage * level * np.eye(size)
    return shrunk, shrinkage


def shrunk_precision(samples: Doubles) -> Doubles:
    """Inverse of the shrunk covariance, (S, S), symmetric; the identity if nothing varies."""
    covariance, _ = shrunk_covariance(samples)
    size = len(covariance)
    level = np.trace(covariance) / size
    if level <= 0:
        return np.eye(size)
    inverse = np.linalg.inv(covariance + RIDGE * level * np.eye(size))
    return np.asarray((inverse + inverse.T) / 2)
