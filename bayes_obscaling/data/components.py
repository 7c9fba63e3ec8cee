"""Principal components of score matrices with missing scores, imputed as Ruan et al. (2024) do."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

IMPUTATION_ROUNDS = 1000


def fill_scores(scores: np.ndarray) -> tuple[np.ndarray, StandardScaler, PCA]:
    """Impute missing scores (models, benchmarks) by one principal component, as Ruan et al. (2024) do.

    Filled scores have mean 0 and sd 1 over the observed ones. They come with how they were scaled
    (``scaler.inverse_transform(filled)`` are scores again) and the component.
    """
    scaler = StandardScaler().fit(scores)
    scaled = scaler.transform(scores)
    axis, filled = PCA(1), np.nan_to_num(scaled)
    for _ in range(IMPUTATION_ROUNDS):
        before = filled
        filled = np.where(np.isnan(scaled), axis.inverse_transform(axis.fit_transform(before)), scaled)
        if np.abs(filled - before).max() < 1e-10:
            break
    return filled, scaler, axis


def components_of(train: np.ndarray, new: np.ndarray, count: int) -> np.ndarray:
    """Principal component scores (train rows, then new rows; count), NaN for a new row without any score."""
    filled, scaler, axis = fill_scores(train)
    scaled_new = scaler.transform(new)
    filled_new = np.where(np.isnan(scaled_new), _rank_one(axis, scaled_new), scaled_new)
    pca = PCA(count).fit(scaler.inverse_transform(filled))
    rows = scaler.inverse_transform(np.vstack([filled, filled_new]))
    return (rows - pca.mean_) @ pca.components_.T


def _rank_one(axis: PCA, rows: np.ndarray) -> np.ndarray:
    """Where repeated reconstruction of the missing cells of each row by one fixed component ends."""
    observed, loading = ~np.isnan(rows), axis.components_[0]
    weight = observed @ loading**2
    position = np.where(observed, rows - axis.mean_, 0) @ loading / np.where(weight > 0, weight, np.nan)
    return np.outer(position, loading) + axis.mean_
