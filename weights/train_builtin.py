#!/usr/bin/env python3
"""Train, store and evaluate the `builtin` network: a small CIFAR-10 ResNet.

The data is a tar archive (any compression Python's tarfile opens) or a folder
that holds one folder of JPEG or PNG files per class.

    pip install torch numpy pillow safetensors
    python train_builtin.py --train train.tar.xz --scratch /tmp/builtin
    python train_builtin.py --train train.tar.xz --scratch /tmp/builtin --resume
    python train_builtin.py --evaluate --test test-even.tar.xz

Training writes a checkpoint (weights, optimiser, epoch) into the scratch folder
after every epoch; `--resume` goes on from there with the same batches as an
uninterrupted run, and with a longer or shorter schedule if `--epochs` differs.
The first `--held-out` images of a seeded permutation are never trained on:
their accuracy is logged after each epoch. The test images are read by
`--evaluate` only, which widens the stored f16 weights to f32.
"""

import argparse
import io
import json
import platform
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

LABELS = "airplane automobile bird cat deer dog frog horse ship truck".split()
# What no tensor shows, as `residua convert` states it.
STRUCTURE = (
    "stem-pool=none,stem-stride=1,layer1-stride=1,dilation=none,anti-aliasing=none,global-pool=avg,norm-eps=1e-5,"
    "activation=relu,block-activation=relu"
)


