"""Your own classes: `fit`, `with_head`, `evaluate`, `save`, `LogisticRegression`."""

from __future__ import annotations

import json
import os
import pickle
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import residua
from conftest import command, run
from PIL import Image
from residua import Classifier, LogisticRegression

#: Colours of the classes; a photo has noise of its own besides.
COLOURS = {"grass": (40, 190, 60), "rust": (190, 80, 40), "sky": (40, 80, 220)}


def album(folder: Path, of_each: int, seed: int) -> Path:
    """Photos of each class in a folder of its own."""
    chance = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for i in range(of_each):
            noise = chance.integers(-32, 32, (32, 32, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return album(tmp_path_factory.mktemp("own") / "train", 8, 1)


@pytest.fixture(scope="module")
def val(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return album(tmp_path_factory.mktemp("own") / "val", 3, 2)


@pytest.fixture(scope="module")
def mine(model: Classifier, train: Path) -> Classifier:
    return model.fit(train)


def blobs(rows: int, features: int, classes: int, seed: int = 0) -> tuple[Any, Any]:
    """Rows around a centre for each class."""
    chance = np.random.default_rng(seed)
    y = np.arange(rows) % classes
    x = chance.normal(size=(classes, features))[y] + chance.normal(size=(rows, features))
    return x.astype(np.float32), y


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("weight", [None, "balanced"])
def test_regression_is_that_of_scikit_learn(classes: int, weight: Any) -> None:
    from sklearn.linear_model import LogisticRegression as Other
    from sklearn.preprocessing import StandardScaler

    x, y = blobs(300, 20, classes)
    x, y = x[y != 1][:20].tolist() + x[y == 1].tolist() + x.tolist(), [*y[y != 1][:20], *y[y == 1], *y]
    regression = LogisticRegression(C=0.3, class_weight=weight).fit(x, y)
    scaler = StandardScaler().fit(np.float32(x))
    other = Other(C=0.3, class_weight=weight, tol=1e-10, max_iter=10000).fit(scaler.transform(np.float32(x)), y)
    expected = other.predict_proba(scaler.transform(np.float32(x)))
    np.testing.assert_allclose(regression.predict_proba(x), expected, atol=2e-4)
    assert (regression.predict(x) == regression.classes_[regression.predict_proba(x).argmax(1)]).all()
    assert regression.coef_.shape == (classes, 20) and regression.C_ == 0.3 and regression.converged_
    assert regression.label_score_.shape == regression.rather_.shape == (len(y),)


def test_regression_chooses_a_strength_and_keeps_names() -> None:
    x, y = blobs(120, 8, 3)
    names = np.array(["b", "a", "c"])[y]
    regression = LogisticRegression().fit(x, names)
    assert list(regression.classes_) == ["a", "b", "c"]
    assert [tried.setting for tried in regression.tried_] == [10.0**power for power in range(-4, 3)][
        : len(regression.tried_)
    ]
    best = max(regression.tried_, key=lambda tried: (tried.accuracy, -tried.log_loss))
    assert best.setting == regression.C_
    assert (regression.predict(x) == names).mean() > 0.9
    several = LogisticRegression(C=[0.1, 1], multi_label=True).fit(x, [["x"] if each else ["x", "y"] for each in y])
    assert several.predict(x[:2])[0] == ["x", "y"] and several.predict_proba(x).shape == (120, 2)


def test_what_cannot_be_fitted_is_refused() -> None:
    x, y = blobs(30, 4, 3)
    refused: list[tuple[Any, Any, dict[str, Any], type[Exception]]] = [
        (x, y[:-1], {}, residua.InputError),
        (x[:, 0], y, {}, residua.InputError),
        (x.astype(str), y, {}, residua.InputTypeError),
        (np.where(x == x[3, 2], np.nan, x), y, {}, residua.ConfigError),
        (x, np.zeros(30), {}, residua.ConfigError),
        (x, [7, *y[1:]], {}, residua.ConfigError),
        (x, ["a", *y[1:]], {}, residua.InputTypeError),
        (x, y, {"C": -1.0}, residua.ConfigError),
        (x, y, {"C": []}, residua.ConfigError),
        (x, y, {"cv": 1}, residua.ConfigError),
        (x, y, {"cv": -1}, residua.ConfigError),
        (x, y, {"cv": 2.5}, residua.ConfigError),
        (x, y, {"class_weight": "uniform"}, residua.ConfigError),
        (x, y, {"multi_label": True}, residua.InputTypeError),
    ]
    for features, labels, settings, kind in refused:
        with pytest.raises(kind):
            LogisticRegression(**settings).fit(features, labels)
    with pytest.raises(residua.InputError, match="not fitted"):
        LogisticRegression().predict(x)
    with pytest.raises(ValueError, match="fitted to 4"):
        LogisticRegression().fit(x, y).predict(x[:, :3])


def test_a_folder_becomes_a_classifier(
    model: Classifier, mine: Classifier, train: Path, val: Path, tmp_path: Path
) -> None:
    assert mine.labels == sorted(COLOURS) and model.model.classes == 10
    fitted = mine.fitted
    assert fitted is not None and (fitted.method, fitted.images, fitted.converged) == ("logistic", 24, True)
    found = mine.evaluate(val)
    assert (found.images, found.accuracy, found.top5) == (9, 1.0, 1.0) and np.trace(found.confusion) == 9
    assert [each.label for each in found.classes] == mine.labels and found.interval[0] < 0.9

    # The file equals the command's, except for how it was made.
    path, other = tmp_path / "mine.safetensors", tmp_path / "other.safetensors"
    mine.save(path)
    run("fit", train, "-o", other, "--device", "cpu")
    photo = val / "rust" / "0.png"
    ours, theirs = (command("classify", "-m", file, "--format", "jsonl", photo)[0] for file in (path, other))
    for mine_, command_ in zip(ours["predictions"], theirs["predictions"], strict=True):
        assert mine_["label"] == command_["label"] and abs(mine_["score"] - command_["score"]) < 1e-4
    again = Classifier(path)
    assert again.labels == mine.labels and again.classify(photo, top_k=1) == mine.classify(photo, top_k=1)
    report = json.loads(run("evaluate", "-m", path, val, "--format", "json"))
    assert report["log_loss"] == pytest.approx(found.log_loss, abs=1e-6)

    copy = pickle.loads(pickle.dumps(mine))
    assert copy.classify(photo) == mine.classify(photo) and copy.fitted == fitted


def test_images_and_labels_in_lists(model: Classifier, train: Path, val: Path, tmp_path: Path) -> None:
    paths = sorted(train.glob("*/*.png"))
    labels = [path.parent.name for path in paths]
    wrong = labels.index("rust")
    labels[wrong] = "sky"
    mine = model.fit([Image.open(path) for path in paths], np.array(labels), C=1.0)
    assert mine.fitted is not None
    doubt = mine.fitted.doubtful[0]
    assert (doubt.image, doubt.path, doubt.label, doubt.rather) == (wrong, None, "sky", "rust") and doubt.score < 0.5

    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(residua.ImageError) as raised:
        model.fit([*paths, broken], [*labels, "sky"])
    assert raised.value.index == len(paths)
    skipped = model.fit([broken, *paths], ["sky", *labels], errors="skip")
    assert skipped.fitted is not None and skipped.fitted.images == len(paths)
    assert skipped.fitted.doubtful[0].image == wrong + 1

    photos = sorted(val.glob("*/*.png"))
    names = [path.parent.name for path in photos]
    by_name, by_index = mine.evaluate(photos, names), mine.evaluate(photos, [mine.labels.index(name) for name in names])
    assert by_name[:-1] == by_index[:-1] and (by_name.confusion == by_index.confusion).all()
    with pytest.raises(residua.ConfigError, match="no such class: weeds"):
        mine.evaluate(photos, ["weeds", *names[1:]])
    with pytest.raises(residua.InputError):
        mine.evaluate(photos, names[1:])
    with pytest.raises(residua.InputError):
        mine.evaluate([], [])
    with pytest.raises(residua.InputTypeError):
        mine.evaluate(photos)
    with pytest.raises(residua.InputTypeError):
        mine.fit(photos[0], ["sky"])
    with pytest.raises(residua.ImageError):
        mine.fit(tmp_path / "broken.png")


@pytest.mark.parametrize("method", ["centroid", "neighbours"])
def test_the_nearest(model: Classifier, method: Any, train: Path, val: Path, tmp_path: Path) -> None:
    mine = model.fit(train, method=method)
    assert mine.evaluate(val).accuracy == 1
    x = mine.preprocess(val / "sky" / "0.png", normalize=True)[None]
    logits = mine.logits(x)
    assert logits.shape == (1, 24 if method == "neighbours" else 3) and np.isfinite(logits).all()
    if method == "neighbours":
        assert logits[0].argmax() >= 16, "photos of the sky are the last eight"
    mine.save(tmp_path / "mine.safetensors")
    photo = val / "sky" / "0.png"
    assert Classifier(tmp_path / "mine.safetensors").classify(photo) == mine.classify(photo)
    assert pickle.loads(pickle.dumps(mine)).classify(photo) == mine.classify(photo)
    with pytest.raises(residua.ConfigError, match="logistic"):
        model.fit(train, method=method, C=1.0)


def test_heads_of_others(model: Classifier, train: Path, val: Path) -> None:
    from sklearn.linear_model import LogisticRegression as Other

    paths = sorted(train.glob("*/*.png"))
    labels = [path.parent.name for path in paths]
    x = model.embed(paths)
    photos = sorted(val.glob("*/*.png"))
    for regression in (LogisticRegression(C=1.0), Other(max_iter=5000)):
        for classes in (labels, [label == "sky" for label in labels]):
            regression.fit(x, classes)
            mine = model.with_head(regression.coef_, regression.intercept_, regression.classes_)
            assert mine.labels == [str(name) for name in regression.classes_]
            scores = [
                {each["label"]: each["score"] for each in found} for found in mine.classify(photos, errors="raise")
            ]
            got = [[each[name] for name in mine.labels] for each in scores]
            np.testing.assert_allclose(got, regression.predict_proba(model.embed(photos)), atol=1e-5)
    several = model.with_head(np.zeros((2, x.shape[1])), [5.0, -5.0], ["a", "b"], multi_label=True)
    assert [round(each["score"], 2) for each in several.classify(photos[0])] == [0.99, 0.01]
    for weights, biases, names in [
        (x[:2], [0.0, 0.0], ["a"]),
        (x[:2], [0.0], ["a", "b"]),
        (x[:2, 1:], [0.0, 0.0], ["a", "b"]),
        (x[:0], [], []),
    ]:
        with pytest.raises(residua.ShapeError):
            model.with_head(weights, biases, names)
    with pytest.raises(residua.ModelError):
        model.with_head(np.full_like(x[:2], np.nan), [0, 0], ["a", "b"])


def test_measures_are_those_of_scikit_learn(model: Classifier, photos: list[Path]) -> None:
    from sklearn.metrics import classification_report, confusion_matrix, log_loss

    labels = [i * 7 % 10 for i in range(len(photos))]
    found = model.evaluate(photos, labels)
    results = model.classify(photos, top_k=None, errors="raise")
    scores = np.zeros((len(photos), 10))
    for row, result in zip(scores, results, strict=True):
        for each in result:
            row[each["index"]] = each["score"]
    said = scores.argmax(1)
    scores /= scores.sum(axis=1, keepdims=True)  # they are rounded to float32
    assert (found.confusion == confusion_matrix(labels, said, labels=range(10))).all()
    assert found.log_loss == pytest.approx(log_loss(labels, scores, labels=range(10)), rel=1e-5)
    report: Any = classification_report(labels, said, output_dict=True, zero_division=0)
    for of_class in found.classes:
        expected = report[str(model.labels.index(of_class.label))]
        assert (of_class.precision, of_class.recall, of_class.f1) == pytest.approx(
            (expected["precision"], expected["recall"], expected["f1-score"])
        )
    assert found.macro_mean[1:4] == pytest.approx(
        [report["macro avg"][name] for name in ("precision", "recall", "f1-score")]
    )
    assert found.accuracy == pytest.approx(report["accuracy"])


def test_measures_of_several_labels_are_those_of_scikit_learn(
    model: Classifier, mine: Classifier, train: Path, val: Path
) -> None:
    from sklearn.metrics import accuracy_score, average_precision_score, classification_report

    def labels_of(paths: list[Path]) -> list[list[str]]:
        """The folder; ``many`` for every second photo; none for every fifth."""
        return [[] if i % 5 == 4 else [path.parent.name, "many"][: 1 + i % 2] for i, path in enumerate(paths)]

    paths, photos = sorted(train.glob("*/*.png")), sorted(val.glob("*/*.png"))
    several = model.fit(paths, labels_of(paths), multi_label=True)
    found = several.evaluate(photos, labels_of(photos), multi_label=True)
    scores = np.zeros((len(photos), 4))
    for row, result in zip(scores, several.classify(photos, top_k=None, errors="raise"), strict=True):
        for each in result:
            row[each["index"]] = each["score"]
    truth = np.array([[name in each for name in several.labels] for each in labels_of(photos)])
    report: Any = classification_report(truth, scores > 0.5, output_dict=True, zero_division=0)
    for i, of_class in enumerate(found.classes):
        expected = [report[str(i)][name] for name in ("precision", "recall", "f1-score")]
        assert of_class[1:4] == pytest.approx(expected) and of_class.images == truth[:, i].sum()
        assert of_class.average_precision == pytest.approx(average_precision_score(truth[:, i], scores[:, i]))
    for mean, name in [
        (found.micro_mean, "micro avg"),
        (found.macro_mean, "macro avg"),
        (found.weighted_mean, "weighted avg"),
    ]:
        assert mean[1:4] == pytest.approx([report[name][each] for each in ("precision", "recall", "f1-score")])
    assert found.mean_average_precision == pytest.approx(average_precision_score(truth, scores))
    assert found.accuracy == pytest.approx(accuracy_score(truth, scores > 0.5))
    by_index = [[several.labels.index(name) for name in each] for each in labels_of(photos)]
    assert several.evaluate(photos, by_index, multi_label=True) == found
    of_folders = several.evaluate(val, multi_label=True)
    assert of_folders == several.evaluate(photos, [[path.parent.name] for path in photos], multi_label=True)

    with pytest.raises(residua.ConfigError, match="shares of one"):
        mine.evaluate(val, multi_label=True)
    with pytest.raises(residua.ConfigError, match="no such class: weeds"):
        several.evaluate(photos, [["weeds"], *labels_of(photos)[1:]], multi_label=True)
    with pytest.raises(residua.InputTypeError):
        several.evaluate(photos, ["sky"] * 9, multi_label=True)


def test_folders_that_are_not_as_they_should_be(model: Classifier, train: Path, tmp_path: Path) -> None:
    with pytest.raises(residua.FileError):
        model.fit(tmp_path / "nowhere")
    with pytest.raises(residua.ConfigError):
        model.fit(train / "rust")
    folder = album(tmp_path / "album", 3, 4)
    (folder / "nothing").mkdir()
    with pytest.raises(residua.ConfigError, match="nothing = 0"):
        model.fit(folder)
    target = tmp_path / "none" / "mine.safetensors"
    with pytest.raises(residua.FileError):
        model.save(target)


def test_ctrl_c_ends_a_fit_and_other_threads_run() -> None:
    # Many seconds of work, on any machine.
    x, y = blobs(40000, 600, 40)
    counted = [0]
    done = threading.Event()

    def count() -> None:
        while not done.is_set():
            counted[0] += 1

    # A process that was started in the background ignores the signal.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    counter = threading.Thread(target=count, daemon=True)
    counter.start()
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            LogisticRegression().fit(x, y)
        took = time.monotonic() - began
    finally:
        done.set()
        counter.join()
        signal.signal(signal.SIGINT, handler)
    assert took < 5 and counted[0] > 1000
