"""Networks for CIFAR in the spellings of repositories that people copy, and what each spelling implies.

A network is written from the names in a repository's checkpoints: `Written.put` gives a module any name, and the steps of the forward pass
are plain functions.
"""

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d


class Written(nn.Module):
    """A sequence of steps over modules that have any names."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def put(self, path, module):
        *outer, last = path.split(".")
        at = self
        for name in outer:
            if name not in at._modules:
                at.add_module(name, nn.Module())
            at = at._modules[name]
        at.add_module(last, module)
        return module

    def conv(self, path, inputs, outputs, kernel, stride=1, groups=1, bias=False):
        return self.put(path, nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias))

    def norm(self, path, channels):
        return self.put(path, nn.BatchNorm2d(channels))

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return x


def chain(*steps):
    def run(x):
        for step in steps:
            x = step(x)
        return x

    return run


def head(net, path, channels):
    linear = net.put(path, nn.Linear(channels, 7))
    net.steps.append(lambda x: linear(x.mean((2, 3))))
    return net


def gate(net, paths, channels, bias=True, convolution=False):
    """Squeeze-and-excitation whose two layers are at these paths."""
    squeeze = channels // 4
    sizes = [(channels, squeeze), (squeeze, channels)]
    make = (lambda a, b: nn.Conv2d(a, b, 1, bias=bias)) if convolution else (lambda a, b: nn.Linear(a, b, bias=bias))
    first, second = (net.put(path, make(*size)) for path, size in zip(paths, sizes, strict=True))

    def run(x):
        mean = adaptive_avg_pool2d(x, 1)
        y = mean if convolution else mean.flatten(1)
        y = torch.sigmoid(second(torch.relu(first(y))))
        return x * y.reshape(mean.shape)

    return run


def channel_gate(net, path):
    conv = net.put(path, nn.Conv1d(1, 1, 3, padding=1, bias=False))
    return lambda x: x * torch.sigmoid(conv(x.mean((2, 3))[:, None]))[:, 0, :, None, None]


def residual(net, windows, names, projection, gated=None, last=False, bias=False):
    """A block of convolutions, each followed by its norm. `windows` are their arguments, `names` their paths and those of the norms,
    `projection` the paths of the shortcut's. With `last`, ReLU follows the last norm too."""
    steps, (inputs, outputs) = [], (windows[0][0], windows[-1][1])
    for i, (window, (conv, norm)) in enumerate(zip(windows, names, strict=True)):
        steps += [net.conv(conv, *window, bias=bias), net.norm(norm, window[1])]
        if last or i + 1 < len(windows):
            steps.append(torch.relu)
    body = chain(*steps, *([gated] if gated else []))
    stride = max(window[3] for window in windows)
    around = None
    if stride > 1 or inputs != outputs:
        around = chain(net.conv(projection[0], inputs, outputs, 1, stride, bias=bias), net.norm(projection[1], outputs))
    return lambda x: torch.relu(body(x) + (around(x) if around else x))


def bottlenecks(spelling):
    """ResNeXts: kuangliu's with a 1x1 stem, prlz77's, and weiaicunzai's, which groups the first convolution too."""
    net, inputs = Written(), 8
    stem = {"kuangliu": ("conv1", "bn1", 1), "prlz77": ("conv_1_3x3", "bn_1", 3), "weiaicunzai": ("conv1.0", "conv1.1", 3)}[spelling]
    net.steps += [net.conv(stem[0], 3, inputs, stem[2]), net.norm(stem[1], inputs), torch.relu]
    for s, (depth, width, outputs) in enumerate(((1, 8, 16), (2, 12, 24), (1, 16, 32))):
        for b in range(depth):
            stride = 2 if s > 0 and b == 0 else 1
            windows = [(inputs, width, 1, 1), (width, width, 3, stride, 4), (width, outputs, 1, 1)]
            if spelling == "kuangliu":
                place, shortcut = f"layer{s + 1}.{b}.", ("shortcut.0", "shortcut.1")
                names = [(f"conv{i}", f"bn{i}") for i in (1, 2, 3)]
            elif spelling == "prlz77":
                place, shortcut = f"stage_{s + 1}.stage_{s + 1}_bottleneck_{b}.", ("shortcut.shortcut_conv", "shortcut.shortcut_bn")
                names = [("conv_reduce", "bn_reduce"), ("conv_conv", "bn"), ("conv_expand", "bn_expand")]
            else:
                place, shortcut = f"conv{s + 2}.{b}.", ("shortcut.0", "shortcut.1")
                names = [(f"split_transforms.{i}", f"split_transforms.{i + 1}") for i in (0, 3, 6)]
                windows[0] = (inputs, width, 1, 1, 4)
            net.steps.append(residual(net, windows, [(place + c, place + n) for c, n in names], [place + n for n in shortcut]))
            inputs = outputs
    return head(net, {"kuangliu": "linear", "prlz77": "classifier", "weiaicunzai": "fc"}[spelling], inputs)


