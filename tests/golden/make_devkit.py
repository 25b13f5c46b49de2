"""A meta.mat in the form of the development kit of ILSVRC 2012, with three classes and two that are above them, for src/cli/io/imagenet.rs.

pip install scipy
python make_devkit.py
"""

import numpy as np
from scipy.io import savemat

rows = [
    (1, "n02119789", "kit fox, Vulpes macrotis", [], 1300),
    (2, "n02100735", "English setter", [], 1300),
    (3, "n02110185", "Siberian husky", [], 1300),
    (1001, "n02083346", "canine, canid", [1, 1002], 0),
    (1002, "n02084071", "dog, domestic dog, Canis familiaris", [2, 3], 0),
]
kinds = [(name, object) for name in ("ILSVRC2012_ID", "WNID", "words", "gloss", "children", "num_train_images")]
synsets = np.zeros((len(rows), 1), dtype=kinds)
for place, (number, wnid, words, children, images) in enumerate(rows):
    synsets[place, 0] = (float(number), wnid, words, "", np.array(children, np.uint16), float(images))
savemat("meta.mat", {"synsets": synsets}, do_compression=True)
