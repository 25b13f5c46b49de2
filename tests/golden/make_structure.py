"""structure.json: what PyTorch computes for networks that differ in what no tensor shows.

    pip install torch timm transformers numpy
    python make_structure.py

Weights are those of synthetic.py, all of them names of the network's own state. A row has the structure that residua has to be told, or
the configuration that states it, the shape of the input, and the logits. The networks are narrow, as they have to be different and no more.
The spelling of a network of repositories.py implies its structure.
"""

import json
import os
from functools import partial

import numpy as np
import repositories
import synthetic
import torch
from timm.layers import BlurPool2d
from timm.models.densenet import DenseNet
from timm.models.regnet import RegNet, RegNetCfg
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn
from torch.nn.utils import parametrizations, prune
from torchvision.models import regnet as tv
from transformers import RegNetConfig, RegNetForImageClassification, ResNetConfig, ResNetForImageClassification

HERE = os.path.dirname(os.path.abspath(__file__))
SALT, DAMP = "structure", 0.3


def resnet(block=BasicBlock, width=16, layers=(1, 2, 1, 2), **kw):
    channels = tuple(width * i // 2 for i in (2, 3, 4, 5))
    return ResNet(block, layers, channels=channels, num_classes=7, **kw)


def bottlenecks(**kw):
    return resnet(Bottleneck, 8, **kw)


def stem(kernel, stride, pool):
    net = resnet()
    net.conv1 = nn.Conv2d(3, 64, kernel, stride, kernel // 2, bias=False)
    if not pool:
        net.maxpool = nn.Identity()
    return net


def stride_in_one():
    net = bottlenecks()
    for layer in (net.layer2, net.layer3, net.layer4):
        layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)
    return net


def replaced(flags):
    """torchvision's replace_stride_with_dilation."""
    from torchvision.models.resnet import Bottleneck as Block
    from torchvision.models.resnet import ResNet as Net

    return Net(Block, [1, 2, 1, 2], num_classes=7, width_per_group=8, replace_stride_with_dilation=flags)


def eps(value):
    net = resnet()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = value
    return net


def densenet(**kw):
    return DenseNet(growth_rate=8, block_config=(2, 3), num_classes=7, **kw)


def transformers(**kw):
    sizes = {"embedding_size": 16, "hidden_sizes": [16, 24, 32], "depths": [1, 2, 1], "layer_type": "basic", "num_labels": 7}
    config = ResNetConfig(**{**sizes, **kw})
    net = ResNetForImageClassification(config)
    stated = {key: getattr(config, key) for key in ("model_type", "hidden_act", "downsample_in_first_stage", "downsample_in_bottleneck")}
    return net, stated


WIDTHS = {"depth": 7, "w0": 16, "wa": 8.0, "wm": 1.5, "group_size": 8}


def regnet(output_stride=32, **kw):
    return RegNet(RegNetCfg(**WIDTHS, stem_width=24, **kw), num_classes=7, output_stride=output_stride)


def inverted(output_stride=32, num_features=0):
    """RegNetZ."""
    form = {"bottle_ratio": 4.0, "downsample": None, "linear_out": True, "act_layer": "silu"}
    return regnet(output_stride, se_ratio=0.25, num_features=num_features, **form)


def preactivated(**kw):
    """RegNetV."""
    return regnet(se_ratio=0.25, preact=True, act_layer="silu", **kw)


def torchvision_regnet():
    params = tv.BlockParams.from_init_params(depth=7, w_0=16, w_a=8.0, w_m=1.5, group_width=8, se_ratio=0.25)
    return tv.RegNet(params, num_classes=7, stem_width=24)


def transformers_regnet(**kw):
    sizes = {"embedding_size": 16, "hidden_sizes": [16, 24, 32, 48], "depths": [1, 2, 2, 1], "groups_width": 8, "num_labels": 7}
    config = RegNetConfig(**{**sizes, **kw})
    keys = ("model_type", "hidden_act", "downsample_in_first_stage", "layer_type", "hidden_sizes", "depths", "embedding_size")
    return RegNetForImageClassification(config), {key: getattr(config, key) for key in keys}


def args(**model_args):
    return {"architecture": "resnet18", "model_args": model_args}


ACTIVATIONS = [
    "relu6",
    "leaky_relu",
    "silu",
    "mish",
    "gelu",
    "gelu_tanh",
    "quick_gelu",
    "sigmoid",
    "tanh",
    "hard_sigmoid",
    "hard_swish",
    "hard_mish",
    "elu",
    "celu",
    "selu",
    "identity",
]


def parametrised():
    """Convolutions whose weights are computed from others when they are used, by all of PyTorch's functions of old and new names."""
    net = resnet()
    prune.l1_unstructured(net.conv1, "weight", 0.3)
    prune.ln_structured(net.layer1[0].conv1, "weight", 0.5, n=2, dim=0)
    nn.utils.weight_norm(net.layer1[0].conv2)
    nn.utils.weight_norm(net.layer2[0].conv1, dim=1)
    nn.utils.weight_norm(net.layer2[0].conv2, dim=None)
    nn.utils.spectral_norm(net.layer2[1].conv1)
    parametrizations.weight_norm(net.layer3[0].conv1)
    parametrizations.spectral_norm(net.layer3[0].conv2)
    parametrizations.weight_norm(net.fc)
    return net


class PreActBlock(nn.Module):
    """A block of He et al. 2016, "Identity Mappings in Deep Residual Networks", figure 4e; `shortcut` names its projection."""

    def __init__(self, inputs, width, outputs, stride, bottleneck, shortcut):
        super().__init__()
        windows = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        if not bottleneck:
            windows = [(inputs, width, 3, stride), (width, outputs, 3, 1)]
        self.depth, self.shortcut_name = len(windows), shortcut
        for i, (a, b, kernel, step) in enumerate(windows, 1):
            setattr(self, f"bn{i}", nn.BatchNorm2d(a))
            setattr(self, f"conv{i}", nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False))
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            setattr(self, shortcut, projection if shortcut == "convShortcut" else nn.Sequential(projection))

    def forward(self, x):
        y = torch.relu(self.bn1(x))
        around = getattr(self, self.shortcut_name)(y) if hasattr(self, self.shortcut_name) else x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"conv{i}")(y if i == 1 else torch.relu(getattr(self, f"bn{i}")(y)))
        return y + around


