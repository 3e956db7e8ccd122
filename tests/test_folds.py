import numpy as np

from study.dataset import stratified_folds


def test_each_fold_has_its_share_of_both_classes_and_each_row_one_fold():
    labels = np.array([1] * 53 + [0] * 47)
    folds = stratified_folds(labels, 5)
    assert sorted(np.bincount(folds)) == [20, 20, 20, 20, 20]
    assert set(np.bincount(folds[labels == 1])) == {10, 11}
    assert np.array_equal(folds, stratified_folds(labels, 5))
