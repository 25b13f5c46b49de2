"""Golden files of timm's networks: PyTorch's logits and stages for synthetic checkpoints (synthetic.py).

    pip install torch timm safetensors numpy
    python make_timm.py [NAME ...]

Writes <name>.safetensors and a row in golden.json for each network below, or for those that are named, with the tensors that
tests/common/mod.rs reads;
timm.json: parameters and tensors of every network that `residua` names after timm; and
timm_recipes.json: input size, crop_pct, interpolation, test_input_size, test_crop_pct and mean of red of all their weights.
"""

import json
import os
import sys

import numpy as np
import synthetic
import timm
import torch
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
SALT, DAMP = "residua", 0.3

# Name and input size. The odd size makes pooling windows of the shortcuts extend past the edge.
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
    "regnety_040_sgn": (64, 97),
    "resnet50_gn": (97, 131),
    "regnetz_005": (224, 224),
    "regnetv_040": (96, 128),
    "regnetv_064": (97, 75),
}

# ResNet variants: name, size, and the last norm of a residual block.
VARIANTS = {
    "resnetv2_18": ((97, 131), None),
    "resnetv2_50d": ((64, 96), None),
    "resnetv2_50d_gn": ((64, 96), None),
    "resnetv2_50d_evos": ((64, 75), None),
    "resnetv2_50d_frn": ((97, 64), None),
    "resnetv2_50x1_bit": ((96, 75), None),
    "res2net50_26w_4s": ((97, 75), "bn3.weight"),
    "res2next50": ((64, 64), "bn3.weight"),
    "resnest14d": ((97, 131), "bn3.weight"),
    "resnest50d_4s2x40d": ((64, 64), "bn3.weight"),
    "resnest50d_1s4x24d": ((64, 64), "bn3.weight"),
    "skresnet18": ((97, 131), "conv2.bn.weight"),
    "skresnext50_32x4d": ((64, 64), "conv3.bn.weight"),
    "dla34": ((64, 96), "bn2.weight"),
    "dla46x_c": ((96, 64), "bn3.weight"),
    "dla60_res2next": ((64, 64), "bn3.weight"),
    "hrnet_w18_small": ((64, 96), "bn2.weight"),
    "cspresnet50": ((64, 97), "conv3.bn.weight"),
    "cspresnext50": ((64, 64), "conv3.bn.weight"),
    "resnet32ts": ((97, 131), "conv3_1x1.bn.weight"),
    "seresnet33ts": ((64, 64), "conv3_1x1.bn.weight"),
    "eca_resnext26ts": ((64, 96), "conv3_1x1.bn.weight"),
    "resnet51q": ((64, 64), "conv3_1x1.bn.weight"),
    "resnet61q": ((64, 64), "conv3_1x1.bn.weight"),
    "resnet50_clip_gap": ((64, 96), "conv3_1x1.bn.weight"),
    "resnet50_clip": ((224, 224), "conv3_1x1.bn.weight"),
    "resnet50x4_clip": ((160, 96), "conv3_1x1.bn.weight"),
    "resnet50_mlp": ((64, 64), "conv3_1x1.bn.weight"),
    "gcresnet50t": ((64, 97), "conv3_1x1.bn.weight"),
    "gcresnext26ts": ((97, 131), "conv3_1x1.bn.weight"),
    "tresnet_m": ((96, 64), "conv3.bn.weight"),
    "tresnet_v2_l": ((64, 64), "conv3.bn.weight"),
    "nf_resnet26": ((97, 131), "conv3.gain"),
    "nf_seresnet26": ((64, 64), "conv3.gain"),
    "nf_ecaresnet50": ((64, 75), "conv3.gain"),
}