class PreAct(nn.Module):
    """A network for CIFAR in the spelling of kuangliu's pytorch-cifar, which has no last norm, or of xternalz's WideResNet-pytorch."""

    def __init__(self, bottleneck=False, pool=False, wide=False):
        super().__init__()
        self.wide, inputs = wide, 8
        self.conv1 = nn.Conv2d(3, inputs, 3, 1, 1, bias=False)
        self.pool = nn.MaxPool2d(3, 2, 1) if pool else nn.Identity()
        self.stages = []
        for s, (width, depth) in enumerate(((12, 1), (16, 2), (20, 1)) if wide else ((8, 2), (16, 1), (20, 2), (24, 1)), 1):
            outputs = 2 * width if bottleneck else width
            layer = nn.Sequential()
            for b in range(depth):
                stride = 2 if s > 1 and b == 0 else 1
                layer.append(PreActBlock(inputs, width, outputs, stride, bottleneck, "convShortcut" if wide else "shortcut"))
                inputs = outputs
            if wide:
                setattr(self, f"block{s}", nn.Module())
                getattr(self, f"block{s}").layer = layer
            else:
                setattr(self, f"layer{s}", layer)
            self.stages.append(layer)
        if wide:
            self.bn1, self.fc = nn.BatchNorm2d(inputs), nn.Linear(inputs, 7)
        else:
            self.linear = nn.Linear(inputs, 7)

    def forward(self, x):
        x = self.pool(self.conv1(x))
        for stage in self.stages:
            x = stage(x)
        if self.wide:
            return self.fc(torch.relu(self.bn1(x)).mean((2, 3)))
        return self.linear(x.mean((2, 3)))


