"""Everything that the package does, once, with the photos that are named."""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Sequence

import numpy as np
import residua
from residua import Class, Classifier, Error
from residua.mapping import Classify, Embed


def show(path: str, result: list[Class] | Error) -> None:
    """Prints the best class of an image, or what is wrong with it."""
    if isinstance(result, Error):
        print(f"{path}: {result} [{result.code}]")
    else:
        print(f"{path}: " + ", ".join(f"{each['label']} {each['score']:.3f}" for each in result))


async def in_an_event_loop(model: Classifier, paths: Sequence[str]) -> None:
    """Does two things at once."""
    classes, vectors = await asyncio.gather(model.aclassify(paths), model.aembed(paths, errors="nan"))
    print(len(classes), vectors.shape)


def main(folder: str, paths: list[str]) -> None:
    """Goes through the package."""
    for device in residua.devices():
        print(device.index, device.name, device.kind)
    with Classifier("builtin", device="auto", precision="auto", batch="auto") as model:
        print(model.model.architecture, model.device.name, model.precision, model.notes, len(model.labels))

        for path, result in zip(paths, model.classify(paths, top_k=3, errors="return"), strict=True):
            show(path, result)
        good = [
            path for path, result in zip(paths, model.classify(paths), strict=True) if not isinstance(result, Error)
        ]
        best: list[Class] = model.classify(good[0])
        print(best[0]["label"], best[0]["index"])

        with open(good[0], "rb") as file:
            content = file.read()
        pixels = np.zeros((2, 48, 64, 3), np.uint8)
        print([len(each) for each in model.classify([content, bytearray(content), pixels[0]], errors="raise")])
        print(len(model.classify(pixels)))

        vectors = model.embed(good, normalize=True)
        print("cosine similarities", vectors @ vectors.T)

        for path, vector in model.embed_folder(folder, normalize=True, progress=True):
            print(path, "failed" if isinstance(vector, Error) else vector.shape)
        for path, result in model.classify_folder(folder, top_k=1, hidden=False, exclude=["*.gif"]):
            show(path, result)

        crop = model.preprocess(good[0])
        x = model.preprocess(good[0], normalize=True)
        print(crop.shape, model.logits(x[None]).shape)

        explanation = model.explain(good[0], best[0]["label"])
        overlay = explanation.overlay(good[0])
        print(explanation.label, explanation.map.shape, explanation.peak, explanation.region, overlay.shape)

        asyncio.run(in_an_event_loop(model, good))
        print(model.verify().ok)

        copy: Classifier = pickle.loads(pickle.dumps(model))
        print(copy.classify(good[0]) == model.classify(good[0]))
        copy.close()
    print(Embed(normalize=True)({"path": good})["embedding"].shape, Classify()({"path": good})["label"])
    try:
        model.classify(good)
    except residua.ClosedError as error:
        print(error.code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
