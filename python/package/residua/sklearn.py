"""A network as a transformer of scikit-learn, for pipelines.

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from residua.sklearn import Embedder

pipeline = make_pipeline(Embedder("resnet50"), LogisticRegression())
pipeline.fit(paths, labels)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator, TransformerMixin

from residua._classifier import Classifier

if TYPE_CHECKING:
    import numpy as np

    from residua._types import Floats, Image


class Embedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Transforms images to their features, float32 ``[N, features]``. It learns nothing; `fit` only opens the model."""

    def __init__(
        self, model: str = "builtin", *, normalize: bool = False, settings: Mapping[str, Any] | None = None
    ) -> None:
        """Takes the arguments of a classifier.

        Args:
            model: As `Classifier` takes it.
            normalize: Scales each vector to a length of one.
            settings: Other arguments of `Classifier`.
        """
        self.model = model
        self.normalize = normalize
        self.settings = settings

    def fit(self, X: Iterable[Image], y: object = None) -> Embedder:  # noqa: N803
        """Opens the model; ignores the images.

        Args:
            X: Images, as `Classifier.embed` takes them.
            y: Ignored.
        """
        self.classifier_ = Classifier(self.model, **(self.settings or {}))
        return self

    def transform(self, X: Iterable[Image]) -> Floats:  # noqa: N803
        """Embeds images.

        Args:
            X: Images, as `Classifier.embed` takes them.

        Returns:
            float32 ``[N, features]``.

        Raises:
            Error: For an image that cannot be read, with its place in ``index``.
        """
        if not hasattr(self, "classifier_"):
            self.fit(X)
        return self.classifier_.embed(X, normalize=self.normalize)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray[Any, np.dtype[np.object_]]:
        """Names the columns that `transform` gives.

        Args:
            input_features: Ignored.
        """
        import numpy as np

        if not hasattr(self, "classifier_"):
            self.fit([])
        return np.array([f"residua{i}" for i in range(self.classifier_.model.features)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.requires_fit = False
        tags.no_validation = True
        return tags
