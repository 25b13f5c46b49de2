"""Classifiers for Ray Data, on one machine or a cluster.

    import ray
    from residua.ray import Embed

    photos = ray.data.read_binary_files("photos/", include_paths=True)
    vectors = photos.map_batches(Embed, fn_constructor_args=("resnet50",), batch_size=256, concurrency=4, resources={"wgpu": 1})
    vectors.write_parquet("vectors/")

Ray counts only GPUs with CUDA. Tell each node how many GPUs it has, ``ray start --resources '{"wgpu": 1}'`` or
``ray.init(resources={"wgpu": 1})``, and each worker takes one of them. Do not give ``num_gpus``, which is for CUDA.

``ray.data.read_binary_files`` gives exactly the results of the command line. ``ray.data.read_images`` uses Ray's own decoder, and does
not turn photos upright.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from residua import mapping
from residua._errors import DeviceError

_log = logging.getLogger("residua")


class _Worker(mapping._Mapped):
    """A function of batches that keeps the other columns of a batch, and ends when its device is lost."""

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the columns of a batch without its images, and the new ones."""
        import numpy as np

        column = self._found(batch)
        images = list(batch[column])
        try:
            made = self._columns(images)
        except DeviceError as error:
            if error.code != "gpu.lost":
                raise
            # The library has already opened the device again, and lost it again. Another process may succeed; if it cannot open the
            # device, the job fails.
            _log.error("%s; this worker ends, and Ray starts another one for its rows", error)
            logging.shutdown()
            os._exit(1)
        kept = {name: values for name, values in batch.items() if name != column or name == "path"}
        return {**kept, **{name: np.asarray(values) for name, values in made.items()}}


class Embed(_Worker, mapping.Embed):
    """Embeds batches of Ray Data; give the class or an object to ``Dataset.map_batches``.

    The batch comes back without its images and with the columns ``embedding``, float32 ``[N, features]``, and ``error``, which is
    empty if the image could be read; otherwise the embedding is NaN.

    Ray restarts a worker that dies or loses its device for good, and gives it its rows again: each row comes once.
    """


class Classify(_Worker, mapping.Classify):
    """Classifies batches of Ray Data; give the class or an object to ``Dataset.map_batches``.

    The batch comes back without its images and with the columns ``label``, ``score``, ``index`` and ``error``; with ``top_k`` over 1
    with ``labels``, ``scores`` and ``indices``, ``[N, top_k]``.

    Ray restarts a worker that dies or loses its device for good, and gives it its rows again: each row comes once.
    """
