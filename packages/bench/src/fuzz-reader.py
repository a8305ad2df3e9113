"""Reads files with the Python reader, a line of limits (bytes, seconds) and hex each, and prints what it made of them: a hash,
"refused", or the error.

    fuzz-reader.py READER.PY
"""

import hashlib
import importlib.util
import sys

import numpy as np

spec = importlib.util.spec_from_file_location("reader", sys.argv[1])
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)
np.seterr(all="ignore")


def digest(data, max_bytes, max_seconds):
    tensors, metadata = reader.read_model(data, max_bytes, max_seconds)
    made = hashlib.sha256()
    for name, value in [*tensors.items(), *metadata.items()]:
        if isinstance(value, np.ndarray) and value.dtype == np.float32:
            # Engines differ in the bits of what is no number.
            value = np.where(np.isnan(value), np.float32("nan"), value)
        made.update(name.encode() + b"\0" + (value if isinstance(value, bytes) else value.tobytes()) + b"\0")
    return made.hexdigest()


for line in sys.stdin:
    max_bytes, max_seconds, *data = line.split()
    try:
        print(digest(bytes.fromhex("".join(data)), float(max_bytes), float(max_seconds)))
    except reader.CorruptInputError:
        print("refused")
    except Exception as error:
        print("error", type(error).__name__, str(error).replace("\n", " "))
