"""The library as an extension module. What is public of it is named in `residua`."""

from collections.abc import Iterable
from typing import Any

from residua._errors import Error
from residua._types import Bytes, Class, Floats, Image, Settings

__version__: str

def devices() -> list[dict[str, Any]]: ...
def images_in(folder: str) -> tuple[list[str], list[str]]: ...
def fit_head(
    features: Floats, of: list[list[int]], classes: int, several: bool, method: dict[str, Any]
) -> dict[str, Any]: ...
def measured(scores: Floats, truth: list[int]) -> dict[str, Any]: ...
def measured_tags(scores: Floats, truth: list[list[int]]) -> dict[str, Any]: ...

class Engine:
    """A classifier that is open."""

    @staticmethod
    def open(settings: Settings) -> Engine: ...
    def classify(self, images: Iterable[Any], count: int | None, top_k: int, min_score: float | None) -> Run: ...
    def embed(self, images: Iterable[Any], count: int | None, normalize: bool) -> Run: ...
    def score(self, images: Iterable[Any], count: int | None) -> Run: ...
    def with_head(
        self,
        weights: Floats,
        biases: Floats,
        neighbours: tuple[int, list[int]] | None,
        labels: list[str],
        several: bool,
    ) -> Engine: ...
    def save(self, path: str, made: str) -> None: ...
    def meant(self, names: list[str]) -> list[int | None]: ...
    def classify_folder(
        self, folder: str, hidden: bool, exclude: list[str], top_k: int, min_score: float | None
    ) -> Run: ...
    def embed_folder(self, folder: str, hidden: bool, exclude: list[str], normalize: bool) -> Run: ...
    def logits(self, input: Floats) -> Floats: ...
    def explain(self, image: Image, target: int | str | None) -> Explanation: ...
    def preprocess(self, image: Image) -> Bytes: ...
    def normalized(self, image: Image) -> Floats: ...
    def verify(self, batch: int, every: bool) -> dict[str, Any]: ...
    def model(self) -> dict[str, Any]: ...
    def labels(self) -> list[str]: ...
    def multi_label(self) -> bool: ...
    def device(self) -> dict[str, Any]: ...
    def precision(self) -> str: ...
    def notes(self) -> list[str]: ...
    def device_memory(self) -> int | None: ...
    def describe(self) -> str: ...

class Run:
    """Images on their way through a classifier."""

    def all_classes(self, raises: bool) -> list[list[Class] | Error]: ...
    def all_vectors(self, raises: bool) -> tuple[Floats, dict[int, Error]]: ...
    def next(self) -> list[tuple[str, Any]] | None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...

class Explanation:
    """Where in an image the evidence for a class lies: the class-activation map.

    The logit of the class is the mean of the map plus the bias, exactly.
    """

    @property
    def label(self) -> str:
        """Name of the class."""

    @property
    def index(self) -> int:
        """Index of the class."""

    @property
    def score(self) -> float:
        """The score that the network gives the class."""

    @property
    def logit(self) -> float:
        """Its logit."""

    @property
    def bias(self) -> float:
        """What the head adds to the logit whatever the image shows."""

    @property
    def map(self) -> Floats:
        """float32 ``[rows, columns]`` in units of the logit; negative values are evidence against the class."""

    @property
    def region(self) -> dict[str, float]:
        """The part of the image that the map covers, in pixels: ``left``, ``top``, ``width``, ``height``."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Columns and rows of the image, upright."""

    @property
    def peak(self) -> tuple[float, float]:
        """Centre of the map's largest cell, as x and y in the image."""

    def at(self, x: float, y: float) -> float | None:
        """Gives the value at a point of the image, between the cells' centres bilinear; None outside of the region."""

    def overlay(self, image: Image) -> Bytes:
        """Lays the map over an image.

        Args:
            image: The image that was explained, in any of its forms.

        Returns:
            uint8 ``[H, W, 3]``: the image in grey, with heat where there is evidence for the class; dark and hatched where the
            network did not look.

        Raises:
            Error: If the image cannot be read.
            InputError: If it is of another size.
        """
