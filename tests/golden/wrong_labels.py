"""How many of some wrong labels are among the hundred most doubtful of `residua fit`.

python wrong_labels.py ../../target/release/residua train/ [OPTION OF fit...]

`train/` has a folder of images for each class; 50 of its images get the label of another class, by a seed that is always the same. The
features are kept in train.index beside the folder.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

WRONG = 50
SEED = 15

program, folder, options = sys.argv[1], Path(sys.argv[2]).resolve(), sys.argv[3:]
images = sorted(path for path in folder.glob("*/*") if path.is_file())
classes = sorted({path.parent.name for path in images})
chance = random.Random(SEED)
wrong = set(chance.sample(images, WRONG))
with tempfile.TemporaryDirectory() as made:
    rows = [
        json.dumps(
            {
                "path": str(path),
                "label": chance.choice([name for name in classes if name != path.parent.name]) if path in wrong else path.parent.name,
            }
        )
        for path in images
    ]
    labels, verdict = Path(made, "labels.jsonl"), Path(made, "verdict.json")
    labels.write_text("\n".join(rows) + "\n")
    index = folder.with_suffix(".index")
    command = [program, "fit", labels, "-o", Path(made, "mine.safetensors"), "--json", verdict, "--index", index]
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
    said = json.loads(verdict.read_text())
doubtful = {Path(image["path"]) for image in said["doubtful"]}
best = max(said["tried"], key=lambda tried: tried["accuracy"])
print(
    f"{len(images)} images, {100 * best['accuracy']:.1f} % right in cross-validation:"
    f" {len(doubtful & wrong)} of {WRONG} wrong labels are among the {len(doubtful)} most doubtful"
)
