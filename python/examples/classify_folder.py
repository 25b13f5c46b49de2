"""Classifies a folder of photos into Parquet, on one machine or on a Ray cluster.

    python classify_folder.py photos/ classes/ --model timm/resnet50.a1_in1k

On one machine it starts Ray, with one worker for each of its GPUs. On a cluster (``RAY_ADDRESS``, or ``ray job submit``) it takes all
GPUs that the nodes were told of: ``ray start ... --resources '{"wgpu": 1}'``. The folder then has to be one that all nodes see.
"""

from __future__ import annotations

import argparse
import os

import ray
import residua
from residua.ray import Classify


def main() -> None:
    """Classifies a folder."""
    parser = argparse.ArgumentParser(description="Classify a folder of photos into Parquet")
    parser.add_argument("photos", help="a folder, or an address such as s3://bucket/photos")
    parser.add_argument("classes", help="where the Parquet files go")
    parser.add_argument("--model", default="builtin", help="a file, a folder, or a model of the hub")
    parser.add_argument("--top-k", type=int, default=1, help="classes for each photo")
    parser.add_argument("--batch-size", type=int, default=64, help="photos that a worker gets at once")
    options = parser.parse_args()

    if not ray.is_initialized() and "RAY_ADDRESS" not in os.environ:
        devices = len([device for device in residua.devices() if not device.software])
        ray.init(resources={"wgpu": max(1, devices)})
    else:
        ray.init(ignore_reinit_error=True)
    workers = int(ray.cluster_resources().get("wgpu", 0))
    if workers == 0:
        raise SystemExit("no node of the cluster has the resource wgpu; start them with --resources '{\"wgpu\": 1}'")

    photos = ray.data.read_binary_files(options.photos, include_paths=True)
    classes = photos.map_batches(
        Classify,
        fn_constructor_kwargs={"model": options.model, "top_k": options.top_k},
        batch_size=options.batch_size,
        concurrency=(1, workers),
        resources={"wgpu": 1},
    )
    classes.write_parquet(options.classes)


if __name__ == "__main__":
    main()
