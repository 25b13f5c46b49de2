"""Golden values of scikit-learn for tests/learn.rs: coefficients, folds, and the figures of a report.

pip install scikit-learn
python make_learn.py > learn.json
"""

import json
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, classification_report, confusion_matrix, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")
rng = np.random.default_rng(15)
classes, images, features = 4, 90, 7
y = rng.choice(classes, images, p=[0.4, 0.3, 0.2, 0.1])
x = (rng.normal(size=(classes, features))[y] * 0.8 + rng.normal(size=(images, features)) * [1, 2, 0.1, 1, 1, 5, 1]).astype(np.float32)
x[:, 6] = 3.25
z = StandardScaler().fit_transform(x.astype(np.float64))
tags = [sorted({int(c), int((c + i) % classes)} if i % 3 else {int(c)}) for i, c in enumerate(y)]


def fit(truth, c, **options):
    model = LogisticRegression(C=c, tol=1e-12, max_iter=100000, **options).fit(z, truth)
    return {"coef": model.coef_.tolist(), "intercept": model.intercept_.tolist()}


def folds(truth):
    of = np.zeros(len(truth), int)
    for fold, (_, out) in enumerate(StratifiedKFold(5).split(x, truth)):
        of[out] = fold
    return of.tolist()


strengths = [0.01, 1, 100]


def accuracy(c):
    """The share of images that are right, each predicted without its own fold."""
    model = LogisticRegression(C=c, tol=1e-12, max_iter=100000)
    right = [model.fit(z[train], y[train]).predict(z[out]) == y[out] for train, out in StratifiedKFold(5).split(z, y)]
    return float(np.mean(np.concatenate(right)))


scores = rng.dirichlet([0.3] * 6, 400).astype(np.float32)
truth = np.where(rng.random(400) < 0.6, scores.argmax(1), rng.choice(5, 400))
scores[0] = [1, 0, 0, 0, 0, 0]
truth[0] = 1
queries = rng.normal(size=(20, features)).astype(np.float32)
tag_scores = rng.random((60, 5)).astype(np.float32)
tag_truth = (rng.random((60, 5)) < [0.5, 0.3, 0.1, 0.7, 0]) & (tag_scores > 0.2)


def left_out(k):
    """The share of images that are right, each by its nearest others."""
    order = np.argsort(-cosines(x, x) + 10 * np.eye(images), axis=1, kind="stable")[:, :k]
    votes = np.array([np.bincount(y[row], minlength=classes) for row in order])
    return float(np.mean(votes.argmax(1) == y))


def cosines(a, b):
    """Cosine similarities."""
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a.astype(np.float64), b.astype(np.float64))]
    return unit[0] @ unit[1].T


def average_precisions():
    """For each class, and none for one without images."""
    return [float(average_precision_score(tag_truth[:, c], tag_scores[:, c])) if tag_truth[:, c].any() else None for c in range(5)]


report = classification_report(truth, scores.argmax(1), output_dict=True, zero_division=0)
order = np.argsort(-scores, axis=1, kind="stable")
print(
    json.dumps(
        {
            "x": x.tolist(),
            "y": y.tolist(),
            "tags": tags,
            "strengths": strengths,
            "folds": folds(y),
            "accuracy": [accuracy(c) for c in strengths],
            "multinomial": [fit(y, c) for c in strengths],
            "balanced": [fit(y, c, class_weight="balanced") for c in strengths],
            "binary": [fit((y == 1).astype(int), c) for c in strengths],
            "tagged": [[fit([int(k in t) for t in tags], c) for k in range(classes)] for c in strengths],
            "scores": scores.astype(float).tolist(),
            "truth": truth.tolist(),
            "report": report,
            "log_loss": log_loss(truth, scores.astype(np.float64), labels=list(range(6))),
            "confusion": confusion_matrix(truth, scores.argmax(1), labels=list(range(6))).tolist(),
            "top5": int(sum(t in o[:5] for t, o in zip(truth, order, strict=True))),
            "roc": roc_auc_score(truth == 2, scores[:, 2]),
            "average_precision": average_precision_score(truth == 2, scores[:, 2]),
            "neighbours": {
                "left_out": {k: left_out(k) for k in (1, 3, 5, 9, 15, 25, 45, 75)},
                "queries": queries.tolist(),
                "scores_of_five": KNeighborsClassifier(5, metric="cosine").fit(x, y).predict_proba(queries).tolist(),
            },
            "tag_measures": {
                "scores": tag_scores.astype(float).tolist(),
                "tags": [np.flatnonzero(row).tolist() for row in tag_truth],
                "report": classification_report(tag_truth, tag_scores > 0.5, output_dict=True, zero_division=0),
                "average_precision": average_precisions(),
                "mean_average_precision": float(np.mean([p for p in average_precisions() if p is not None])),
                "all_right": int(((tag_scores > 0.5) == tag_truth).all(1).sum()),
            },
        }
    )
)
