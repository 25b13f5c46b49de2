"""The measures of a classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from residua._errors import ConfigError

if TYPE_CHECKING:
    from residua._types import Integers


class ClassMeasures(NamedTuple):
    """How well the classifier tells one class from the others.

    Attributes:
        label: Its name.
        precision: Share of the images predicted as the class that are of it; 0 if there are none.
        recall: Share of the class's images that are predicted as it; 0 if there are none.
        f1: The harmonic mean of both.
        images: Images of the class.
        average_precision: With ``multi_label`` the average precision, else None; None as well if no image is of the class.
    """

    label: str
    precision: float
    recall: float
    f1: float
    images: int
    average_precision: float | None = None


class Evaluation(NamedTuple):
    """The measures of a classifier: those of ``residua evaluate``, and of scikit-learn's ``classification_report``.

    Attributes:
        images: Number of images.
        accuracy: Share of them whose best class is right.
        interval: The 95 % confidence interval of the accuracy (Wilson 1927).
        top5: Share of them whose true class is among the best five.
        log_loss: Mean of minus the natural logarithm of the score of the true class.
        calibration_error: How far scores are from the share that is right, over 15 bins (Guo et al. 2017).
        classes: Each class that is true of an image or was predicted for one.
        macro_mean: The mean over these classes.
        weighted_mean: The mean over these classes, weighted by their numbers of images.
        confusion: uint64 ``[classes, classes]``: how many images of the class of the row were predicted as the class of the
            column.
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


class MultiLabelEvaluation(NamedTuple):
    """The measures of a classifier on images of several labels or none: those of ``residua evaluate --multi-label``.

    A class counts as predicted if its score is above 0.5. They are those of scikit-learn's ``classification_report``,
    ``accuracy_score`` and ``average_precision_score`` for indicator matrices.

    Attributes:
        images: Number of images.
        accuracy: Share of them whose labels are all right, and no others.
        interval: The 95 % confidence interval of the accuracy (Wilson 1927).
        mean_average_precision: The mean of the average precisions (mAP), over the classes that have images.
        classes: Each class.
        micro_mean: Counted over all pairs of an image and a class.
        macro_mean: The mean over the classes.
        weighted_mean: The mean over the classes, weighted by their numbers of images.
    """

    images: int
    accuracy: float
    interval: tuple[float, float]
    mean_average_precision: float
    classes: list[ClassMeasures]
    micro_mean: ClassMeasures
    macro_mean: ClassMeasures
    weighted_mean: ClassMeasures


def truth_of(labels: list[Any], meant: Callable[[list[str]], list[int | None]]) -> list[list[int]]:
    """The indices of the labels of each image; `meant` finds the classes of names.

    Raises:
        ConfigError: If a label is not a class of the model.
    """
    names = [[str(label) for label in each] for each in labels]
    every = sorted({name for each in names for name in each})
    indices = dict(zip(every, meant(every), strict=True))
    unknown = [name for name in every if indices[name] is None]
    if unknown:
        raise ConfigError(f"argument: labels: the model has no such class: {', '.join(unknown[:10])}", "config.value")
    return [sorted({cast("int", indices[name]) for name in each}) for each in names]


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


def multi_label_evaluation(found: dict[str, Any], labels: Sequence[str]) -> MultiLabelEvaluation:
    """The figures of some answers, each of several classes."""
    each = zip(labels, found["classes"], strict=True)
    return MultiLabelEvaluation(
        images=found["images"],
        accuracy=found["all_right"] / max(1, found["images"]),
        interval=found["interval"],
        mean_average_precision=found["mean_average_precision"],
        classes=[
            ClassMeasures(label, *measures)._replace(average_precision=average) for label, (measures, average) in each
        ],
        micro_mean=ClassMeasures("micro mean", *found["micro_mean"]),
        macro_mean=ClassMeasures("macro mean", *found["macro_mean"]),
        weighted_mean=ClassMeasures("weighted mean", *found["weighted_mean"]),
    )
