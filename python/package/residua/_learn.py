"""Your own classes: heads that are fitted to features."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

from residua import _residua
from residua._errors import ConfigError, InputError, InputTypeError
from residua._inputs import as_array

if TYPE_CHECKING:
    from residua._types import Doubles, Floats

#: How a head is fitted.
Method: TypeAlias = Literal["logistic", "centroid", "neighbours"]


class Tried(NamedTuple):
    """A setting that cross-validation tried, with its measures.

    Attributes:
        setting: The strength C of a logistic regression, the factor of the cosines of ``centroid``, or the number of neighbours.
        accuracy: Share of the images whose predicted classes are right.
        log_loss: Mean of minus the natural logarithm of the probability of the true classes.
    """

    setting: float
    accuracy: float
    log_loss: float


class Doubt(NamedTuple):
    """A label that cross-validation predicts otherwise.

    Attributes:
        image: Index of the image among those that were given.
        path: Its path; None if the images were not given as a folder.
        label: Its label; with ``multi_label`` its labels.
        rather: The most likely other label; with ``multi_label`` the label in doubt.
        score: The score of its label from a head that was fitted without it; with ``multi_label`` the score of the least likely
            part.
    """

    image: int
    path: str | None
    label: Any
    rather: str
    score: float


class Fit(NamedTuple):
    """How a head was fitted, and the results of cross-validation.

    Attributes:
        method: ``logistic``, ``centroid`` or ``neighbours``.
        images: Number of images that it was fitted to.
        setting: The setting that did best.
        tried: All settings that were tried.
        converged: Whether every search of the regression converged.
        doubtful: Labels that cross-validation predicts otherwise, the most doubtful first.
    """

    method: str
    images: int
    setting: float
    tried: list[Tried]
    converged: bool
    doubtful: list[Doubt]


class Head(NamedTuple):
    """A linear layer on features, with the names of its classes."""

    weights: Floats
    biases: Floats
    neighbours: tuple[int, list[int]] | None
    labels: list[str]
    several: bool


class LogisticRegression:
    """Logistic regression on features: multinomial, or with ``multi_label`` a sigmoid for each class.

    It minimises the objective of scikit-learn's ``LogisticRegression`` on standardised features, in float64. Any number of threads
    gives the same bits. Cross-validation chooses the best of several strengths, as in ``LogisticRegressionCV``. Strengths are tried
    from the smallest, until two in a row are worse than the best one, in accuracy and in log loss.

    Attributes:
        classes_: The classes, sorted ``[classes]``.
        coef_: float32 ``[classes, features]``, for features that are not standardised; two rows for two classes.
        intercept_: float32 ``[classes]``.
        C_: The chosen strength.
        tried_: The results of cross-validation for each strength that was tried, a list of `Tried`.
        converged_: Whether every search converged.
        label_score_: float64 ``[N]``: the score of each image's label from a head that was fitted without the image.
        rather_: intp ``[N]``: index in ``classes_`` of the most likely other class.
    """

    def __init__(
        self,
        C: float | Sequence[float] | None = None,  # noqa: N803
        *,
        cv: int = 5,
        class_weight: Literal["balanced"] | None = None,
        multi_label: bool = False,
    ) -> None:
        """Keeps the settings, which `fit` checks.

        Args:
            C: The inverse of the penalty on large weights, or several values to choose from; None chooses from 0.0001, 0.001, ... 100.
            cv: Number of folds of the cross-validation, which are those of ``StratifiedKFold``.
            class_weight: ``balanced`` weights the images so that all classes count the same.
            multi_label: An image may have several labels, or none: gives each class a score of its own.
        """
        self.C = C
        self.cv = cv
        self.class_weight = class_weight
        self.multi_label = multi_label

    def __repr__(self) -> str:
        settings = f"C={self.C!r}, cv={self.cv}, class_weight={self.class_weight!r}, multi_label={self.multi_label}"
        return f"LogisticRegression({settings})"

    def fit(self, X: Any, y: Iterable[Any]) -> LogisticRegression:  # noqa: N803
        """Fits the regression.

        Other Python threads run meanwhile, and Ctrl-C stops it.

        Args:
            X: Features, floats ``[N, features]``, as from `Classifier.embed`.
            y: The class of each row; with ``multi_label`` a list of classes for each row.

        Returns:
            Itself.

        Raises:
            ConfigError: If a class has fewer than two images, there are fewer than two classes, a feature is not finite or a
                setting is out of its range.
            InputError: If there are not as many labels as rows, or the features are not ``[N, features]``.
        """
        import numpy as np

        features, classes, of = features_of(X), *indices_of(y, self.multi_label)
        method = method_of("logistic", self.C, self.cv, self.class_weight)
        found = fitted(features, of, len(classes), self.multi_label, method)
        self.classes_ = np.array(classes)
        self.coef_, self.intercept_ = found["weights"], found["biases"]
        self.C_: float = found["strength"]
        self.tried_ = [Tried(*tried) for tried in found["tried"]]
        self.converged_: bool = found["converged"]
        self.label_score_, self.rather_ = found["score"], found["rather"]
        return self

    def decision_function(self, X: Any) -> Doubles:  # noqa: N803
        """Computes the logits.

        Args:
            X: Features, floats ``[N, features]``.

        Returns:
            float64 ``[N, classes]``.

        Raises:
            InputError: If the rows have another length than those that it was fitted to, or it was not fitted yet.
        """
        import numpy as np

        features = features_of(X)
        if not hasattr(self, "coef_"):
            raise InputError("the regression is not fitted yet; call fit first", "input.value")
        if features.shape[1] != self.coef_.shape[1]:
            raise InputError(f"{features.shape[1]} features, but it was fitted to {self.coef_.shape[1]}", "input.shape")
        logits = features.astype(np.float64) @ self.coef_.T.astype(np.float64) + self.intercept_
        return cast("Doubles", logits)

    def predict_proba(self, X: Any) -> Doubles:  # noqa: N803
        """Computes the scores of the classes: shares of one, or with ``multi_label`` a separate score for each class.

        Args:
            X: Features, floats ``[N, features]``.

        Returns:
            float64 ``[N, classes]``.
        """
        import numpy as np

        logits = self.decision_function(X)
        if self.multi_label:
            return cast("Doubles", 0.5 + 0.5 * np.tanh(logits / 2))
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return cast("Doubles", powers / powers.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Predicts the classes of rows.

        Args:
            X: Features, floats ``[N, features]``.

        Returns:
            The best class of each row ``[N]``; with ``multi_label`` for each row a list of the classes whose score is above 0.5.
        """
        logits = self.decision_function(X)
        if self.multi_label:
            return [self.classes_[row > 0].tolist() for row in logits]
        return self.classes_[logits.argmax(axis=1)]


