"""Which failures belong together: UMAP, then HDBSCAN, with a guard against one blob; a plain tree for the very few."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.errors import OperationalError

FEW = 15
"""Fewer distinct failures are too few for UMAP: each gets a group then, its own where none resembles it."""
FEW_COSINE = 0.5
"""Mean cosine down to which the few are joined."""
SAME_COSINE = 0.95
"""Groups whose centres are this near are one: what the cut split there is the noise of the projection."""
DIMENSIONS = 5
NEIGHBOURS = 15
CORE_NEIGHBOURS = 3
SHARE = 0.02
"""The least share of a week's failures that makes a group at the first cut: people read about twenty groups."""
FEWEST_GROUPS = 3
LARGEST_SHARE = 0.5
CLOSE = 0.1
"""An outlier joins the nearest group if a tenth of the group's own are farther from its centre."""
TEMPERATURE = 0.1

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Grouping:
    """A group per row, from 0 for the largest; -1 is noise.

    `membership`, 0 to 1, is how clearly a row belongs to its group rather than to another: the softmax of its cosines
    with the centres, at temperature 0.1; 0 for noise. `map_xy` is a picture: distances on it prove nothing.
    """

    labels: Labels
    membership: Numbers
    map_xy: Numbers


def group(vectors: Vectors, min_size: int, seed: int, fit_rows: int = 20_000) -> Grouping:
    """Group unit vectors, one a row, alike for any order of the rows.

    Under 15 distinct rows every row has a group, if only its own. From there on a group has `min_size` rows or more,
    unless that leaves under 3 groups or one with half of all: then it may have half as many. Of more than `fit_rows`
    rows a random sample is grouped, and the others join the nearest group if they are close.
    """
    order = np.lexsort(np.round(vectors, 4).T[::-1]) if len(vectors) else np.arange(0)
    rows = vectors[order]
    rng = np.random.default_rng(seed)
    fitted = np.sort(rng.permutation(len(rows))[:fit_rows])
    labels = np.full(len(rows), -1, dtype=np.int64)
    labels[fitted], map_fitted = group_fitted(rows[fitted], min_size, seed)
    labels = by_size(take_in_close(rows, labels))
    placed = Grouping(labels, memberships(rows, labels), place_on_map(rows, fitted, map_fitted))
    back = np.argsort(order, kind="stable")
    return Grouping(placed.labels[back], placed.membership[back], placed.map_xy[back])


def group_fitted(rows: Vectors, min_size: int, seed: int) -> tuple[Labels, Numbers]:
    """Group rows that are already in an order of their own, and lay them out in two dimensions."""
    _, first, copies = np.unique(np.round(rows, 4), axis=0, return_index=True, return_inverse=True)
    if len(first) < FEW:
        distinct = rows[first]
        return join_alike(distinct, FEW_COSINE)[copies], flatten(distinct)[copies]
    near = reduce(rows, DIMENSIONS, 0.0, seed)
    labels = cut(near, min_size)
    labels = merge_same(rows, labels) if labels.max() >= 0 else join_alike(rows, FEW_COSINE)
    return labels, reduce(rows, 2, 0.1, seed)


def merge_same(rows: Vectors, labels: Labels) -> Labels:
    """Make one of the groups whose centres nearly coincide."""
    joined = join_alike(centroids_of(rows, labels), SAME_COSINE)
    return np.where(labels >= 0, joined[labels], -1)


def reduce(rows: Vectors, dimensions: int, min_dist: float, seed: int) -> Numbers:
    """Bring rows near their neighbours in few dimensions (UMAP on cosine, one thread, so that a seed fixes it)."""
    with warnings.catch_warnings():
        # UMAP announces on import that it found no TensorFlow, which we do not use.
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        from umap import UMAP
    # A principal-component start: the spectral one warns and goes astray where the neighbour graph falls apart.
    model = UMAP(
        n_components=dimensions, n_neighbors=min(NEIGHBOURS, len(rows) - 1), metric="cosine", min_dist=min_dist,
        init="pca", random_state=seed, n_jobs=1,
    )  # fmt: skip
    reduced: Numbers = np.asarray(model.fit_transform(rows), dtype=np.float64)
    if not np.isfinite(reduced).all():
        raise OperationalError(f"UMAP lost {len(rows)} failures on its way; run again with another seed than {seed}")
    return reduced


