"""Classes of one's own: heads that are fitted to features, and how good a classifier is."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

from residua import _residua
from residua._errors import ConfigError, InputError, InputTypeError
from residua._inputs import as_array

if TYPE_CHECKING:
    from residua._types import Doubles, Floats, Integers

#: How a head is fitted.
Method: TypeAlias = Literal["logistic", "centroid", "neighbours"]


class Tried(NamedTuple):
    """A setting that cross-validation tried, on images that the head was not fitted to.

    Attributes:
        setting: The strength C of a logistic regression, the factor of the cosines of ``centroid``, or the number of neighbours.
        accuracy: Share of the images whose classes are right.
        log_loss: Mean of minus the natural logarithm of what the truth was given.
    """

    setting: float
    accuracy: float
    log_loss: float


class Doubt(NamedTuple):
    """A label that the other images speak against.

    Attributes:
        image: Place of the image among those that were given.
        path: Its path, if the images were those of a folder.
        label: Its label; with ``multi_label`` its labels.
        rather: The label that is likelier; with ``multi_label`` the one in doubt.
        score: The score of its label from a head that was fitted without it; with ``multi_label`` of the least likely part.
    """

    image: int
    path: str | None
    label: Any
    rather: str
    score: float


class Fit(NamedTuple):
    """How a head was fitted, and what cross-validation found.

    Attributes:
        method: ``logistic``, ``centroid`` or ``neighbours``.
        images: Images that it was fitted to.
        setting: The setting that did best.
        tried: All settings that were tried.
        converged: Whether every search of the regression came to its end.
        doubtful: Labels that the other images speak against, the most doubtful first.
    """

    method: str
    images: int
    setting: float
    tried: list[Tried]
    converged: bool
    doubtful: list[Doubt]


class ClassMeasures(NamedTuple):
    """How well one class is told from the others.

    Attributes:
        label: Its name.
        precision: Share of the images said to be of the class that are; 0 if there are none.
        recall: Share of the class's images that are said to be of it; 0 if there are none.
        f1: The harmonic mean of both.
        images: Images of the class.
    """

    label: str
    precision: float
    recall: float
    f1: float
    images: int


class Evaluation(NamedTuple):
    """How good a classifier is: the figures of ``residua evaluate``, and of scikit-learn's ``classification_report``.

    Attributes:
        images: Images that were classified.
        accuracy: Share of them whose best class is right.
        interval: The interval that this speaks for, 95 % sure (Wilson 1927).
        top5: Share of them of which one of the best five classes is right.
        log_loss: Mean of minus the natural logarithm of the score of what is true.
        calibration_error: How far scores are from the share that is right, over 15 bins (Guo et al. 2017).
        classes: Each class that is true of an image or was said of one.
        macro_mean: The mean over these classes.
        weighted_mean: The mean over these classes, each counted as often as it has images.
        confusion: uint64 ``[classes, classes]``: how many images of a class, the row, were said to be of another, the column.
    """

    images: int
    accuracy: float
    interval: tuple[float, float]
    top5: float
    log_loss: float
    calibration_error: float
    classes: list[ClassMeasures]
    macro_mean: ClassMeasures
    weighted_mean: ClassMeasures
    confusion: Integers


class Head(NamedTuple):
    """A linear layer on features, with the names of its classes."""

    weights: Floats
    biases: Floats
    neighbours: tuple[int, list[int]] | None
    labels: list[str]
    several: bool


class LogisticRegression:
    """Logistic regression on features: multinomial, or a sigmoid for each class with ``multi_label``.

    It minimises what scikit-learn's ``LogisticRegression`` minimises on standardised features, in float64, and gives the same bits
    whatever the number of threads. Of several strengths it takes the one that does best in cross-validation, as
    ``LogisticRegressionCV`` does.

    Attributes:
        classes_: The classes, sorted ``[classes]``.
        coef_: float32 ``[classes, features]``, for features as they are; a row for each of two classes as well.
        intercept_: float32 ``[classes]``.
        C_: The strength that was taken.
        tried_: What cross-validation found for each strength, a list of `Tried`.
        converged_: Whether every search came to its end.
        label_score_: float64 ``[N]``: the score of each image's label from a head that was fitted without the image.
        rather_: intp ``[N]``: which of ``classes_`` is likeliest instead.
    """

    def __init__(
        self,
        C: float | Sequence[float] | None = None,  # noqa: N803
        *,
        cv: int = 5,
        class_weight: Literal["balanced"] | None = None,
        multi_label: bool = False,
    ) -> None:
        """Takes the settings; they are checked when it is fitted.

        Args:
            C: The inverse of the penalty on large weights, or several to choose from; None tries 0.0001, 0.001, ... 100.
            cv: Folds of the cross-validation, those of ``StratifiedKFold``.
            class_weight: ``balanced`` lets each class count the same, whatever its number of images.
            multi_label: An image may have several labels, or none: each class gets a score of its own.
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

        Other Python threads run meanwhile, and Ctrl-C ends it.

        Args:
            X: Features, floats ``[N, features]``, as from `Classifier.embed`.
            y: The class of each row; with ``multi_label`` a list of classes of each.

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
            InputError: If the features are not of those that it was fitted to.
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
        """Computes the scores of the classes: shares of one, or with ``multi_label`` each for itself.

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
        """Names the classes of rows.

        Args:
            X: Features, floats ``[N, features]``.

        Returns:
            The best class of each row ``[N]``; with ``multi_label`` a list of those whose score is above 0.5 for each row.
        """
        logits = self.decision_function(X)
        if self.multi_label:
            return [self.classes_[row > 0].tolist() for row in logits]
        return self.classes_[logits.argmax(axis=1)]


def features_of(values: Any) -> Floats:
    """Checks features ``[N, features]``, and returns them as float32 in C order.

    Raises:
        InputTypeError: If they are not floats.
        InputError: If their shape is another.
    """
    import numpy as np

    array = np.asarray(values) if isinstance(values, (list, tuple)) else as_array(values)
    if array.dtype.kind not in "fiu":
        raise InputTypeError(f"features of {array.dtype}: give float32 [N, features]", "input.type")
    if array.ndim != 2:
        raise InputError(f"features {list(array.shape)}: give [N, features]", "input.shape")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def indices_of(labels: Iterable[Any], several: bool) -> tuple[list[Any], list[list[int]]]:
    """Numbers labels.

    Returns:
        The classes, sorted, and for each image the indices of its own.

    Raises:
        InputTypeError: If labels cannot be sorted, or an image has not one or several of them, as it should.
    """
    given = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    if several:
        if any(isinstance(each, (str, bytes)) or not isinstance(each, Iterable) for each in given):
            raise InputTypeError("with multi_label, give a list of labels for each image", "input.type")
        rows = [list(each) for each in given]
    else:
        rows = [[each] for each in given]
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
        ConfigError: For a setting out of its range, or one that only logistic regression takes.
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
    """Finds the images in the folders of a folder, and names the folder of each. Those that are in none are left out, and logged.

    Raises:
        ConfigError: If `every` folder needs an image, and one has none.
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

            logging.getLogger("residua").warning("%s lies in no folder of a class, and is left out", path)
    empty = sorted(set(folders) - set(labels))
    if every and empty:
        raise ConfigError(f"{folder}: images of the class {empty[0]} = 0: two images at least", "config.value")
    return paths, labels