def rows():
    """Name, network, structure, configuration, size of the input."""
    yield "usual", resnet(), "", None, 64
    yield "stem 3x3/1 and pooling", stem(3, 1, True), "stem-pool=max", None, 32
    yield "stem 3x3/2 and pooling", stem(3, 2, True), "stem-pool=max,stem-stride=2", None, 64
    yield "stem 7x7/2 without pooling", stem(7, 2, False), "stem-pool=none", None, 32
    yield "stem 7x7/1 without pooling", stem(7, 1, False), "stem-stride=1,stem-pool=none", None, 32
    yield "stride in 1x1", stride_in_one(), "stride-in=1x1", None, 64
    for name, flags in {"layer3+layer4": [False, True, True], "layer2+layer4": [True, False, True], "layer2": [True, False, False]}.items():
        yield f"dilation {name}", replaced(flags), f"dilation={name}", None, 61
    yield (
        "dilation in groups",
        resnet(Bottleneck, 8, cardinality=4, base_width=32, output_stride=8),
        "output-stride=8",
        args(output_stride=8),
        64,
    )
    for stride in (8, 16):
        yield f"output stride {stride}", resnet(output_stride=stride), f"output-stride={stride}", args(output_stride=stride), 61
    yield "eps 1e-3", eps(1e-3), "norm-eps=1e-3", args(norm_eps=1e-3), 64
    for pool in ("max", "avgmax", "catavgmax"):
        yield f"global {pool}", resnet(global_pool=pool), f"global-pool={pool}", args(global_pool=pool), 64
    for act in ACTIVATIONS:
        yield f"activation {act}", resnet(act_layer=act), f"activation={act}", args(act_layer=act), 32
    yield "activation with slope", resnet(act_layer=partial(nn.LeakyReLU, 0.2)), "activation=leaky_relu:0.2", None, 32
    yield "activation with scale", resnet(act_layer=partial(nn.CELU, 0.5)), "activation=celu:0.5", None, 32
    yield (
        "activation and gates",
        bottlenecks(act_layer="silu", block_args={"attn_layer": "se"}),
        "activation=silu",
        args(act_layer="silu"),
        64,
    )
    yield "deep stem", resnet(stem_type="deep", stem_width=8, avg_down=True, act_layer="elu"), "activation=elu", args(act_layer="elu"), 61
    yield (
        "densenet",
        densenet(act_layer="silu", global_pool="avgmax"),
        "activation=silu,global-pool=avgmax",
        args(act_layer="silu", global_pool="avgmax"),
        64,
    )
    senet = {"cardinality": 4, "base_width": 32, "down_kernel_size": 3, "block_reduce_first": 2, "block_args": {"attn_layer": "se"}}
    yield "senet154", bottlenecks(**senet), "", None, 61
    yield (
        "blurred densenet",
        densenet(stem_type="deep", aa_layer=BlurPool2d),
        "anti-aliasing=blur",
        {"architecture": "densenetblur121d"},
        61,
    )
    yield "anti-aliasing avg", resnet(aa_layer=nn.AvgPool2d), "anti-aliasing=avg", {"architecture": "resnetaa18"}, (64, 96)
    yield "anti-aliasing blur", resnet(aa_layer=BlurPool2d), "anti-aliasing=blur", args(aa_layer="blur"), 61
    yield (
        "anti-aliasing avg in bottlenecks",
        bottlenecks(aa_layer=nn.AvgPool2d, stem_type="deep", stem_width=8, avg_down=True),
        "anti-aliasing=avg",
        args(aa_layer="avg"),
        (64, 96),
    )
    yield "anti-aliasing blur in bottlenecks", bottlenecks(aa_layer=BlurPool2d), "anti-aliasing=blur", {"architecture": "resnetblur50"}, 74
    net, stated = transformers(downsample_in_first_stage=True, hidden_act="gelu")
    yield "transformers, three stages", net, "layer1-stride=2,activation=gelu,block-activation=relu", stated, 64
    net, stated = transformers(layer_type="bottleneck", downsample_in_bottleneck=True, hidden_sizes=[32, 48, 64])
    yield "transformers, stride in 1x1", net, "stride-in=1x1", stated, 64
    yield "regnetx", regnet(), "", None, 64
    yield "regnety with silu", regnet(se_ratio=0.25, act_layer="silu"), "activation=silu", args(act_layer="silu"), 64
    yield "regnetx with output stride 8", regnet(output_stride=8), "output-stride=8", args(output_stride=8), 61
    yield "regnetz", inverted(num_features=56), "", None, 64
    yield "regnetz without a last convolution", inverted(), "", None, 61
    yield "regnetz with output stride 16", inverted(output_stride=16), "output-stride=16", args(output_stride=16), 61
    yield "regnetz with relu", regnet(bottle_ratio=4.0, downsample=None, linear_out=True), "activation=relu", args(act_layer="relu"), 61
    yield "regnetv", preactivated(), "", None, 64
    yield "regnetv with pooled shortcuts", preactivated(downsample="avg"), "", None, 61
    yield "torchvision's regnet", torchvision_regnet(), "", None, 64
    net, stated = transformers_regnet(layer_type="x")
    yield "transformers' regnet", net, "", stated, 64
    net, stated = transformers_regnet(layer_type="x", downsample_in_first_stage=False, hidden_act="gelu")
    yield "transformers' regnet, narrow", net, "activation=gelu", stated, 32
    net, stated = transformers_regnet(hidden_act="silu", embedding_size=8, downsample_in_first_stage=False)
    yield "transformers' regnet, wide", net, "layer1-stride=1,activation=silu,gate-activation=relu", stated, 32

    yield "parametrised", parametrised(), "", None, 64
    yield "norms first", PreAct(), "", None, 32
    yield "norms first, bottlenecks and a pool", PreAct(bottleneck=True, pool=True), "stem-pool=max", None, 61
    yield "norms first, wide", PreAct(wide=True), "", None, 29


