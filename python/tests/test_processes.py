"""Threads, processes, signals and event loops."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import residua
from conftest import ROOT
from residua import Classifier

PIXELS = np.arange(3 * 40 * 40, dtype=np.uint32).reshape(40, 40, 3).astype(np.uint8)


def test_eight_threads_get_the_results_of_one() -> None:
    with Classifier(deterministic=True) as model:
        images = [np.roll(PIXELS, shift, 1) for shift in range(8)]
        expected = [(model.classify(image), model.embed(image)) for image in images]

        def calls(which: int) -> int:
            for i in range(200):
                at = (which + i) % len(images)
                if i % 3:
                    assert model.classify(images[at]) == expected[at][0]
                else:
                    np.testing.assert_array_equal(model.embed([images[at]] * (1 + i % 4))[0], expected[at][1])
            return which

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(calls, range(8))) == list(range(8))


def embed_in_child(model: Classifier) -> Any:
    return os.getpid(), model.embed(PIXELS)


def failing_in_child(_: int) -> None:
    Classifier(model=str(ROOT / "README.md"))


def test_pickles_carry_the_settings(model: Classifier) -> None:
    with Classifier(device="cpu", labels=[str(i) for i in range(10)], crop=40, batch=2) as other:
        copy = pickle.loads(pickle.dumps(other))
    assert copy.device.index is None
    assert copy.labels == [str(i) for i in range(10)]
    assert copy.model.input_size == (40, 40)
    copy.close()
    again = pickle.loads(pickle.dumps(copy))
    assert again.labels == copy._settings["labels"]


def test_spawned_processes_open_the_device_anew(model: Classifier) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for pid, vector in pool.map(embed_in_child, [model] * 2):
            assert pid != os.getpid()
            np.testing.assert_array_equal(vector, model.embed(PIXELS))
        failed = pool.submit(failing_in_child, 0)
        error = failed.exception()
        assert isinstance(error, residua.ModelError) and error.code == "model.format"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_fork_is_told(gpu: Classifier) -> None:
    expected = gpu.classify(PIXELS)
    run = gpu._opened().embed([PIXELS], 1, False)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        codes = []
        calls: list[Callable[[], object]] = [
            lambda: gpu.classify(PIXELS),
            lambda: gpu.embed([]),
            lambda: gpu.logits(np.zeros((1, 3, 32, 32))),
            lambda: gpu.explain(PIXELS),
            lambda: run.next(),
        ]
        for call in calls:
            try:
                call()
                codes.append("none")
            except residua.DeviceError as error:
                codes.append(error.code)
        with Classifier(device="cpu") as own:
            codes.append(own.classify(PIXELS)[0]["label"])
        os.write(write, " ".join(codes).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        text = told.read()
    assert os.waitpid(child, 0)[1] == 0
    assert text == " ".join(["gpu.forked"] * 5 + [expected[0]["label"]])
    assert gpu.classify(PIXELS) == expected
    run.close()


INTERRUPTED = """
import signal, sys, time
import numpy as np
from residua import Classifier
# A shell's job in the background is started with it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
model = Classifier(synthetic="resnet18", device={device!r})
images = np.zeros((4, 8, 8, 3), np.uint8)
def endless():
    while True:
        yield from images
calls = {{
    "classify": lambda: model.classify(endless()),
    "embed": lambda: model.embed(endless()),
    "long": lambda: model.embed(np.zeros((500, 8, 8, 3), np.uint8)),
}}
model.classify(images[0])
print("ready", flush=True)
try:
    calls[{call!r}]()
except KeyboardInterrupt:
    began = time.monotonic()
    # The classifier can be used afterwards.
    model.classify(images[0])
    print("interrupted", flush=True)
    sys.exit(7)