def features_of(values: Any) -> Floats:
    """Checks features ``[N, features]``, and converts them to float32 in C order.

    Raises:
        InputTypeError: If they are not floats.
        InputError: If they are not ``[N, features]``.
    """
    import numpy as np

    array = np.asarray(values) if isinstance(values, (list, tuple)) else as_array(values)
    if array.dtype.kind not in "fiu":
        raise InputTypeError(f"features of {array.dtype}: give float32 [N, features]", "input.type")
    if array.ndim != 2:
        raise InputError(f"features {list(array.shape)}: give [N, features]", "input.shape")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def lists_of(labels: Iterable[Any]) -> list[list[Any]]:
    """The labels of images that may have several, or none.

    Raises:
        InputTypeError: If those of an image are not a list.
    """
    given = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    if any(isinstance(each, (str, bytes)) or not isinstance(each, Iterable) for each in given):
        raise InputTypeError("with multi_label, give a list of labels for each image", "input.type")
    return [list(each) for each in given]


def indices_of(labels: Iterable[Any], several: bool) -> tuple[list[Any], list[list[int]]]:
    """Replaces labels by indices.

    Returns:
        The sorted classes, and for each image the indices of its classes.

    Raises:
        InputTypeError: If labels cannot be sorted, or with `several` those of an image are not a list.
    """
    given = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    rows = lists_of(given) if several else [[each] for each in given]
    try:
        classes = sorted({label for row in rows for label in row})
    except TypeError as error:
        raise InputTypeError(f"labels must be all text or all numbers: {error}", "input.type") from error
    index = {label: i for i, label in enumerate(classes)}
    return classes, [sorted({index[label] for label in row}) for row in rows]


