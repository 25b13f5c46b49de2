"""With datasets, scikit-learn and pandas."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import residua
from PIL import Image
from residua import Classifier
from residua.mapping import Classify, Embed


@pytest.fixture
def paths(tmp_path: Path, ship: Path) -> list[str]:
    """Six photos, of which one is broken."""
    photo = Image.open(ship).convert("RGB").resize((64, 48))
    made = []
    for i in range(6):
        path = tmp_path / f"{i}.png"
        photo.rotate(15 * i).save(path)
        made.append(str(path))
    (tmp_path / "3.png").write_bytes(b"no image")
    return made


def test_functions_of_batches(model: Classifier, paths: list[str]) -> None:
    embed = Embed(normalize=True)
    batch = embed({"path": paths, "id": list(range(6))})
    assert set(batch) == {"embedding", "error"}
    np.testing.assert_array_equal(batch["embedding"], model.embed(paths, normalize=True, errors="nan"))
    assert [bool(error) for error in batch["error"]] == [i == 3 for i in range(6)]
    assert batch["error"][3].endswith("[image.decode]")

    classified = Classify()({"image": [Image.open(paths[0]), Image.open(paths[1])]})
    expected = model.classify(paths[:2], top_k=1)
    assert list(classified["label"]) == [result[0]["label"] for result in expected]  # type: ignore[index]
    best = Classify(top_k=3)({"bytes": np.array([Path(path).read_bytes() for path in paths], dtype=object)})
    assert best["scores"].shape == best["indices"].shape == (6, 3)
    assert list(best["indices"][3]) == [-1] * 3 and np.isnan(best["scores"][3]).all() and best["labels"][3] == [""] * 3
    assert [len(row) for row in best["labels"]] == [3] * 6

    one = embed({"image": np.asarray(Image.open(paths[0]))})
    np.testing.assert_array_equal(one["embedding"], model.embed(paths[0], normalize=True))
    assert one["error"] == ""
    with pytest.raises(residua.ImageError):
        Embed(errors="raise")({"path": paths})
    with pytest.raises(residua.InputError, match="none of the columns"):
        embed({"picture": paths})
    np.testing.assert_array_equal(Embed(column="picture")({"picture": paths[:1]})["embedding"], model.embed(paths[:1]))


def test_functions_of_batches_open_one_classifier_in_a_process(model: Classifier, paths: list[str]) -> None:
    first = Embed(deterministic=True)
    copy = pickle.loads(pickle.dumps(first))
    assert first.classifier is copy.classifier
    assert Embed().classifier is not first.classifier
    first.close()
    assert np.isfinite(copy({"path": paths[:1]})["embedding"]).all()


def test_datasets_map(model: Classifier, paths: list[str], tmp_path: Path) -> None:
    import datasets

    good = [path for path in paths if not path.endswith("3.png")]
    rows = datasets.Dataset.from_dict({"image": good, "id": list(range(5))}).cast_column("image", datasets.Image())
    expected = model.embed(good)
    for batched in [True, False]:
        made = rows.map(Embed(batch="auto"), batched=batched, batch_size=5)
        assert made.column_names == ["image", "id", "embedding", "error"]
        got = np.array(made["embedding"], np.float32)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    made = rows.map(Classify(top_k=2), batched=True)
    assert [len(row) for row in made["labels"]] == [2] * 5
    # The same function has the same fingerprint, so that cached results are found again.
    assert rows.map(Classify(top_k=2), batched=True)._fingerprint == made._fingerprint


def test_scikit_learn_pipelines(model: Classifier, paths: list[str]) -> None:
    from residua.sklearn import Embedder
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    good = [path for path in paths if not path.endswith("3.png")]
    embedder = Embedder(normalize=True)
    np.testing.assert_array_equal(embedder.fit_transform(good), model.embed(good, normalize=True))
    np.testing.assert_array_equal(Embedder().transform(good), model.embed(good))
    assert clone(embedder).get_params() == {"model": "builtin", "normalize": True, "settings": None}
    assert len(embedder.get_feature_names_out()) == model.model.features
    pipeline = make_pipeline(Embedder(settings={"deterministic": True}), LogisticRegression())
    pipeline.fit(good, [0, 0, 1, 1, 1])
    assert list(pickle.loads(pickle.dumps(pipeline)).predict(good)) == list(pipeline.predict(good))
    with pytest.raises(residua.ImageError) as raised:
        embedder.transform(paths)
    assert raised.value.index == 3
    frame = Embedder().set_output(transform="pandas").fit_transform(good)
    assert list(frame.columns[:2]) == ["residua0", "residua1"] and len(frame) == 5


def test_pandas(model: Classifier, paths: list[str]) -> None:
    import pandas

    frame = pandas.DataFrame({"path": [*paths, None]}, index=list("gfedcba"))
    results = model.classify(frame["path"], top_k=1)
    codes = [result.code if isinstance(result, residua.Error) else "" for result in results]
    assert codes == ["", "", "", "image.decode", "", "", "input.type"]
    frame["vector"] = list(model.embed(frame["path"], errors="nan"))
    np.testing.assert_array_equal(np.stack(frame["vector"]), model.embed([*paths, None], errors="nan"))  # type: ignore[list-item]
    contents: Any = pandas.Series([Path(path).read_bytes() for path in paths[:2]])
    assert model.classify(contents, top_k=1) == model.classify(paths[:2], top_k=1)