class Block(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.downsample = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(y + self.downsample(x), inplace=True)


class CifarResNet(nn.Module):
    def __init__(self, widths, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        c_in = widths[0]
        for stage, (c, n) in enumerate(zip(widths, blocks, strict=True), 1):
            strides = [1 if stage == 1 else 2] + [1] * (n - 1)
            layer = [Block(c_in if i == 0 else c, c, s) for i, s in enumerate(strides)]
            setattr(self, f"layer{stage}", nn.Sequential(*layer))
            c_in = c
        self.linear = nn.Linear(c_in, len(LABELS))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def count_macs(net, size=32):
    """Multiply-accumulates of the convolutions and the classifier, one image."""
    total = 0

    def hook(m, _, out):
        nonlocal total
        total += m.weight.numel() * (out.shape[2] * out.shape[3] if out.dim() == 4 else 1)

    hooks = [m.register_forward_hook(hook) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    net.eval()(torch.zeros(1, 3, size, size))
    for h in hooks:
        h.remove()
    return total


def load_images(path, cache=None):
    """(N, 3, 32, 32) uint8 images and their labels, in the order of the file names."""
    if cache and cache.exists():
        data = np.load(cache)
        return torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
    files = {}
    if path.is_dir():
        for p in path.glob("*/*"):
            files[f"{p.parent.name}/{p.name}"] = p.read_bytes()
    else:
        with tarfile.open(path) as tar:
            for m in tar:
                if m.isfile():
                    files["/".join(m.name.split("/")[-2:])] = tar.extractfile(m).read()
    names = sorted(n for n in files if n.split("/")[0] in LABELS)
    x = np.stack([np.asarray(Image.open(io.BytesIO(files[n])).convert("RGB")) for n in names])
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    y = np.array([LABELS.index(n.split("/")[0]) for n in names])
    if cache:
        np.savez(cache, x=x, y=y)
    return torch.from_numpy(x), torch.from_numpy(y)


def normalise(x, mean, std):
    x = x.to(memory_format=torch.channels_last).float().div_(255)
    return x.sub_(torch.tensor(mean).view(1, 3, 1, 1)).div_(torch.tensor(std).view(1, 3, 1, 1))


def augment(padded, idx, flip, pad, cut, rng):
    """Random crops of the padded (N, H, W, 3) images, mirrored where `flip`, and a cutout mask."""
    n, size = len(idx), padded.shape[1] - 2 * pad
    rows, cols = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=rng) + torch.arange(size)
    cols = torch.where(flip[:, None], cols.flip(1), cols)
    x = padded[idx[:, None, None], rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)
    centre = torch.randint(0, size, (2, n, 1), generator=rng)
    near = (torch.arange(size) - centre).abs() * 2 < cut
    return x, ~(near[0][:, :, None] & near[1][:, None, :])[:, None]


@torch.no_grad()
def accuracy(net, x, y, mean, std, batch=500):
    """Per-class (right, all) counts of the f32 network on plain images."""
    net.eval()
    guess = torch.cat([net(normalise(b, mean, std)).argmax(1) for b in x.split(batch)])
    hits = torch.bincount(y[guess == y], minlength=len(LABELS))
    return hits, torch.bincount(y, minlength=len(LABELS))


def save_weights(net, args, mean, std):
    config = {
        "architecture": args.architecture,
        "num_classes": len(LABELS),
        "label_names": LABELS,
        "pretrained_cfg": {
            "tag": "builtin",
            "input_size": [3, 32, 32],
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": mean,
            "std": std,
            "license": "MIT OR Apache-2.0",
        },
        "residua": {"structure": STRUCTURE},
    }
    state = {k: v.half().contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(state, args.out, metadata={"config": json.dumps(config)})


def load_weights(path):
    """The stored f16 network widened to f32, its shape read off the tensors, and its config."""
    with safe_open(path, "pt") as f:
        config = json.loads(f.metadata()["config"])
        state = {k: f.get_tensor(k).float() for k in f.keys()}  # noqa: SIM118  # it is no dictionary
    blocks = [len({k.split(".")[1] for k in state if k.startswith(f"layer{s}.")}) for s in (1, 2, 3)]
    widths = [len(state[f"layer{s}.0.conv1.weight"]) for s in (1, 2, 3)]
    net = CifarResNet(widths, blocks)
    net.load_state_dict(state, strict=False)
    return net, config["pretrained_cfg"]


def evaluate(args):
    net, cfg = load_weights(args.out)
    hits, total = accuracy(net, *load_images(args.test), cfg["mean"], cfg["std"])
    for label, h, t in zip(LABELS, hits.tolist(), total.tolist(), strict=True):
        print(f"{label:<12}{h:5} / {t}  {100 * h / t:.1f} %")
    print(f"{'all':<12}{hits.sum():5} / {total.sum()}  {100 * hits.sum() / total.sum():.2f} %")
    print(f"{sum(p.numel() for p in net.parameters())} parameters, {count_macs(net)} MACs, {args.out.stat().st_size} bytes")


def train(args):
    torch.manual_seed(args.seed)
    args.scratch.mkdir(parents=True, exist_ok=True)
    images, labels = load_images(args.train, args.scratch / "train.npz")
    counts = np.stack([np.bincount(images[:, c].flatten(), minlength=256) for c in range(3)]) / images[:, 0].numel()
    level = np.arange(256) / 255
    mean = (counts @ level).round(4).tolist()
    std = np.sqrt(counts @ level**2 - (counts @ level) ** 2).round(4).tolist()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(args.seed))
    held, kept = order[: args.held_out], order[args.held_out :]
    spread = [(0, 0), (args.pad, args.pad), (args.pad, args.pad), (0, 0)]
    padded = torch.from_numpy(np.pad(images.permute(0, 2, 3, 1).numpy(), spread, mode="reflect"))
    flip_first = torch.rand(len(images), generator=torch.Generator().manual_seed(args.seed)) < 0.5

    net = CifarResNet(args.widths, args.blocks).to(memory_format=torch.channels_last)
    decayed = [p for p in net.parameters() if p.dim() > 1]
    plain = [p for p in net.parameters() if p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": args.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    opt = torch.optim.SGD(groups, lr=args.lr, momentum=0.9, nesterov=True)
    checkpoint, first = args.scratch / "checkpoint.pt", 0
    if args.resume and checkpoint.exists():
        state = torch.load(checkpoint)
        net.load_state_dict(state["net"])
        opt.load_state_dict(state["opt"])
        first = state["epoch"]

    with open(args.log, "a" if first else "w") as log:

        def say(text):
            print(text, flush=True)
            print(text, file=log, flush=True)

        say(f"# {f'resumed at epoch {first}' if first else 'started'}: {' '.join(sys.argv[1:])}")
        say(f"# seed {args.seed}, torch {torch.__version__}, Python {platform.python_version()}, {args.machine}")
        say(f"# {len(kept)} images trained on, {len(held)} held out, mean {mean}, std {std}")
        say(f"# {sum(p.numel() for p in net.parameters())} parameters, {count_macs(net)} MACs")
        steps = len(kept) // args.batch
        for epoch in range(first, min(args.epochs, args.stop)):
            begun, loss_sum = time.time(), 0.0
            rng = torch.Generator().manual_seed(args.seed * 1000 + epoch)
            perm = kept[torch.randperm(len(kept), generator=rng)]
            size = args.low_size if epoch < args.low_epochs else images.shape[-1]
            net.train()
            for step in range(steps):
                at = (epoch + step / steps) / args.epochs
                rate = args.lr * min(at / args.warmup, (1 - at) / (1 - args.warmup))
                for group in opt.param_groups:
                    group["lr"] = rate
                idx = perm[step * args.batch : (step + 1) * args.batch]
                x, keep = augment(padded, idx, flip_first[idx] ^ bool(epoch % 2), args.pad, args.cutout, rng)
                x = normalise(x, mean, std) * keep
                if size != x.shape[-1]:
                    x = F.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    logits = net(x)
                loss = F.cross_entropy(logits.float(), labels[idx], label_smoothing=args.smoothing)
                opt.zero_grad()
                loss.backward()
                opt.step()
                loss_sum += loss.item()
            seconds = time.time() - begun
            hits, total = accuracy(net, images[held], labels[held], mean, std)
            torch.save({"net": net.state_dict(), "opt": opt.state_dict(), "epoch": epoch + 1}, checkpoint)
            save_weights(net, args, mean, std)
            say(
                f"epoch {epoch + 1:3}/{args.epochs}  {size} px  lr {rate:.4f}  loss {loss_sum / steps:.4f}  "
                f"held-out {100 * hits.sum() / total.sum():.2f} %  {seconds:.0f} s"
            )


def main():
    here = Path(__file__).parent
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--train", type=Path, help="training images: archive or folder")
    p.add_argument("--test", type=Path, help="test images, read with --evaluate only")
    p.add_argument("--evaluate", action="store_true", help="score --out on --test")
    p.add_argument("--out", type=Path, default=here / "builtin.safetensors")
    p.add_argument("--log", type=Path, default=here / "train_builtin.log")
    p.add_argument("--scratch", type=Path, default=Path("train_builtin.tmp"))
    p.add_argument("--resume", action="store_true")
    p.add_argument("--architecture", default="cifar_resnet12")
    p.add_argument("--widths", type=int, nargs=3, default=[32, 64, 96])
    p.add_argument("--blocks", type=int, nargs=3, default=[1, 2, 2])
    p.add_argument("--epochs", type=int, default=55)
    p.add_argument("--stop", type=int, default=10**6, help="stop after this epoch, to resume later")
    p.add_argument("--low-epochs", type=int, default=15, help="first epochs, trained on smaller images")
    p.add_argument("--low-size", type=int, default=24)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--lr", type=float, default=0.15, help="peak of the triangular schedule")
    p.add_argument("--warmup", type=float, default=0.2, help="share of the run before the peak")
    p.add_argument("--weight-decay", type=float, default=5e-4)
    p.add_argument("--smoothing", type=float, default=0.1)
    p.add_argument("--pad", type=int, default=4)
    p.add_argument("--cutout", type=int, default=8)
    p.add_argument("--held-out", type=int, default=1000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--machine", default=platform.processor() or platform.machine(), help="noted in the log")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    if args.evaluate:
        evaluate(args)
    else:
        train(args)


if __name__ == "__main__":
    main()
