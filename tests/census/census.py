"""Compares `residua` with PyTorch on every residual network of timm and torchvision, and makes or checks networks.csv.

    pip install torch torchvision timm safetensors numpy
    python census.py ../../target/release/residua [--write] [REGEX]

Each network gets random weights, is saved as its library saves it, and computes an image of 64x64 pixels on `--device cpu`. Its logits
may differ from PyTorch's in float64 by 1e-4 of the largest, or by twice the difference of PyTorch's float32 logits. REGEX picks rows by
LIBRARY/NAME. Networks with more than 300 million parameters are left out.
"""

import csv
import re
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file

TABLE = Path(__file__).with_name("networks.csv")
BOUND = 1e-4
MOST_PARAMETERS = 300e6
# timm's modules of residual families, each with a pattern for its residual networks.
MODULES = {
    "resnet": "",
    "densenet": "",
    "regnet": "",
    "resnetv2": "",
    "res2net": "",
    "resnest": "",
    "sknet": "",
    "senet": "",
    "dla": "",
    "hrnet": "",
    "tresnet": "",
    "nfnet": "nf_.*resnet",
    "cspnet": "cspresne",
    "byobnet": ".*resnex?t",
}
TORCHVISION = "(wide_)?resne[xt]+t?[0-9]|densenet|regnet"


def networks():
    for module, pattern in MODULES.items():
        for name in timm.list_models(module=module):
            if re.match(pattern, name):
                yield "timm", name
    for name in torchvision.models.list_models(module=torchvision.models):
        if re.match(TORCHVISION, name):
            yield "torchvision", name


def create(library, name):
    """The network with random weights. The last weights of a residual block are small, or a deep network would be ill-conditioned."""
    torch.manual_seed(zlib.crc32(name.encode()))
    if library == "torchvision":
        model = torchvision.models.get_model(name)
    else:
        # CLIP's networks have no classes; those with attention pooling cannot have any.
        model = timm.create_model(name, **({"num_classes": 10} if name.endswith("_clip_gap") else {}))
    for key, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        if key.endswith("running_var"):
            value.uniform_(0.8, 1.25)
        elif key.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1)
        elif not value.any():
            value.uniform_(0.1, 0.4)
        elif re.search(r"bn3\.weight$|blocks.*conv3\.weight$", key):
            value.mul_(0.3)
        elif value.dim() == 1:
            value.mul_(torch.empty_like(value).uniform_(0.8, 1.2))
    return model.eval()


def save(library, model, folder):
    if library == "timm":
        timm.models.save_for_hf(model, folder, safe_serialization=True)
        return folder
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder / "model.safetensors"


def result(program, library, name):
    """`right` or `wrong` with the difference, or `refused` with the code of the error. None for a large network."""
    with tempfile.TemporaryDirectory() as made, torch.no_grad():
        folder = Path(made)
        model = create(library, name)
        if sum(p.numel() for p in model.parameters()) > MOST_PARAMETERS:
            return None
        path = save(library, model, folder)
        x = torch.randn(1, 3, 64, 64)
        save_file({"input": x}, folder / "in.safetensors")
        arguments = ["--input", folder / "in.safetensors", "-o", folder / "out.safetensors"]
        run = subprocess.run([program, "logits", "-q", "--device", "cpu", "-m", path, *arguments], capture_output=True, text=True)
        if run.returncode:
            code = re.search(r"\[([a-z_.]+)\]\s*$", run.stderr)
            return "refused", code[1] if code else run.stderr.strip()[-80:]
        float32 = model(x)
        expected = model.double()(x.double())
        got = load_file(folder / "out.safetensors")["logits"]
        difference, own = (float((logits - expected).abs().max() / expected.abs().max()) for logits in (got, float32))
        return ("right" if difference <= max(BOUND, 2 * own) else "wrong"), f"{difference:.0e}"


def main():
    options = [argument for argument in sys.argv[2:] if argument.startswith("--")]
    pattern = next((argument for argument in sys.argv[2:] if not argument.startswith("--")), "")
    rows = {(row["library"], row["name"]): row["result"] for row in csv.DictReader(TABLE.open())} if TABLE.exists() else {}
    worse = []
    for library, name in networks():
        if not re.search(pattern, f"{library}/{name}"):
            continue
        found = result(sys.argv[1], library, name)
        print(library, name, *(found or ("left out",)), flush=True)
        if not found:
            continue
        # A difference varies with the processor; the table has the outcome.
        outcome = found[0] if found[0] == "right" else " ".join(found)
        if rows.get((library, name)) != outcome:
            worse.append(f"{library}/{name}: {outcome}, in the table {rows.get((library, name))}")
        rows[library, name] = outcome
    if "--write" in options:
        with TABLE.open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["library", "name", "result"])
            table.writerows([*key, outcome] for key, outcome in sorted(rows.items()))
    elif worse:
        sys.exit("\n".join(worse))


if __name__ == "__main__":
    main()