def golden(net, size):
    state = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    last = [k for k in state if k.endswith(("bn3.weight", "bn2.weight"))]
    damped = max(last, key=lambda k: k[-10:]).split(".")[-2] + ".weight" if last else None
    values = {k: torch.from_numpy(synthetic.tensor(SALT, k, tuple(v.shape), damped, DAMP)) for k, v in state.items()}
    net.load_state_dict(values, strict=False)
    net.eval().double()
    shape = [2, 3, *(size if isinstance(size, tuple) else (size, size + 3))]
    with torch.no_grad():
        y = net(torch.from_numpy(synthetic.tensor(SALT, "input", tuple(shape))).double())
    logits = getattr(y, "logits", y).float().numpy()
    assert np.isfinite(logits).all() and logits.std() > 1e-3
    tensors = [[k, list(v.shape)] for k, v in state.items()]
    return {"damped": damped, "input": shape, "logits": [[float(f"{x:.8g}") for x in row] for row in logits.tolist()]}, tensors


def main():
    bases, out = [], []
    spelled = [(name, net, structure, None, size, True) for name, net, structure, size in repositories.rows()]
    for name, net, structure, config, size, implied in [*((*row, False) for row in rows()), *spelled]:
        row, tensors = golden(net, size)
        if tensors not in bases:
            bases.append(tensors)
        row = {"name": name, "structure": structure, "config": config, "implied": implied, "base": bases.index(tensors), **row}
        print(name, row["logits"][0][:3], flush=True)
        out.append(row)
    lines = [",\n".join(json.dumps(x) for x in part) for part in (bases, out)]
    text = f'{{"salt": {json.dumps(SALT)}, "damp": {DAMP},\n"bases": [\n{lines[0]}\n],\n"rows": [\n{lines[1]}\n]}}\n'
    open(os.path.join(HERE, "structure.json"), "w").write(text)


main()
