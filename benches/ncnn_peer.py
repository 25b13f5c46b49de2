"""ncnn's Vulkan back end on the same device: CSV, one row per case. Arguments: MODELS BATCHES SECONDS [GPU-INDEX], as benches/gpu.sh gives.

Needs the Python packages ncnn and numpy. The networks are written here, with random weights: ResNet and ResNeXt, batch norm folded, as an
exporter would. ncnn has no batch dimension, so a batch is a loop. Host tensor in, host logits out, f32 unless --f16 is given."""

import csv
import statistics
import sys
import tempfile
import time
from pathlib import Path

import ncnn
import numpy as np

# Blocks of the four stages, bottleneck, groups, channels of a group at the first stage.
MODELS = {
    "resnet18": ([2, 2, 2, 2], False, 1, 64),
    "resnet34": ([3, 4, 6, 3], False, 1, 64),
    "resnet50": ([3, 4, 6, 3], True, 1, 64),
    "resnext50_32x4d": ([3, 4, 6, 3], True, 32, 4),
}


class Writer:
    """Layers in ncnn's text form, weights in its binary form."""

    def __init__(self):
        self.layers, self.weights, self.blobs, self.random = [], [], 0, np.random.default_rng(1)

    def add(self, kind, inputs, outputs, parameters=""):
        made = [str(self.blobs + i) for i in range(outputs)]
        self.blobs += outputs
        name = f"{kind.lower()}{len(self.layers)}"
        self.layers.append(" ".join([kind, name, str(len(inputs)), str(outputs), *inputs, *made, parameters]).strip())
        return made

    def values(self, count, fan_in):
        self.weights += [np.zeros(1, np.float32), self.random.normal(0, (2 / fan_in) ** 0.5, count).astype(np.float32)]

    def conv(self, x, cin, cout, kernel, stride, relu, groups=1):
        count = cout * cin // groups * kernel * kernel
        parameters = f"0={cout} 1={kernel} 3={stride} 4={kernel // 2} 5=1 6={count}"
        parameters += f" 7={groups}" * (groups > 1) + " 9=1" * relu
        (y,) = self.add("ConvolutionDepthWise" if groups > 1 else "Convolution", [x], 1, parameters)
        self.values(count, cin // groups * kernel * kernel)
        self.weights.append(np.zeros(cout, np.float32))
        return y

    def block(self, x, cin, width, cout, stride, bottleneck, groups):
        main, shortcut = self.add("Split", [x], 2)
        if bottleneck:
            main = self.conv(main, cin, width, 1, 1, True)
            main = self.conv(main, width, width, 3, stride, True, groups)
            main = self.conv(main, width, cout, 1, 1, False)
        else:
            main = self.conv(main, cin, width, 3, stride, True)
            main = self.conv(main, width, cout, 3, 1, False)
        if stride > 1 or cin != cout:
            shortcut = self.conv(shortcut, cin, cout, 1, stride, False)
        (total,) = self.add("BinaryOp", [main, shortcut], 1, "0=0")
        return self.add("ReLU", [total], 1)[0]

    def network(self, blocks, bottleneck, groups, base):
        (x,) = self.add("Input", [], 1)
        x = self.conv(x, 3, 64, 7, 2, True)
        (x,) = self.add("Pooling", [x], 1, "0=0 1=3 2=2 3=1 5=1")
        cin = 64
        for stage, count in enumerate(blocks):
            width = groups * base << stage
            cout = 256 << stage if bottleneck else 64 << stage
            for i in range(count):
                x = self.block(x, cin, width, cout, 2 if stage and not i else 1, bottleneck, groups)
                cin = cout
        (x,) = self.add("Pooling", [x], 1, "0=1 4=1")
        (x,) = self.add("InnerProduct", [x], 1, f"0=1000 1=1 2={1000 * cin}")
        self.values(1000 * cin, cin)
        self.weights.append(np.zeros(1000, np.float32))
        return x

    def save(self, folder):
        text = "\n".join(["7767517", f"{len(self.layers)} {self.blobs}", *self.layers])
        (folder / "net.param").write_text(text + "\n")
        (folder / "net.bin").write_bytes(b"".join(values.tobytes() for values in self.weights))


def measure(name, batches, seconds, gpu, half):
    writer = Writer()
    output = writer.network(*MODELS[name])
    net = ncnn.Net()
    net.opt.use_vulkan_compute = True
    net.set_vulkan_device(gpu)
    for flag in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, flag, half and flag != "use_bf16_storage")
    with tempfile.TemporaryDirectory() as folder:
        writer.save(Path(folder))
        assert net.load_param(f"{folder}/net.param") == 0
        assert net.load_model(f"{folder}/net.bin") == 0
    for batch in batches:
        images = np.random.default_rng(2).normal(size=(batch, 3, 224, 224)).astype(np.float32)

        def run(images=images):
            for image in images:
                extractor = net.create_extractor()
                extractor.input("0", ncnn.Mat(image))
                code, logits = extractor.extract(output)
                assert code == 0 and np.isfinite(np.array(logits)).all()

        began = time.perf_counter()
        run()
        first, times, began = 1e3 * (time.perf_counter() - began), [], time.perf_counter()
        while len(times) < 5 or time.perf_counter() - began < seconds:
            start = time.perf_counter()
            run()
            times.append(1e3 * (time.perf_counter() - start))
        median = statistics.median(times)
        yield [name, batch, "f16" if half else "f32", median, min(times), 1e3 * batch / median, first, len(times)]


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--f16"]
    names, batches, seconds = arguments[0].split(","), [int(b) for b in arguments[1].split(",")], float(arguments[2])
    gpu, half = int(arguments[3]) if len(arguments) > 3 else 0, "--f16" in sys.argv
    rows = csv.writer(sys.stdout)
    rows.writerow(["model", "batch", "precision", "median_ms", "min_ms", "images_per_s", "first_ms", "runs", "device", "ncnn"])
    device = ncnn.get_gpu_info(gpu).device_name()
    for name in (name for name in names if name in MODELS):
        for row in measure(name, batches, seconds, gpu, half):
            rows.writerow([*row, device, ncnn.__version__])
            sys.stdout.flush()


main()
