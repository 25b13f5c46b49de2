"""How many of 50 wrong labels are among the hundred most doubtful of `residua fit`, for several draws of them.

python wrong_labels.py ../../target/release/residua train/ DRAWS [OPTION OF fit...]

`train/` has a folder of images for each class. In each draw 50 of its images get the label of another class; the draws are always the
same. The features are kept in train.index beside the folder.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

WRONG = 50

program, folder, draws, options = sys.argv[1], Path(sys.argv[2]).resolve(), int(sys.argv[3]), sys.argv[4:]
images = sorted(path for path in folder.glob("*/*") if path.is_file())
classes = sorted({path.parent.name for path in images})
found = []
for draw in range(draws):
    chance = random.Random(draw)
    wrong = set(chance.sample(images, WRONG))
    with tempfile.TemporaryDirectory() as made:
        rows = []
        for path in images:
            others = [name for name in classes if name != path.parent.name]
            rows.append({"path": str(path), "label": chance.choice(others) if path in wrong else path.parent.name})
        labels, verdict = Path(made, "labels.jsonl"), Path(made, "verdict.json")
        labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
        kept = ["--json", verdict, "--index", folder.with_suffix(".index")]
        command = [program, "fit", labels, "-o", Path(made, "mine.safetensors"), *kept, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        said = json.loads(verdict.read_text())
    doubtful = {Path(image["path"]) for image in said["doubtful"]}
    found.append(len(doubtful & wrong))
    best = max(said["tried"], key=lambda tried: tried["accuracy"])
    print(
        f"draw {draw}: {len(images)} images, {100 * best['accuracy']:.1f} % right in cross-validation:"
        f" {found[-1]} of {WRONG} wrong labels are among the {len(doubtful)} most doubtful",
        flush=True,
    )
print(f"mean {sum(found) / draws:.1f}, from {min(found)} to {max(found)}")
