"""PyTorch on the same card: one JSON line per case. Arguments: MODELS BATCHES SECONDS, as benches/gpu.sh gives them.

Weights are random, input and output stay on the host as in residua-bench: copy in, run, copy out."""

import json
import statistics
import sys
import time

import torch
import torchvision


def measure(model, images, seconds, graph):
    device_in = images.cuda()
    with torch.inference_mode():
        for _ in range(3):
            model(device_in)
        torch.cuda.synchronize()
        captured = None
        if graph:
            captured = torch.cuda.CUDAGraph()
            with torch.cuda.graph(captured):
                device_out = model(device_in)
        times, began = [], time.perf_counter()
        while len(times) < 5 or time.perf_counter() - began < seconds:
            start = time.perf_counter()
            device_in.copy_(images)
            if captured:
                captured.replay()
            else:
                device_out = model(device_in)
            device_out.cpu()
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times), min(times), len(times)


def main():
    names, batches, seconds = sys.argv[1].split(","), [int(b) for b in sys.argv[2].split(",")], float(sys.argv[3])
    for name in (n for n in names if hasattr(torchvision.models, n)):
        for mode in ("f32", "tf32", "f16"):
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = mode == "tf32"
            dtype, layout = (torch.half, torch.channels_last) if mode == "f16" else (torch.float, torch.contiguous_format)
            model = getattr(torchvision.models, name)().eval().cuda().to(dtype, memory_format=layout)
            for batch in batches:
                images = torch.randn(batch, 3, 224, 224).to(dtype, memory_format=layout).pin_memory()
                for graph in (False, True):
                    median, best, runs = measure(model, images, seconds, graph)
                    row = {"model": name, "batch": batch, "mode": mode, "cuda_graph": graph}
                    row.update(
                        median_ms=median,
                        min_ms=best,
                        runs=runs,
                        images_per_s=1e3 * batch / median,
                        device=torch.cuda.get_device_name(),
                        torch=torch.__version__,
                    )
                    print(json.dumps(row), flush=True)


main()