def gated(spelling, deep=False):
    """Gates by kuangliu, moskomule, weiaicunzai (after a ReLU) and the authors of ECA-Net."""
    net, inputs, wei = Written(), 8, spelling == "weiaicunzai"
    stem = ("pre.0", "pre.1") if wei else ("conv1", "bn1")
    net.steps += [net.conv(stem[0], 3, inputs, 3, bias=wei), net.norm(stem[1], inputs), torch.relu]
    for s, (depth, width) in enumerate(((1, 8), (2, 12), (1, 16))):
        for b in range(depth):
            stride, outputs = 2 if s > 0 and b == 0 else 1, 2 * width if deep else width
            windows = [(inputs, width, 3, stride), (width, outputs, 3, 1)]
            if deep:
                windows = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
            numbers = range(len(windows))
            place, names = f"layer{s + 1}.{b}.", [(f"conv{i + 1}", f"bn{i + 1}") for i in numbers]
            shortcut = "shortcut" if spelling == "kuangliu" else "downsample"
            if wei:
                place, names, shortcut = f"stage{s + 1}.{b}.", [(f"residual.{3 * i}", f"residual.{3 * i + 1}") for i in numbers], "shortcut"
            if spelling == "eca":
                attends = channel_gate(net, place + "eca.conv")
            else:
                layers = {"kuangliu": ("fc1", "fc2"), "moskomule": ("se.fc.0", "se.fc.2"), "weiaicunzai": ("excitation.0", "excitation.2")}
                paths = [place + layer for layer in layers[spelling]]
                attends = gate(net, paths, outputs, bias=spelling != "moskomule", convolution=spelling == "kuangliu")
            names, projection = [(place + c, place + n) for c, n in names], [f"{place}{shortcut}.0", f"{place}{shortcut}.1"]
            net.steps.append(residual(net, windows, names, projection, attends, last=wei, bias=wei))
            inputs = outputs
    return head(net, "fc" if spelling in ("moskomule", "eca") else "linear", inputs)


def norms_first(spelling, deep=False):
    """Norms before convolutions: kuangliu's SENet, and bearpaw's, meliketoy's and weiaicunzai's networks, whose shortcuts read the input
    of the block."""
    net, inputs, wei = Written(), 8, spelling == "weiaicunzai"
    bias = spelling in ("meliketoy", "weiaicunzai")
    net.steps.append(net.conv("pre.0" if wei else "conv1", 3, inputs, 3, bias=bias))
    if wei or spelling == "kuangliu":
        net.steps += [net.norm("pre.1" if wei else "bn1", inputs), torch.relu]
    for s, (depth, width) in enumerate(((1, 8), (2, 12), (1, 16))):
        for b in range(depth):
            stride, outputs = 2 if s > 0 and b == 0 else 1, 2 * width if deep else width
            windows = [(inputs, width, 3, stride), (width, outputs, 3, 1)]
            if deep:
                first, second = (stride, 1) if wei else (1, stride)
                windows = [(inputs, width, 1, first), (width, width, 3, second), (width, outputs, 1, 1)]
            place, layers = (f"stage{s + 1}.{b}." if wei else f"layer{s + 1}.{b}."), []
            for i, window in enumerate(windows):
                norm, conv = (f"residual.{3 * i}", f"residual.{3 * i + 2}") if wei else (f"bn{i + 1}", f"conv{i + 1}")
                layers.append((net.norm(place + norm, window[0]), net.conv(place + conv, *window, bias=bias)))
            projection = None
            if stride > 1 or inputs != outputs:
                path = {"weiaicunzai": "shortcut", "bearpaw": "downsample.0"}.get(spelling, "shortcut.0")
                projection = net.conv(place + path, inputs, outputs, 1, stride, bias=bias)
            attends = gate(net, [place + "fc1", place + "fc2"], outputs, convolution=True) if spelling == "kuangliu" else None

            def block(x, layers=layers, projection=projection, attends=attends):
                normed = torch.relu(layers[0][0](x))
                around = x if projection is None else projection(normed if attends else x)
                y = layers[0][1](normed)
                for norm, conv in layers[1:]:
                    y = conv(torch.relu(norm(y)))
                return (attends(y) if attends else y) + around

            net.steps.append(block)
            inputs = outputs
    if spelling in ("bearpaw", "meliketoy"):
        net.steps += [net.norm("bn" if spelling == "bearpaw" else "bn1", inputs), torch.relu]
    return head(net, "fc" if spelling == "bearpaw" else "linear", inputs)


