"""Writes tests/golden/pth: one small CIFAR ResNet as `torch.save` has written it over the years, and files that must be refused.

    python make_pth.py          needs torch and safetensors; made with torch 2.15

`plain.safetensors` holds the tensors that all others must give. Legacy files are written by torch itself, the tar archive of PyTorch
before 0.1.10 by hand, as `torch/serialization.py` (`legacy_load`) reads it.
"""

import collections
import io
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

OUT = Path(__file__).resolve().parent / "pth"


class Block(nn.Module):
    """A basic block of He et al. 2015."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class Net(nn.Module):
    """Three stages of one block."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 2, 3, 1, 1, bias=False), nn.BatchNorm2d(2)
        self.layer1 = nn.Sequential(Block(2, 2, 1))
        self.layer2 = nn.Sequential(Block(2, 4, 2))
        self.layer3 = nn.Sequential(Block(4, 4, 2))
        self.fc = nn.Linear(4, 5)


class Evil:
    """An object that runs a command when Python loads it."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<i", len(data)) + data


def old_tar(state, path):
    """The format of PyTorch before 0.1.10."""
    storages, tensors, keys = io.BytesIO(), io.BytesIO(), {}
    floats = {name: value for name, value in state.items() if value.dtype == torch.float32}
    for stream in (storages, tensors):
        pickle.dump(len(floats), stream, protocol=2)
    for key, (name, value) in enumerate(floats.items(), 1000):
        keys[name] = key
        storages.write(b"\x80\x02J" + struct.pack("<i", key) + text("cpu") + b"ctorch\nFloatStorage\n\x87.")
        storages.write(struct.pack("<q", value.numel()) + value.contiguous().numpy().tobytes())
        identity = b"J" + struct.pack("<i", key)
        tensors.write(b"\x80\x02" + identity + identity + b"ctorch\nFloatTensor\n\x87.")
        rank = value.dim()
        tensors.write(struct.pack("<ii", rank, 0))
        tensors.write(struct.pack(f"<{rank}q", *value.shape) + struct.pack(f"<{rank}q", *value.contiguous().stride()))
        tensors.write(struct.pack("<q", 0))
    pickle.dump([], storages, protocol=2)

    class Persistent(pickle.Pickler):
        def persistent_id(self, thing):
            return thing.key if isinstance(thing, Reference) else None

    main = io.BytesIO()
    Persistent(main, 2).dump(collections.OrderedDict((name, Reference(str(key))) for name, key in keys.items()))
    info = {"protocol_version": 1000, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 8}}
    members = {"sys_info": pickle.dumps(info, protocol=2), "pickle": main.getvalue()}
    members |= {"storages": storages.getvalue(), "tensors": tensors.getvalue()}
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


class Reference:
    """A tensor in the tar format's own table."""

    def __init__(self, key):
        self.key = key


def main():
    OUT.mkdir(exist_ok=True)
    torch.manual_seed(1)
    net = Net().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    save_file({name: value for name, value in state.items() if value.dtype == torch.float32}, OUT / "plain.safetensors")

    torch.save(state, OUT / "zip.pth")
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    for parameter in net.parameters():
        optimizer.state[parameter]["momentum_buffer"] = torch.full_like(parameter, 7.0)
    wrapped = {f"module.{name}": value for name, value in state.items()}
    training = {"epoch": 3, "arch": "resnet", "state_dict": wrapped, "optimizer": optimizer.state_dict()}
    torch.save(training, OUT / "legacy.pth.tar", _use_new_zipfile_serialization=False)
    torch.save(net, OUT / "whole.pt")
    torch.save(net.to(memory_format=torch.channels_last).state_dict(), OUT / "channels_last.pth")
    torch.save({name: value.half() for name, value in state.items()}, OUT / "half.bin")
    torch.save({name: value.bfloat16() for name, value in state.items()}, OUT / "bfloat16.th")
    torch.save({"model": state, "model_ema": dict(state)}, OUT / "tied.pth")
    average = {name: value * 0.5 for name, value in state.items() if value.dtype == torch.float32}
    torch.save({"student": state, "teacher": average}, OUT / "teacher.pth")
    # Views of one storage: a slice with an offset, and a transposed one.
    views = dict(state)
    whole = torch.zeros(9, 5)
    whole[3:7] = state["fc.weight"].T
    views["fc.weight"] = whole[3:7].T
    torch.save(views, OUT / "views.pth")
    old_tar(state, OUT / "old.tar.pth")

    torch.save({"state_dict": state, "evil": Evil()}, OUT / "evil.pth")
    expanded = dict(state)
    expanded["fc.weight"] = torch.zeros(1).expand(100_000_000, 4)
    expanded["fc.bias"] = torch.zeros(1).expand(100_000_000)
    torch.save(expanded, OUT / "expanded.pth")
    with zipfile.ZipFile(OUT / "zip.pth") as stored, zipfile.ZipFile(OUT / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))


if __name__ == "__main__":
    main()
