"""Golden files of timm's networks: PyTorch's logits and stages for synthetic checkpoints (synthetic.py).

    pip install torch timm safetensors numpy
    python make_timm.py

Writes <name>.safetensors and a row in golden.json for each network below, with the tensors that tests/common/mod.rs reads;
timm.json: parameters and tensors of every network that `residua` names after timm; and
timm_recipes.json: input size, crop_pct, interpolation, test_input_size, test_crop_pct and mean of red of all their weights.
"""

import json
import os

import numpy as np
import synthetic
import timm
import torch
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
SALT, DAMP = "residua", 0.3

# Name and input size. The odd one makes pooling windows of the shortcuts hang over the edge.
GOLDEN = {
    "resnet18d": (197, 231),
    "resnet50d": (224, 224),
    "seresnet18": (224, 224),
    "seresnet50": (224, 224),
    "seresnext26t_32x4d": (224, 224),
    "resnetrs50": (160, 160),
    "ecaresnet26t": (256, 256),
    "ecaresnet50d": (224, 224),
    "ecaresnet50t": (192, 224),
    "test_resnet": (97, 131),
    "legacy_seresnet18": (97, 131),
    "legacy_seresnet50": (97, 131),
    "regnetx_002": (197, 231),
    "regnety_002": (224, 224),
    "regnetz_005": (224, 224),
    "regnetv_040": (96, 128),
    "regnetv_064": (97, 75),
}

COUNTED = """
    resnet18 resnet34 resnet26 resnet50 resnet101 resnet152 resnet200 wide_resnet50_2 wide_resnet101_2
    resnext50_32x4d resnext101_32x4d resnext101_32x8d resnext101_32x16d resnext101_32x32d resnext101_64x4d
    resnet50c resnet101c resnet152c resnet50s resnet101s resnet152s resnet10t resnet14t resnet26t resnet50t
    resnet18d resnet34d resnet26d resnet50d resnet101d resnet152d resnet200d resnext50d_32x4d
    seresnet18 seresnet34 seresnet50 seresnet50t seresnet101 seresnet152 seresnet152d seresnet200d seresnet269d
    seresnext26t_32x4d seresnext26d_32x4d seresnext50_32x4d seresnext101_32x4d seresnext101_32x8d
    seresnext101d_32x8d seresnext101_64x4d
    ecaresnet26t ecaresnet50d ecaresnet50t ecaresnet101d ecaresnet200d ecaresnet269d ecaresnetlight
    ecaresnext26t_32x4d ecaresnext50t_32x4d
    resnetrs50 resnetrs101 resnetrs152 resnetrs200 resnetrs270 resnetrs350 resnetrs420
    densenet121 densenet161 densenet169 densenet201 densenet264d densenetblur121d
    test_resnet senet154 legacy_seresnet18 legacy_seresnet34 legacy_seresnet50 legacy_seresnet101 legacy_seresnet152
    legacy_seresnext26_32x4d legacy_seresnext50_32x4d legacy_seresnext101_32x4d legacy_senet154
    resnetaa34d resnetaa50 resnetaa50d resnetaa101d seresnetaa50d seresnextaa101d_32x8d seresnextaa201d_32x8d
    resnetblur18 resnetblur50 resnetblur50d resnetblur101d
    regnetx_002 regnetx_004 regnetx_004_tv regnetx_006 regnetx_008 regnetx_016 regnetx_032 regnetx_040 regnetx_064
    regnetx_080 regnetx_120 regnetx_160 regnetx_320
    regnety_002 regnety_004 regnety_006 regnety_008 regnety_008_tv regnety_016 regnety_032 regnety_040 regnety_064
    regnety_080 regnety_080_tv regnety_120 regnety_160 regnety_320 regnety_640 regnety_1280 regnety_2560
    regnetz_005 regnetz_040 regnetz_040_h regnetv_040 regnetv_064
""".split()

# The last norm of a block, in the order in which families have them.
LAST_NORMS = {"layer1.0.bn3.weight": "bn3.weight", "layer1.0.bn2.weight": "bn2.weight", "s1.b1.conv3.bn.weight": "conv3.bn.weight"}
STAGES = ["maxpool", "layer1", "layer2", "layer3", "layer4", "stem", "s1", "s2", "s3", "s4"]


def weights(model):
    return {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}


def golden(name, size):
    model = timm.create_model(name)
    damped = next((end for norm, end in LAST_NORMS.items() if norm in model.state_dict()), None)
    state = {k: torch.from_numpy(synthetic.tensor(SALT, k, tuple(v.shape), damped, DAMP)) for k, v in weights(model).items()}
    model.load_state_dict(state, strict=False)
    model.eval().double()
    out = {}
    for child in (stage for stage in STAGES if hasattr(model, stage)):

        def save(_module, _input, y, child=child):
            flat = y.detach().reshape(-1)
            out[f"stage.{child}"] = flat[(np.arange(64, dtype=np.int64) * 7919) % flat.numel()].float().numpy()

        model.get_submodule(child).register_forward_hook(save)
    shape = (2, 3, *size)
    with torch.no_grad():
        logits = model(torch.from_numpy(synthetic.tensor(SALT, "input", shape)).double())
    out["logits"] = logits.float().numpy()
    assert np.isfinite(out["logits"]).all()
    save_file(out, os.path.join(HERE, f"{name}.safetensors"))
    return {
        "salt": SALT,
        "damped": damped,
        "damp": DAMP,
        "input": list(shape),
        "classes": logits.shape[1],
        "parameters": sum(v.numel() for v in model.parameters()),
        "tensors": len(state),
        "logit_std": float(logits.std()),
        "argmax": logits.argmax(1).tolist(),
        "timm": timm.__version__,
    }


def recipes():
    for name in COUNTED:
        for weights in timm.list_models(f"{name}.*", pretrained=True):
            cfg = timm.models.get_pretrained_cfg(weights)
            if cfg.num_classes:  # else the weights end in features
                test = cfg.test_input_size and cfg.test_input_size[1]
                row = [cfg.input_size[1], cfg.crop_pct, cfg.interpolation, test, cfg.test_crop_pct, cfg.mean[0]]
                yield f'"{weights}": {json.dumps(row)}'


def write_rows(file, rows):
    open(os.path.join(HERE, file), "w").write("{\n" + ",\n".join(rows) + "\n}\n")


def main():
    path = os.path.join(HERE, "golden.json")
    index = json.load(open(path))
    for name, size in GOLDEN.items():
        index[name] = golden(name, size)
        print(name, index[name], flush=True)
    json.dump(index, open(path, "w"), indent=1)
    write_rows("timm_recipes.json", recipes())
    rows = []
    for name in COUNTED:
        with torch.device("meta"):
            model = timm.create_model(name)
        counts = [sum(v.numel() for v in model.parameters()), len(weights(model))]
        rows.append(f'"{name}": {json.dumps(counts)}')
    write_rows("timm.json", rows)


main()