def cut(near: Numbers, min_size: int) -> Labels:
    """Cut with HDBSCAN; where the cut collapses, cut finer; where each does, keep the one with the most groups."""
    from hdbscan import HDBSCAN

    size = max(min_size, round(SHARE * len(near)))
    cuts: list[Labels] = []
    for method, least in (("eom", size), ("leaf", size), ("leaf", min_size), ("leaf", max(2, min_size // 2))):
        model = HDBSCAN(
            min_cluster_size=least, min_samples=min(CORE_NEIGHBOURS, least), cluster_selection_method=method,
            core_dist_n_jobs=1,
        )  # fmt: skip
        cuts.append(np.asarray(model.fit_predict(near), dtype=np.int64))
        if not is_collapsed(cuts[-1]):
            return cuts[-1]
    return max(cuts, key=lambda labels: int(labels.max()))


def is_collapsed(labels: Labels) -> bool:
    """Whether fewer than 3 groups came out, or one holds half of all rows."""
    sizes = np.bincount(labels[labels >= 0])
    return len(sizes) < FEWEST_GROUPS or int(sizes.max()) >= LARGEST_SHARE * len(labels)


def join_alike(rows: Vectors, cosine: float) -> Labels:
    """Join rows as long as their mean cosine is at least `cosine` (average linkage); the rest stay single."""
    if len(rows) < 2:
        return np.zeros(len(rows), dtype=np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distance = np.clip(1.0 - rows.astype(np.float64) @ rows.T, 0.0, 2.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform((distance + distance.T) / 2), method="average")
    return np.asarray(fcluster(tree, 1.0 - cosine, criterion="distance"), dtype=np.int64) - 1


def flatten(rows: Vectors) -> Numbers:
    """Lay few rows out by their two principal components; the largest loading of each is positive."""
    flat = np.zeros((len(rows), 2))
    if len(rows) > 1:
        _, _, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
        axes = axes[:2] * np.sign(np.take_along_axis(axes[:2], np.abs(axes[:2]).argmax(axis=1)[:, None], axis=1))
        flat[:, : len(axes)] = (rows - rows.mean(axis=0)) @ axes.T
    return flat


def centroids_of(rows: Vectors, labels: Labels) -> Vectors:
    """The unit mean of each group, row g for group g."""
    count = int(labels.max()) + 1 if len(labels) else 0
    centroids = np.zeros((count, rows.shape[1]), dtype=np.float32)
    for g in range(count):
        mean = rows[labels == g].mean(axis=0)
        centroids[g] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return centroids


def take_in_close(rows: Vectors, labels: Labels) -> Labels:
    """Give noise to the nearest group where it is no farther from the centre than a tenth of the group's own."""
    outside = np.flatnonzero(labels < 0)
    centroids = centroids_of(rows, labels)
    if not len(outside) or not len(centroids):
        return labels
    floors = np.array([np.quantile(rows[labels == g] @ centroids[g], CLOSE) for g in range(len(centroids))])
    cosines = rows[outside] @ centroids.T
    nearest = cosines.argmax(axis=1)
    taken = labels.copy()
    taken[outside] = np.where(cosines.max(axis=1) >= floors[nearest], nearest, -1)
    return taken


def by_size(labels: Labels) -> Labels:
    """Number the groups from the largest; among equals the one that comes first in the rows."""
    kept, first, sizes = np.unique(labels[labels >= 0], return_index=True, return_counts=True)
    renamed = np.full(len(labels), -1, dtype=np.int64)
    for new, old in enumerate(kept[np.lexsort((first, -sizes))]):
        renamed[labels == old] = new
    return renamed


def memberships(rows: Vectors, labels: Labels) -> Numbers:
    """How clearly each row belongs to its group, 0 to 1."""
    inside = np.flatnonzero(labels >= 0)
    shares = np.zeros(len(rows))
    cosines = rows[inside].astype(np.float64) @ centroids_of(rows, labels).T
    if len(inside):
        weights = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / TEMPERATURE)
        shares[inside] = weights[np.arange(len(inside)), labels[inside]] / weights.sum(axis=1)
    return shares


def place_on_map(rows: Vectors, fitted: NDArray[np.intp], map_fitted: Numbers) -> Numbers:
    """Lay the rows that were not fitted where the nearest fitted row lies."""
    placed = np.zeros((len(rows), 2))
    placed[fitted] = map_fitted
    others = np.setdiff1d(np.arange(len(rows)), fitted)
    for start in range(0, len(others), 1024):
        some = others[start : start + 1024]
        placed[some] = map_fitted[(rows[some] @ rows[fitted].T).argmax(axis=1)]
    return placed
