"""Ray Data on two workers of this machine."""

from __future__ import annotations

import os
import signal
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from conftest import ROOT, command
from PIL import Image
from residua.ray import Classify, Embed

WORKERS = 2


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    package = str(Path(__file__).resolve().parents[1] / "tests")
    ray.init(
        num_cpus=WORKERS,
        resources={"wgpu": WORKERS},
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        object_store_memory=300 << 20,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}},
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, ship: Path) -> Path:
    """5,000 images, from CIFAR-10 if the data set is available."""
    folder = tmp_path_factory.mktemp("images")
    packed = Path(os.environ.get("RESIDUA_REAL_DATA", ROOT.parent / "shared")) / "data" / "cifar10" / "test-even.tar.xz"
    if packed.is_file():
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
    else:
        photo = Image.open(ship).convert("RGB")
        for i in range(5000):
            left, top = 7 * i % (photo.width - 64), 3 * i % (photo.height - 64)
            photo.crop((left, top, left + 64, top + 64)).resize((32, 32)).save(folder / f"{i:04}.png")
    return folder


class Watched(Classify):
    """Says which process has which rows, and takes its time."""

    def __call__(self, batch: Any) -> dict[str, Any]:
        made = super().__call__(batch)
        return {**made, "pid": np.full(len(made["label"]), os.getpid())}


@pytest.mark.timeout(1200)
def test_each_row_comes_once_though_a_worker_is_killed(images: Path, tmp_path: Path) -> None:
    rows = ray.data.read_binary_files(str(images), include_paths=True, override_num_blocks=40)
    made = rows.map_batches(
        Watched,
        fn_constructor_kwargs={"batch": 16},
        batch_size=64,
        concurrency=WORKERS,
        num_cpus=0.5,
        resources={"wgpu": 1},
    )
    got, killed, pids = {}, None, set()
    for row in made.iter_rows():
        assert row["path"] not in got, "a row came twice"
        got[row["path"]] = (row["label"], row["index"], np.float32(row["score"]))
        pids.add(row["pid"])
        if killed is None and len(got) >= 1500:
            killed = row["pid"]
            os.kill(killed, signal.SIGKILL)
    assert len(got) == 5000
    assert killed is not None and len(pids) >= 2
    recorded = command("classify", "-q", "-r", "-k", "1", "--batch", "16", "--format", "jsonl", images)
    expected = {
        record["path"]: (best["label"], best["index"], np.float32(best["score"]))
        for record in recorded
        for best in record["predictions"]
    }
    assert got == expected


class LosesItsDevice(Embed):
    """Loses its device once, in the whole cluster."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = marker

    def _columns(self, images: Any) -> dict[str, Any]:
        import residua

        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return super()._columns(images)
        raise residua.DeviceError("lost", "gpu.lost")


def test_a_worker_that_loses_its_device_is_started_anew(images: Path, tmp_path: Path) -> None:
    marker = tmp_path / "lost"
    paths = sorted(str(path) for path in images.rglob("*") if path.is_file())[:200]
    rows = ray.data.read_binary_files(paths, include_paths=True, override_num_blocks=4)
    made = rows.map_batches(
        LosesItsDevice, fn_constructor_args=(str(marker),), batch_size=50, concurrency=1, resources={"wgpu": 1}
    ).take_all()
    assert marker.exists()
    assert sorted(row["path"] for row in made) == paths
    assert all(np.isfinite(row["embedding"]).all() and row["error"] == "" for row in made)


def test_from_images_to_parquet(images: Path, tmp_path: Path) -> None:
    """An object instead of a class, images that Ray decodes, and a bad one."""
    import pyarrow.parquet

    some = tmp_path / "some"
    some.mkdir()
    for i, path in enumerate(sorted(path for path in images.rglob("*") if path.is_file())[:20]):
        (some / f"{i:02}{path.suffix}").write_bytes(path.read_bytes())
    decoded = ray.data.read_images(str(some), include_paths=True, mode="RGB")
    embedded = decoded.map_batches(Embed(normalize=True), batch_size=8, resources={"wgpu": 1})
    embedded.write_parquet(str(tmp_path / "vectors"))
    table = pyarrow.parquet.read_table(tmp_path / "vectors")
    assert table.num_rows == 20 and set(table.column_names) == {"path", "embedding", "error"}
    back = {row["path"]: row["embedding"] for row in ray.data.read_parquet(str(tmp_path / "vectors")).take_all()}
    assert all(abs(float(np.linalg.norm(vector)) - 1) < 1e-5 for vector in back.values())

    (some / "bad.png").write_bytes(b"no image")
    binary = ray.data.read_binary_files(str(some), include_paths=True)
    classified = binary.map_batches(Classify(top_k=3), batch_size=8, resources={"wgpu": 1})
    classified.write_parquet(str(tmp_path / "classes"))
    rows = pyarrow.parquet.read_table(tmp_path / "classes").to_pylist()
    assert len(rows) == 21
    [bad] = [row for row in rows if row["error"]]
    assert bad["path"].endswith("bad.png") and "[image.decode]" in bad["error"]
    assert all(len(row["labels"]) == 3 for row in rows)


def test_a_model_that_cannot_be_opened_fails_the_job(images: Path) -> None:
    began = time.monotonic()
    rows = ray.data.from_items([{"path": "a.png"}])
    with pytest.raises(Exception, match="no such model"):
        rows.map_batches(Embed, fn_constructor_args=("no such model",), concurrency=1, resources={"wgpu": 1}).take_all()
    assert time.monotonic() - began < 120
