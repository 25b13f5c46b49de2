"""Measures the README's figures of speed and memory. Run it on an otherwise idle machine.

python benches/figures.py speed photos/ --command ../target/release/residua
python benches/figures.py counting
python benches/figures.py start photo.jpg
python benches/figures.py soak photo.jpg --minutes 10
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from residua import Classifier

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

EMBED = """
import sys
import numpy as np
from residua import Classifier
vectors = [vector for _, vector in Classifier(sys.argv[1]).embed_folder(sys.argv[2])]
np.save(sys.argv[3], np.stack(vectors))
"""


def spread(values: Sequence[float]) -> str:
    """Returns the median of some values as text, with the smallest and the largest."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def seconds(*command: str | os.PathLike[str]) -> float:
    """Runs a program, and returns the time from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def speed(folder: Path, command: Path, model: str, runs: int) -> None:
    """Compares `embed_folder` with ``residua embed`` on a folder: whole processes in turns, after one run of each that does not count."""
    with tempfile.TemporaryDirectory() as made:
        ours, theirs = Path(made, "ours.npy"), Path(made, "theirs.npy")
        times: list[tuple[float, float]] = []
        for _ in range(runs + 1):
            by_command = seconds(command, "embed", "-q", "-m", model, "-r", folder, "--format", "npy", "-o", theirs)
            times.append((seconds(sys.executable, "-c", EMBED, model, folder, ours), by_command))
        rows = len(np.load(ours))
        same = np.array_equal(np.load(ours), np.load(theirs))
    package, program = ([run[i] for run in times[1:]] for i in range(2))
    print(f"{rows} images, {runs} runs, the same bits: {same}")
    print(f"package: {spread([rows / time for time in package])} images/s")
    print(f"command: {spread([rows / time for time in program])} images/s")
    print(f"package / command: {spread([program / package for package, program in times[1:]])}")


def count(stop: threading.Event) -> float:
    """Counts until `stop` is set, and returns the speed in thousands per second."""
    began, rounds = time.perf_counter(), 0
    while not stop.is_set():
        for _ in range(1000):
            pass
        rounds += 1
    return rounds / (time.perf_counter() - began)


def count_in_thread(work: Callable[[], None]) -> float:
    """Counts in a thread of this process while `work` is done."""
    stop = threading.Event()
    rates: list[float] = []
    thread = threading.Thread(target=lambda: rates.append(count(stop)))
    thread.start()
    work()
    stop.set()
    thread.join()
    return rates[0]


def count_in_process(work: Callable[[], None]) -> float:
    """Counts in another process while `work` is done."""
    command = [sys.executable, __file__, "count"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        work()
        told, _ = process.communicate()
    return float(told)


def count_until_told() -> None:
    """Counts until stdin is closed, for `count_in_process`."""
    stop = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait).start()
    print("counting", flush=True)
    print(count(stop))


def counting(model: str, runs: int, rounds: int) -> None:
    """Compares the speed of a counting thread and of a counting process while images are embedded, and without load."""
    images: Pixels = np.random.default_rng(7).integers(0, 256, (1000, 32, 32, 3), np.uint8)
    with Classifier(model) as classifier:

        def embed() -> None:
            for _ in range(rounds):
                classifier.embed(images)

        embed()
        alone, beside_thread, beside_process, in_thread, in_process, idle = ([] for _ in range(6))
        for _ in range(runs):
            began = time.perf_counter()
            embed()
            alone.append(time.perf_counter() - began)
            idle.append(count_in_thread(lambda: time.sleep(1)))
            began = time.perf_counter()
            in_thread.append(count_in_thread(embed))
            beside_thread.append(time.perf_counter() - began)
            began = time.perf_counter()
            in_process.append(count_in_process(embed))
            beside_process.append(time.perf_counter() - began)
        print(f"{classifier.device.name}, {os.cpu_count()} cores, {runs} runs of {rounds * len(images)} images")
    print(f"thread, thousands/s: {spread(in_thread)}")
    print(f"process, thousands/s: {spread(in_process)}")
    print(f"thread / process: {spread([a / b for a, b in zip(in_thread, in_process, strict=True)])}")
    print(f"thread / nothing else: {spread([a / b for a, b in zip(in_thread, idle, strict=True)])}")
    print(f"process / nothing else: {spread([a / b for a, b in zip(in_process, idle, strict=True)])}")
    print(f"embed beside the thread / alone: {spread([b / a for a, b in zip(beside_thread, alone, strict=True)])}")
    print(f"embed beside the process / alone: {spread([b / a for a, b in zip(beside_process, alone, strict=True)])}")


def start(photo: Path, runs: int) -> None:
    """Measures the import and a first use, each in a new process."""
    imports, firsts = [], []
    for _ in range(runs):
        nothing = seconds(sys.executable, "-c", "pass")
        imports.append(seconds(sys.executable, "-c", "import residua") - nothing)
        script = "import sys, residua; residua.Classifier().classify(sys.argv[1])"
        firsts.append(seconds(sys.executable, "-c", script, photo))
    print(f"import residua: {spread([1000 * time for time in imports])} ms more than Python's start")
    print(f"start of Python to the first classes: {spread([1000 * time for time in firsts])} ms")


def resident() -> float:
    """Returns the memory of this process, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def soak(photo: Path, minutes: float) -> None:
    """Makes all kinds of calls for some minutes, and prints how much memory the process used."""
    content = photo.read_bytes()
    random = np.random.default_rng(7)
    memory: list[float] = []
    device: list[int] = []
    with tempfile.TemporaryDirectory() as folder, Classifier() as model:
        for i in range(20):
            Path(folder, f"{i:02}{photo.suffix}").write_bytes(content)
        x = model.preprocess(photo, normalize=True)[None]
        expected = model.classify(photo)
        calls: list[Callable[[], object]] = [
            lambda: model.classify([photo, content, b"no image", "missing.jpg"]),
            lambda: model.classify(random.integers(0, 256, tuple(random.integers(1, 300, 2)), np.uint8)),
            lambda: model.embed([content] * int(random.integers(1, 70)), normalize=True),
            lambda: list(model.embed_folder(folder)),
            lambda: next(model.classify_folder(folder)),
            lambda: model.logits(np.repeat(x, int(random.integers(1, 9)), 0)),
            lambda: model.explain(photo).overlay(photo),
            lambda: model.preprocess(photo),
            lambda: in_threads(lambda: model.classify(content)),
        ]
        began = time.monotonic()
        made = 0
        while (past := time.monotonic() - began) < 60 * minutes:
            calls[int(random.integers(len(calls)))]()
            made += 1
            if past >= len(memory) * 60 * minutes / 60:
                memory.append(resident())
                device.append(model.device_memory or 0)
        # Alone, it is in a batch of one again.
        assert model.classify(photo) == expected
    third = len(memory) // 3
    print(f"{made} calls in {minutes} minutes, {len(memory)} samples of the resident memory")
    print(f"first third: {spread(memory[:third])} MiB")
    print(f"second third: {spread(memory[third:-third])} MiB")
    print(f"last third: {spread(memory[-third:])} MiB")
    print(f"on the device: {spread([bytes / 2**20 for bytes in device])} MiB")


