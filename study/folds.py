"""The folds of a study."""

import numpy as np
from sklearn.model_selection import StratifiedKFold


def stratified_folds(labels: np.ndarray, n_folds: int, seed: int = 0) -> np.ndarray:
    """The fold of each row, int [n_rows] in [0, n_folds): each holds its share of both classes, to one row."""
    folds = np.empty(len(labels), np.int64)
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    for fold, (_, left_out) in enumerate(splitter.split(labels, labels)):
        folds[left_out] = fold
    return folds