COUNTED = """
    resnet18 resnet34 resnet26 resnet50 resnet101 resnet152 resnet200 wide_resnet50_2 wide_resnet101_2
    resnext50_32x4d resnext101_32x4d resnext101_32x8d resnext101_32x16d resnext101_32x32d resnext101_64x4d
    resnet50_gn resnet50c resnet101c resnet152c resnet50s resnet101s resnet152s resnet10t resnet14t resnet26t resnet50t
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
    regnety_002 regnety_004 regnety_006 regnety_008 regnety_008_tv regnety_016 regnety_032 regnety_040 regnety_040_sgn regnety_064
    regnety_080 regnety_080_tv regnety_120 regnety_160 regnety_320 regnety_640 regnety_1280 regnety_2560
    regnetz_005 regnetz_040 regnetz_040_h regnetv_040 regnetv_064
    resnetv2_50x1_bit resnetv2_50x3_bit resnetv2_101x1_bit resnetv2_101x3_bit resnetv2_152x2_bit resnetv2_152x4_bit
    resnetv2_18 resnetv2_18d resnetv2_34 resnetv2_34d resnetv2_50 resnetv2_50d resnetv2_50t resnetv2_101 resnetv2_101d
    resnetv2_152 resnetv2_152d resnetv2_50d_gn resnetv2_50d_evos resnetv2_50d_frn
    res2net50_26w_4s res2net50_48w_2s res2net50_14w_8s res2net50_26w_6s res2net50_26w_8s res2net101_26w_4s res2net50d
    res2net101d res2next50
    resnest14d resnest26d resnest50d resnest101e resnest200e resnest269e resnest50d_4s2x40d resnest50d_1s4x24d
    skresnet18 skresnet34 skresnet50 skresnet50d skresnext50_32x4d
    dla34 dla46_c dla46x_c dla60x_c dla60 dla60x dla102 dla102x dla102x2 dla169 dla60_res2net dla60_res2next
    hrnet_w18_small hrnet_w18_small_v2 hrnet_w18 hrnet_w30 hrnet_w32 hrnet_w40 hrnet_w44 hrnet_w48 hrnet_w64
    hrnet_w18_ssld hrnet_w48_ssld
    cspresnet50 cspresnet50d cspresnet50w cspresnext50
    resnet51q resnet61q resnext26ts seresnext26ts eca_resnext26ts resnet32ts resnet33ts seresnet33ts eca_resnet33ts
    resnet50_mlp gcresnext26ts gcresnext50ts gcresnet33ts gcresnet50t
    tresnet_m tresnet_l tresnet_xl tresnet_v2_l
    nf_resnet26 nf_resnet50 nf_resnet101 nf_seresnet26 nf_seresnet50 nf_seresnet101 nf_ecaresnet26 nf_ecaresnet50
    nf_ecaresnet101
    resnet50_clip resnet101_clip resnet50x4_clip resnet50x16_clip resnet50x64_clip
    resnet50_clip_gap resnet101_clip_gap resnet50x4_clip_gap resnet50x16_clip_gap resnet50x64_clip_gap
""".split()

# The last norm of a block, in the order in which families have them.
LAST_NORMS = {
    "layer1.0.bn3.weight": "bn3.weight",
    "layer1.0.bn2.weight": "bn2.weight",
    "s1.b1.conv3.bn.weight": "conv3.bn.weight",
    "s1.b1.norm3.weight": "norm3.weight",
}
STAGES = ["maxpool", "layer1", "layer2", "layer3", "layer4", "stem", "s1", "s2", "s3", "s4"]


def weights(model):
    return {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}


def canonical(name, network):
    """residua's name of a tensor: a head is `fc` in most families, whatever its name in timm."""
    for head in ("last_linear.", *(("head.fc.", "classifier.") if network in VARIANTS else ())):
        if name.startswith(head):
            return "fc." + name[len(head) :]
    return name


def stages(network, model):
    """The modules whose values are compared, if a network has them and nothing that follows is fused into the same layer."""
    if network.startswith("regnetv"):
        return []
    others = (
        [f"body.layer{s}" for s in range(1, 5)]
        + [f"stages.{s}" for s in range(4)]
        + [*(f"level{n}" for n in range(2, 6)), *(f"stage{n}" for n in range(2, 5))]
    )
    names = dict(model.named_modules())
    if network.startswith("nf_"):
        return ["stem"]
    return [name for name in [*STAGES, *others] if name in names]


def create(name):
    """The network for 1000 classes; attention pooling has no head, but features."""
    return timm.create_model(name) if name.endswith("_clip") else timm.create_model(name, num_classes=1000)


def golden(name, size, *damped):
    model = create(name)
    usual = next((end for norm, end in LAST_NORMS.items() if norm in model.state_dict()), None)
    damped = damped[0] if damped else usual
    state = {}
    for k, v in weights(model).items():
        state[k] = torch.from_numpy(synthetic.tensor(SALT, canonical(k, name), tuple(v.shape), damped, DAMP))
    model.load_state_dict(state, strict=False)
    model.eval().double()
    out = {}
    for child in stages(name, model):

        def save(_module, _input, y, child=child):
            # HRNet's stages yield several maps, the finest first.
            y = y[0] if isinstance(y, list) else y
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
    rows = list(GOLDEN.items()) + [(name, *row) for name, row in VARIANTS.items()]
    for name, *row in rows:
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        index[name] = golden(name, *row)
        print(name, index[name], flush=True)
    json.dump(index, open(path, "w"), indent=1)
    write_rows("timm_recipes.json", recipes())
    rows = []
    for name in COUNTED:
        with torch.device("meta"):
            model = create(name)
        counts = [sum(v.numel() for v in model.parameters()), len(weights(model))]
        rows.append(f'"{name}": {json.dumps(counts)}')
    write_rows("timm.json", rows)


if __name__ == "__main__":
    main()
