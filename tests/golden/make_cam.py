"""Class-activation maps by PyTorch: the golden file cam.json, and a check of `residua explain` on real photos.

    pip install torch torchvision safetensors numpy pillow
    python make_cam.py golden GOLDEN_DIR                                   writes cam.json beside this script
    python make_cam.py photos RESIDUA CHECKPOINT.safetensors ARCH PHOTO... compares, exit 1 over 1e-3

GOLDEN_DIR holds synthetic.py and make_golden.py, which define the synthetic checkpoints and their networks. A map is the sum over k
of w[class][k] F[k], where F is the input of global average pooling (Zhou et al. 2016, section 2), for the first golden image.
"""

import json
import os
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F
import torchvision
from torch import nn


def class_maps(model, x):
    """Maps [classes, h, w] of one image, and its logits."""
    head = next(m for m in reversed(list(model.modules())) if isinstance(m, nn.Linear))
    last, seen = model.features if hasattr(model, "features") else list(model.children())[-3 if hasattr(model, "avgpool") else -2], []
    hook = last.register_forward_hook(lambda _m, _i, y: seen.append(F.relu(y)))
    with torch.no_grad():
        logits = model(x)[0]
    hook.remove()
    maps = torch.einsum("ck,kyx->cyx", head.weight.detach(), seen[0][0])
    assert (maps.mean((1, 2)) + head.bias.detach() - logits).abs().max() < 1e-3 * logits.abs().max()
    return maps, logits


def golden(folder):
    sys.path.insert(0, folder)
    import make_golden
    import synthetic

    rows = json.load(open(os.path.join(folder, "golden.json")))
    out = {}
    for name in ("cifar_resnet20a", "resnet18", "resnext50_32x4d", "densenet121"):
        row = rows[name]
        model, size = make_golden.build(name)
        state = {
            k: torch.from_numpy(synthetic.tensor(row["salt"], k, tuple(v.shape), row["damped"], row["damp"]))
            for k, v in model.state_dict().items()
            if not k.endswith("num_batches_tracked")
        }
        model.load_state_dict(state, strict=False)
        x = torch.from_numpy(synthetic.tensor(row["salt"], "input", (1, 3, size, size)))
        maps, logits = class_maps(model.eval().double(), x.double())
        classes = [int(logits.argmax()), 0, len(logits) - 1]
        out[name] = {"classes": classes, "maps": [[round(v, 6) for v in maps[c].flatten().tolist()] for c in classes]}
    json.dump(out, open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cam.json"), "w"), indent=0)


def photos(residua, checkpoint, arch, *paths):
    from PIL import Image, ImageOps
    from safetensors.torch import load_file
    from torchvision import transforms as T

    model = getattr(torchvision.models, arch)()
    model.load_state_dict(load_file(checkpoint), strict=False)
    model.eval()
    prepare = T.Compose([T.Resize(256), T.CenterCrop(224), T.ToTensor(), T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
    worst = 0.0
    for path in paths:
        x = prepare(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))[None]
        maps, logits = class_maps(model, x)
        with tempfile.TemporaryDirectory() as folder:
            out = [os.path.join(folder, "map.png"), "--json", os.path.join(folder, "map.json")]
            subprocess.run([residua, "explain", "-q", "-m", checkpoint, path, "-o", *out], check=True, stdout=subprocess.DEVNULL)
            got = json.load(open(out[2]))
        want = maps[got["index"]]
        difference = float((torch.tensor(got["map"]) - want).abs().max() / want.abs().max())
        print(f"{os.path.basename(path)}: class {got['index']} (PyTorch {int(logits.argmax())}), off by {difference:.1e} of the largest")
        worst = max(worst, difference)
    print(f"largest difference {worst:.1e}")
    sys.exit(worst > 1e-3)


if __name__ == "__main__":
    {"golden": golden, "photos": photos}[sys.argv[1]](*sys.argv[2:])
