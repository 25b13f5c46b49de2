"""Networks with made-up weights against PyTorch's logits for the same weights, and against torch and timm themselves."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from residua import Classifier

GOLDEN = ROOT / "tests" / "golden"
sys.path.insert(0, str(GOLDEN))

import synthetic  # type: ignore[import-not-found]  # noqa: E402

# The bound of the library's own tests for f32.
BOUND = 1e-3


def checkpoint(golden: str, repository: str, folder: Path) -> Path:
    """Writes the made-up weights in the spelling of a repository, with its configuration."""
    from safetensors.numpy import save_file

    facts = json.loads((GOLDEN / "golden.json").read_text())[golden]
    tensors = {}
    for name, shape, kind in json.loads((GOLDEN / "hub" / repository / "tensors.json").read_text()):
        if kind == "float32":
            tensors[name] = synthetic.tensor(facts["salt"], name, shape, facts.get("damped"), facts.get("damp", 1.0))
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text((GOLDEN / "hub" / repository / "config.json").read_text())
    return folder


@pytest.mark.parametrize(
    ("golden", "repository"),
    [
        ("resnet18", "timm--resnet18.a1_in1k"),
        ("resnet50", "timm--resnet50.a1_in1k"),
        ("densenet121", "timm--densenet121.ra_in1k"),
    ],
)
def test_logits_are_those_of_pytorch(golden: str, repository: str, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    facts = json.loads((GOLDEN / "golden.json").read_text())[golden]
    expected = load_file(GOLDEN / f"{golden}.safetensors")["logits"]
    x = synthetic.tensor(facts["salt"], "input", facts["input"])
    with Classifier(checkpoint(golden, repository, tmp_path)) as model:
        logits = model.logits(x)
        parameters = model.model.parameters
    assert np.abs(logits - expected).max() / np.abs(expected).max() < BOUND
    assert [int(i) for i in logits.argmax(1)] == facts["argmax"]
    assert parameters == facts["parameters"]


@pytest.mark.torch
def test_vectors_and_scores_are_those_of_timm(tmp_path: Path, ship: Path) -> None:
    import timm
    import torch
    from PIL import Image
    from safetensors.torch import load_file

    folder = checkpoint("resnet18", "timm--resnet18.a1_in1k", tmp_path)
    network: Any = timm.create_model("resnet18.a1_in1k", pretrained=False).eval()
    network.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    data = timm.data.resolve_data_config({}, model=network)
    transform = timm.data.create_transform(**data, is_training=False)
    with torch.inference_mode():
        x = transform(Image.open(ship).convert("RGB"))[None]
        scores = network(x).softmax(1)[0].numpy()
        features = network.forward_head(network.forward_features(x), pre_logits=True)[0].numpy()
    with Classifier(folder) as model:
        np.testing.assert_allclose(model.preprocess(ship, normalize=True), x[0].numpy(), atol=1e-6)
        got = model.embed(ship)
        assert np.abs(got - features).max() / np.abs(features).max() < BOUND
        best = model.classify(ship, top_k=1)[0]
    assert best["index"] == scores.argmax() and abs(best["score"] - scores.max()) < BOUND