def dense_layer(run, newest_first):
    return lambda x: torch.cat([run(x), x] if newest_first else [x, run(x)], 1)


def dense(spelling, basic=False):
    """DenseNets: kuangliu puts the output of a layer before its input, and weiaicunzai's transitions have no ReLU."""
    net, channels, growth = Written(), 8, 4
    wei, depths = spelling == "weiaicunzai", (2, 3, 1)
    net.steps.append(net.conv("conv1", 3, channels, 3))
    for b, depth in enumerate(depths):
        for layer in range(depth):
            outer = {"weiaicunzai": f"features.dense_block_layer_{b}", "andreasveit": f"block{b + 1}.layer"}.get(spelling, f"dense{b + 1}")
            if wei:
                outer = f"features.dense_block{b}" if b + 1 == len(depths) else outer
                place, names = f"{outer}.bottle_neck_layer_{layer}.bottle_neck.", ("0", "2", "3", "5")
            else:
                place, names = f"{outer}.{layer}.", ("bn1", "conv1", "bn2", "conv2")
            inner = growth if basic else 4 * growth
            steps = [net.norm(place + names[0], channels), torch.relu, net.conv(place + names[1], channels, inner, 3 if basic else 1)]
            if not basic:
                steps += [net.norm(place + names[2], inner), torch.relu, net.conv(place + names[3], inner, growth, 3)]
            net.steps.append(dense_layer(chain(*steps), newest_first=spelling == "kuangliu"))
            channels += growth
        if b + 1 < len(depths):
            place = f"features.transition_layer_{b}.down_sample." if wei else f"trans{b + 1}."
            norm, conv = {"weiaicunzai": ("0", "1"), "kuangliu": ("bn", "conv")}.get(spelling, ("bn1", "conv1"))
            steps = [net.norm(place + norm, channels), *([] if wei else [torch.relu]), net.conv(place + conv, channels, channels // 2, 1)]
            net.steps += [*steps, lambda x: avg_pool2d(x, 2)]
            channels //= 2
    last = {"weiaicunzai": "features.bn", "andreasveit": "bn1"}.get(spelling, "bn")
    net.steps += [net.norm(last, channels), torch.relu]
    return head(net, "linear" if spelling in ("kuangliu", "weiaicunzai") else "fc", channels)


def rows():
    """Name, network, what its spelling implies, size of the input."""
    raw = "shortcut-input=block"
    for spelling in ("kuangliu", "prlz77", "weiaicunzai"):
        yield f"resnext of {spelling}", bottlenecks(spelling), "", 29
    for spelling in ("kuangliu", "moskomule", "weiaicunzai", "eca"):
        yield f"gates of {spelling}", gated(spelling), "", 29
    yield "gates of weiaicunzai in bottlenecks", gated("weiaicunzai", deep=True), "", 32
    yield "norms first with gates of kuangliu", norms_first("kuangliu"), "", 29
    for spelling in ("bearpaw", "meliketoy", "weiaicunzai"):
        yield f"norms first of {spelling}", norms_first(spelling), raw, 29
    yield "norms first of bearpaw in bottlenecks", norms_first("bearpaw", deep=True), raw, 32
    yield "norms first of weiaicunzai in bottlenecks", norms_first("weiaicunzai", deep=True), f"{raw},stride-in=1x1", 29
    yield "densenet of kuangliu", dense("kuangliu"), "dense-order=newest-first", 29
    yield "densenet of bearpaw", dense("bearpaw"), "", 29
    yield "densenet of andreasveit", dense("andreasveit", basic=True), "", 32
    yield "densenet of weiaicunzai", dense("weiaicunzai"), "transition-activation=identity", 32