def fit_of(
    method: str, found: dict[str, Any], labels: list[Any], names: list[str], places: list[int], paths: list[str] | None
) -> Fit:
    """What was found of images with these labels, whose places among all are given."""
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
    """The head of these arrays; one row for two classes is the logit of the second.

    Raises:
        InputTypeError: If they are not numbers.
        InputError: If their shapes are others.
    """
    import numpy as np

    rows, shifts = features_of(weights), np.asarray(biases, np.float32).reshape(-1)
    if len(labels) == 2 and len(rows) == 1 and not several:
        # A sigmoid of z is the second of a softmax of -z/2 and z/2.
        rows, shifts = np.concatenate([-rows / 2, rows / 2]), np.concatenate([-shifts / 2, shifts / 2])
    return Head(rows, shifts, None, labels, several)


def made(fitted: Fit | None) -> str:
    """How a head was made, for the metadata of its file: JSON. Without the names of the images."""
    import json

    by = f"residua {_residua.__version__} for Python"
    if fitted is None:
        return json.dumps({"by": by})
    tried = [{"strength": each.setting, "accuracy": each.accuracy, "log_loss": each.log_loss} for each in fitted.tried]
    result = {"images": fitted.images, "strength": fitted.setting, "converged": fitted.converged, "tried": tried}
    return json.dumps({"by": by, "method": fitted.method, "result": result})


def evaluation(found: dict[str, Any], labels: Sequence[str]) -> Evaluation:
    """The figures of some answers."""
    images = max(1, found["images"])
    return Evaluation(
        images=found["images"],
        accuracy=found["top1"] / images,
        interval=found["interval"],
        top5=found["top5"] / images,
        log_loss=found["log_loss"],
        calibration_error=found["calibration_error"],
        classes=[ClassMeasures(labels[index], *measures) for index, measures in found["classes"]],
        macro_mean=ClassMeasures("macro mean", *found["macro_mean"]),
        weighted_mean=ClassMeasures("weighted mean", *found["weighted_mean"]),
        confusion=found["confusion"],
    )