def method_of(
    name: str, strengths: float | Sequence[float] | None, folds: int, class_weight: str | None
) -> dict[str, Any]:
    """Gathers the settings of a fit.

    Raises:
        ConfigError: If a setting is out of its range, or only logistic regression takes it.
    """
    if class_weight not in (None, "balanced"):
        raise ConfigError(f"argument: class_weight = {class_weight!r}: 'balanced' or None", "config.value")
    if name != "logistic" and (strengths is not None or class_weight is not None):
        raise ConfigError(
            f"argument: method = {name!r}: C and class_weight are of method='logistic' alone", "config.value"
        )
    try:
        folds = operator.index(folds)
    except TypeError:
        folds = 0
    if folds < 2:
        raise ConfigError("argument: cv: a whole number from 2", "config.value")
    if strengths is not None:
        strengths = [float(strengths)] if isinstance(strengths, (int, float)) else [float(each) for each in strengths]
    return {"name": name, "strengths": strengths, "folds": folds, "balanced": class_weight == "balanced"}


def fitted(
    features: Floats, of: list[list[int]], classes: int, several: bool, method: dict[str, Any]
) -> dict[str, Any]:
    """Fits a head.

    Raises:
        InputError: If there are not as many labels as rows of features.
    """
    if len(features) != len(of):
        raise InputError(f"{len(of)} labels for {len(features)} images", "input.shape")
    return _residua.fit_head(features, of, classes, several, method)


def in_folders(folder: str, every: bool) -> tuple[list[str], list[str]]:
    """Finds the images in the folders of a folder, and the name of the folder of each. Logs images that are in none, and leaves them out.

    Raises:
        ConfigError: If `every` folder must have an image, and one has none.
    """
    paths, labels = [], []
    found, folders = _residua.images_in(folder)
    for path in found:
        place = os.path.relpath(path, folder).split(os.sep)
        if len(place) > 1:
            paths.append(path)
            labels.append(place[0])
        else:
            import logging

            logging.getLogger("residua").warning("%s is not in a folder of a class, and is left out", path)
    empty = sorted(set(folders) - set(labels))
    if every and empty:
        raise ConfigError(f"{folder}: images of the class {empty[0]} = 0: at least two images", "config.value")
    return paths, labels


def fit_of(
    method: str, found: dict[str, Any], labels: list[Any], names: list[str], places: list[int], paths: list[str] | None
) -> Fit:
    """The results of a fit to images with these labels; `places` are their indices among all images."""
    import numpy as np

    scores, rather, right = found["score"], found["rather"], found["right"]
    doubtful = [
        Doubt(places[i], None if paths is None else paths[places[i]], labels[i], names[rather[i]], float(scores[i]))
        for i in np.argsort(scores, kind="stable").tolist()
        if not right[i]
    ]
    tried = [Tried(*each) for each in found["tried"]]
    return Fit(method, len(labels), found["strength"], tried, found["converged"], doubtful)


def head(weights: Any, biases: Any, labels: list[str], several: bool) -> Head:
    """The head with these arrays; one row for two classes is the logit of the second.

    Raises:
        InputTypeError: If they are not numbers.
        InputError: If their shapes are not ``[classes, features]`` and ``[classes]``.
    """
    import numpy as np

    rows, shifts = features_of(weights), np.asarray(biases, np.float32).reshape(-1)
    if len(labels) == 2 and len(rows) == 1 and not several:
        # A sigmoid of z is the second of a softmax of -z/2 and z/2.
        rows, shifts = np.concatenate([-rows / 2, rows / 2]), np.concatenate([-shifts / 2, shifts / 2])
    return Head(rows, shifts, None, labels, several)


def made(fitted: Fit | None) -> str:
    """The metadata about how a head was made, as JSON, without the names of the images."""
    import json

    by = f"residua {_residua.__version__} for Python"
    if fitted is None:
        return json.dumps({"by": by})
    tried = [{"strength": each.setting, "accuracy": each.accuracy, "log_loss": each.log_loss} for each in fitted.tried]
    result = {"images": fitted.images, "strength": fitted.setting, "converged": fitted.converged, "tried": tried}
    return json.dumps({"by": by, "method": fitted.method, "result": result})
