"""Reads files, a line of hex each, with the Python reader, and prints what it made of them: a hash, "refused", or the error.

    fuzz-reader.py READER.PY MAX_BYTES MAX_SECONDS
"""

import hashlib
import importlib.util
import sys

import numpy as np

spec = importlib.util.spec_from_file_location("reader", sys.argv[1])
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)
np.seterr(all="ignore")


def digest(data):
    tensors, metadata = reader.read_model(data, float(sys.argv[2]), float(sys.argv[3]))
    made = hashlib.sha256()
    for name, value in [*tensors.items(), *metadata.items()]:
        if isinstance(value, np.ndarray) and value.dtype == np.float32:
            # Engines differ in the bits of what is no number.
            value = np.where(np.isnan(value), np.float32("nan"), value)
        made.update(name.encode() + b"\0" + (value if isinstance(value, bytes) else value.tobytes()) + b"\0")
    return made.hexdigest()


for line in sys.stdin:
    try:
        print(digest(bytes.fromhex(line)))
    except reader.CorruptInputError:
        print("refused")
    except Exception as error:
        print("error", type(error).__name__, str(error).replace("\n", " "))
