"""How near simulated rows come to real ones: `python -m benchmarks.simulation_fidelity HIGGS.csv.gz`.

Per feature: the Kolmogorov-Smirnov distance between real and simulated rows (all, signal, background), means and
standard deviations, and how well the feature alone tells signal from background (area under the ROC curve, of the
better side). Below that: the same area for a small network trained on each, and for one trained to tell simulated rows
from real ones. 10,000 rows take ten seconds.

Against the first 10,000 real rows: distances 0.03 on average and 0.08 at most; networks 0.71 to 0.74 on simulated rows,
0.70 on real ones, 0.57 to 0.59 between the two.
"""

from __future__ import annotations

import argparse
import gzip
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from events.higgs.columns import B_TAGS, COLUMNS, FEATURES
from events.higgs.simulate import generate

TEST_SHARE = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("real", type=Path, help="HIGGS.csv or .csv.gz, or its first rows")
    parser.add_argument("--rows", type=int, default=10_000, help="rows of each kind to compare, %(default)s by default")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation, %(default)s by default")
    options = parser.parse_args()

    real = read_rows(options.real, options.rows)
    simulated = np.concatenate(list(generate(len(real), options.seed)))
    # Real rows may have been rounded, so tags are compared as levels, not as values.
    real, simulated = grade_tags(real), grade_tags(simulated)
    print(
        f"{len(real):,} rows of each kind; signal: {real[:, 0].mean():.3f} real, {simulated[:, 0].mean():.3f} simulated"
    )
    print_features(real, simulated)
    print_networks(real, simulated)


def read_rows(path: Path, n_rows: int) -> np.ndarray:
    """The first rows [n, 29] float32 of a headerless CSV file."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as file:
        return np.loadtxt(islice(file, n_rows), delimiter=",", dtype=np.float32, ndmin=2)


def grade_tags(rows: np.ndarray) -> np.ndarray:
    """`rows` [n, 29] with the b tags as 0, 1 or 2 instead of their scaled values."""
    rows = rows.copy()
    for name in B_TAGS:
        tags = rows[:, COLUMNS.index(name)]
        tags[:] = np.round(2.0 * tags / tags.max())
    return rows


def separate(labels: np.ndarray, values: np.ndarray) -> float:
    """Area under the ROC curve of one feature, whichever side the signal is on."""
    area = roc_auc_score(labels, values)
    return max(area, 1.0 - area)


def print_features(real: np.ndarray, simulated: np.ndarray) -> None:
    header = f"{'':26}  KS: all signal  backg   mean real    sim  std real    sim  AUC real    sim"
    print(header)
    distances = []
    for column, name in enumerate(FEATURES, start=1):
        pairs = [(real[:, column], simulated[:, column])]
        pairs += [(real[real[:, 0] == y, column], simulated[simulated[:, 0] == y, column]) for y in (1, 0)]
        distances.append([ks_2samp(*pair).statistic for pair in pairs])
        moments = [f(rows[:, column]) for f in (np.mean, np.std) for rows in (real, simulated)]
        areas = [separate(rows[:, 0], rows[:, column]) for rows in (real, simulated)]
        print(
            f"{name:26}  {distances[-1][0]:7.3f} {distances[-1][1]:6.3f} {distances[-1][2]:6.3f}"
            f"   {moments[0]:9.3f} {moments[1]:6.3f} {moments[2]:9.3f} {moments[3]:6.3f}"
            f" {areas[0]:9.3f} {areas[1]:6.3f}"
        )
    mean, largest = np.mean(distances, axis=0), np.max(distances, axis=0)
    print(f"{'mean over features':26}  {mean[0]:7.3f} {mean[1]:6.3f} {mean[2]:6.3f}")
    print(f"{'largest':26}  {largest[0]:7.3f} {largest[1]:6.3f} {largest[2]:6.3f}")


def print_networks(real: np.ndarray, simulated: np.ndarray) -> None:
    print(f"\nsmall network, area under the ROC curve on the {TEST_SHARE:.0%} of rows it was not trained on:")
    low_level = len(FEATURES) - 7
    for title, rows in (("real", real), ("simulated", simulated)):
        labels, features = rows[:, 0], rows[:, 1:]
        areas = [train_network(labels, part) for part in (features, features[:, :low_level], features[:, low_level:])]
        print(f"  signal from background, {title:9}  {areas[0]:.3f}  (low-level {areas[1]:.3f}, masses {areas[2]:.3f})")
    origin = np.repeat([0, 1], [len(real), len(simulated)])
    area = train_network(origin, np.concatenate([real, simulated]))
    print(f"  simulated from real                {area:.3f}  (0.5 if indistinguishable)")


def train_network(labels: np.ndarray, features: np.ndarray) -> float:
    """Area under the ROC curve of a network of 32 units on rows it was not trained on."""
    parts = train_test_split(features, labels, test_size=TEST_SHARE, random_state=0)
    network = MLPClassifier((32,), alpha=1e-3, early_stopping=True, max_iter=200, random_state=0)
    model = make_pipeline(StandardScaler(), network).fit(parts[0], parts[2])
    return roc_auc_score(parts[3], model.predict_proba(parts[1])[:, 1])


if __name__ == "__main__":
    main()