"""


@pytest.mark.parametrize("call", ["classify", "embed", "long"])
def test_ctrl_c_ends_a_long_call(call: str) -> None:
    script = INTERRUPTED.format(device="auto", call=call)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(1)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "interrupted\n"
        assert process.wait() == 7
        assert time.monotonic() - began < 20


def system_threads() -> int:
    """How many threads the system counts, where it tells."""
    return len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 0


def test_a_stream_that_is_left_half_way_stops(model: Classifier, tmp_path: Path, ship: Path) -> None:
    for i in range(200):
        (tmp_path / f"{i:03}.png").symlink_to(ship)
    before = system_threads()
    for path, vector in model.embed_folder(tmp_path):
        assert path.endswith("000.png") and not isinstance(vector, residua.Error)
        break
    until = time.monotonic() + 10
    while system_threads() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert system_threads() <= before
    counted: list[int] = []
    paths = [path for path, _ in model.classify_folder(tmp_path, top_k=1, progress=counted.append)]
    assert len(paths) == sum(counted) == 200
    assert [p for p, _ in model.classify_folder(tmp_path, exclude=["[02-9]*"], progress=True)] == paths[100:200][:100]


def test_a_folder_that_is_not_there_is_told(model: Classifier, tmp_path: Path) -> None:
    [(path, error)] = list(model.classify_folder(tmp_path / "missing"))
    assert path == str(tmp_path / "missing") and isinstance(error, residua.Error) and error.code == "io"
    [(_, none)] = list(model.embed_folder(tmp_path))
    assert isinstance(none, residua.Error) and none.code == "image.none"
    with pytest.raises(residua.ImageError):
        list(model.embed_folder(tmp_path, errors="raise"))
    with pytest.raises(residua.ConfigError):
        model.embed_folder(tmp_path, exclude=["[a"])


def test_event_loops_go_on(model: Classifier, ship: Path) -> None:
    expected = model.classify([ship] * 3), model.embed([ship] * 3)
    x = model.preprocess(ship, normalize=True)[None]

    async def both() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        classes, vectors, logits = await asyncio.gather(
            model.aclassify([ship] * 3), model.aembed([ship] * 3), model.alogits(x)
        )
        assert classes == expected[0]
        np.testing.assert_array_equal(vectors, expected[1])
        np.testing.assert_array_equal(logits, model.logits(x))
        assert ticks > 1
        assert await model.aclassify(ship) == model.classify(ship)
        with pytest.raises(residua.FileError):
            await model.aembed(["missing"])
        ticking.cancel()

    asyncio.run(both())


def test_a_cancelled_task_stops_the_call(model: Classifier) -> None:
    given = 0

    def endless() -> Any:
        nonlocal given
        while True:
            given += 1
            yield PIXELS

    async def cancelled() -> None:
        task = asyncio.create_task(model.aclassify(endless()))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    seen = given
    assert seen > 0
    time.sleep(0.3)
    assert given == seen


def test_what_there_is_to_tell_goes_to_logging(caplog: pytest.LogCaptureFixture, tmp_path: Path, ship: Path) -> None:
    with caplog.at_level(logging.DEBUG, "residua"), Classifier(device=None) as model:
        assert [record.getMessage() for record in caplog.records if record.name == "residua"][
            : len(model.notes)
        ] == model.notes
        caplog.clear()
        damaged = tmp_path / "damaged.png"
        damaged.write_bytes(ship.read_bytes()[:-8])
        assert isinstance(model.classify(damaged), list)
        [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert record.name == "residua" and "damaged.png" in record.getMessage()
        caplog.clear()
        assert np.isnan(model.embed(["missing"], errors="nan")).all()
        assert "[io]" in caplog.text


def test_exceptions_keep_their_codes_through_pickles() -> None:
    error = residua.ImageError("broken", "image.decode", 3)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.code, copy.index) == (residua.ImageError, "broken", "image.decode", 3)
    assert isinstance(residua.FileError("x", "io"), OSError)
    assert str(residua.FileError("x", "io")) == "x"


def test_it_is_imported_without_what_it_may_not_need() -> None:
    script = "import residua, sys; print([n for n in ('numpy', 'PIL', 'torch', 'ray', 'asyncio', 'logging') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