def in_threads(call: Callable[[], object]) -> None:
    """Makes a call in four threads at once."""
    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description="Measure the package")
    figures = parser.add_subparsers(dest="figure", required=True)
    of_speed = figures.add_parser("speed", help="embed_folder beside the command")
    of_speed.add_argument("folder", type=Path)
    of_speed.add_argument("--command", type=Path, required=True, help="the program residua, of the same profile")
    of_counting = figures.add_parser("counting", help="a thread that counts meanwhile")
    of_counting.add_argument("--rounds", type=int, default=3, help="thousands of images of a run")
    figures.add_parser("count", help="what counts in another process; until stdin is closed")
    of_start = figures.add_parser("start", help="the import, and the first use")
    of_start.add_argument("photo", type=Path)
    of_soak = figures.add_parser("soak", help="memory over minutes")
    of_soak.add_argument("photo", type=Path)
    of_soak.add_argument("--minutes", type=float, default=10)
    for each in (of_speed, of_counting):
        each.add_argument("--model", default="builtin")
    for each in (of_speed, of_counting, of_start):
        each.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    if options.figure == "speed":
        speed(options.folder, options.command, options.model, options.runs)
    elif options.figure == "counting":
        counting(options.model, options.runs, options.rounds)
    elif options.figure == "count":
        count_until_told()
    elif options.figure == "start":
        start(options.photo, options.runs)
    else:
        soak(options.photo, options.minutes)


if __name__ == "__main__":
    main()
