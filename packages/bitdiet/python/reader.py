"""Reads .bitdiet files with nothing but numpy: FORMAT.md as a program, slow and short.

    tensors, metadata = read_model(open("model.bitdiet", "rb").read())
    tensors["conv1.weight"]   # a numpy array; float32 for quantized tensors

Run as a program it prints a line a tensor: name, dtype, shape and the SHA-256 of its little-endian bytes.
"""

import hashlib
import json
import sys

import numpy as np

M32 = 0xFFFFFFFF


class CorruptInputError(ValueError):
    pass


def need(condition, what):
    if not condition:
        raise CorruptInputError(what)


def signed(x):
    return (x & M32) - ((x & 0x80000000) << 1)


def xxhash32(data, seed=0):
    p1, p2, p3, p4, p5 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1
    rotl = lambda x, r: ((x << r) | (x >> (32 - r))) & M32
    n, at = len(data), 0
    word = lambda i: int.from_bytes(data[i : i + 4], "little")
    if n >= 16:
        lanes = [(seed + p1 + p2) & M32, (seed + p2) & M32, seed, (seed - p1) & M32]
        while at + 16 <= n:
            lanes = [rotl((v + word(at + 4 * k) * p2) & M32, 13) * p1 & M32 for k, v in enumerate(lanes)]
            at += 16
        h = sum(rotl(v, r) for v, r in zip(lanes, (1, 7, 12, 18)))
    else:
        h = seed + p5
    h = (h + n) & M32
    while at + 4 <= n:
        h = rotl((h + word(at) * p3) & M32, 17) * p4 & M32
        at += 4
    for byte in data[at:]:
        h = rotl((h + byte * p5) & M32, 11) * p1 & M32
    h = (h ^ (h >> 15)) * p2 & M32
    h = (h ^ (h >> 13)) * p3 & M32
    return h ^ (h >> 16)


class Reader:
    """Numbers (LEB128) and bytes, one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        need(self.at + length <= len(self.data), "bytes are missing")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def rest(self):
        return self.take(len(self.data) - self.at)


# The range decoder of cabac: every bit with a probability of a 1, in units of 2^-16.


class RangeDecoder:
    def __init__(self, data):
        self.data, self.at, self.range = data + bytes(8), 4, M32
        self.offset = int.from_bytes(self.data[:4], "big")
        self.end = len(data) + 4

    def bit(self, probability):
        bound = (self.range >> 16) * probability
        bit = self.offset < bound
        if bit:
            self.range = bound
        else:
            self.offset -= bound
            self.range -= bound
        while self.range < 1 << 24:
            need(self.at < self.end, "the payload is cut")
            self.offset = (self.offset << 8) | self.data[self.at]
            self.at += 1
            self.range <<= 8
        return int(bit)


# Text: names, JSON, the header itself.


def logistic_tables():
    probabilities, odds = [0] * 4095, 1.0
    for logit in range(2048):
        p = min(65504, int(65536 * odds / (odds + 1)))
        probabilities[2047 + logit], probabilities[2047 - logit] = p, 65536 - p
        odds *= 1.0039138893383475
    logits, logit = [], -2047
    for p in range(4096):
        while logit < 2047 and probabilities[2047 + logit] < 16 * p + 8:
            logit += 1
        logits.append(float(logit))
    return probabilities, logits


def decode_text(coded, size):
    orders = (0, 1, 2, 3, 4, 6, 16)
    n = len(orders)
    probabilities, logits_of = logistic_tables()
    decoder = RangeDecoder(coded)
    log = max(12, min(20, 5 + size.bit_length()))
    estimates = [(1 << 21, 0)] * (1 << log)
    weights = [[0.3] * n for _ in range(n + 1)]
    text = bytearray()
    for i in range(size):
        starts = []
        for order in orders:
            h = order + 1
            for j in range(1, order + 1):
                h = ((h ^ (text[i - j] if j <= i else 0)) * 0x2C1B3C6D + order) & M32
            starts.append(h)
        byte = 1
        for _ in range(8):
            slots = [((h + byte * 0x9E3779B1) * 0x85EBCA6B & M32) >> (32 - log) for h in starts]
            w = weights[sum(estimates[s][1] > 0 for s in slots)]
            logits = [logits_of[estimates[s][0] >> 10] for s in slots]
            total = 0.0
            for k in range(n):
                total += w[k] * logits[k]
            p = probabilities[2047 + max(-2047, min(2047, int(np.floor(total))))]
            bit = decoder.bit(p)
            error = (bit * 65536 - p) * 4e-10
            for k, s in enumerate(slots):
                w[k] += error * logits[k]
                q, uses = estimates[s]
                q += int(((4194303 if bit else 0) - q) / (uses + 1.3))
                estimates[s] = (q, min(uses + 1, 255))
            byte = 2 * byte + bit
        text.append(byte & 255)
    return bytes(text)


# cabac: levels in rows of kernels.

FLAGS = 10


def classify(starts):
    return np.searchsorted(starts, np.arange(5 * 1023 + 1), side="right").tolist()


def decode_cabac(coded, count, row_length, kernel):
    decoder = RangeDecoder(coded)
    height, width = kernel
    if height * width == 1:
        height, width = 1 << 60, row_length
    size_class = classify([1, 2, 3, 4, 6, 8, 12])
    sign_class = classify([1, 2, 3, 4, 5, 6, 8, 11, 16])
    contexts = {}

    def decide(key, first):
        q, uses = contexts.get(key) or (first, 1)
        bit = decoder.bit(q >> 6)
        error = ((4194304 - 1540 if bit else 1540) - q) >> 3
        contexts[key] = (q + ((error * (8192 // (uses + 2))) >> 10), min(uses + 1, 255))
        return bit

    def log8(mean):
        w = 16 + 4 * mean
        e = w.bit_length() - 1
        return 8 * e + ((w >> (e - 3)) & 7)

    levels = []
    means = [0] * row_length
    line = {}
    row_mean = row_start = 32
    for i in range(count):
        row, column = divmod(i, row_length)
        y, x = divmod(column if height < 1 << 60 else i, width)
        if height < 1 << 60:
            y %= height
        if x == 0:
            absent = row_mean
            above, line = line, {}
        left = line.get(x - 1)
        up, corner, right = (above.get(x), above.get(x - 1), above.get(x + 1)) if y > 0 else (None,) * 3
        size = lambda v: absent if v is None else 64 * abs(v)
        if y > 0:
            local = (2 * row_mean + 2 * size(left) + 2 * size(up) + size(corner) + size(right)) >> 3
        else:
            local = (6 * row_mean + 2 * size(left)) >> 3
        column_mean = row_mean if row == 0 else means[column]
        scale = (5 * (log8(local) + log8(column_mean) - 64)) >> 6
        expected = 2 * (left or 0) + 2 * (up or 0) - (corner or 0)
        h = 32 + (32 * scale + 16) // 5
        mean = (((8 + (h & 7)) << ((h >> 3) - 3)) - 16) >> 2
        kind = size_class[abs(expected)]
        level = 0
        if decide((0, 0, kind, scale), 4194304 * mean // (mean + 48)):
            other = decide(("sign", sign_class[abs(expected)], scale), 1 << 21)
            more = 4194304 * mean // (mean + 128)
            side = 0 if expected == 0 else 2 - other
            level = 1
            while level < FLAGS and decide((level, side, kind, scale), more):
                level += 1
            if level == FLAGS:
                bits = 1
                while decide(("long", scale, bits), 1 << 21):
                    bits += 1
                    need(bits < 32, "a level is too large")
                rest = 1
                for place in range(bits - 2, -1, -1):
                    rest = 2 * rest + decide(("low", bits, place), 1 << 21)
                level = rest + 9
            if other != (expected < 0):
                level = -level
        levels.append(level)
        clipped = max(-1023, min(1023, level))
        line[x] = clipped
        magnitude = 64 * abs(clipped)
        means[column] = column_mean + (((magnitude - column_mean) * max(16, 256 // (row + 2))) >> 8)
        row_mean += (magnitude - row_mean) >> 4
        if column + 1 == row_length:
            row_start = row_mean if row == 0 else row_start + ((row_mean - row_start) >> 2)
            row_mean = row_start
    return np.array(levels, dtype=np.int64)


# ans: bytes by a frequency table.


def decode_ans(coded, count):
    if count == 0:
        need(len(coded) == 0, "bytes follow the end")
        return np.zeros(0, "u1")
    bits = np.unpackbits(np.frombuffer(coded, np.uint8), bitorder="little").tolist()
    at = 0

    def field(width):
        nonlocal at
        need(at + width <= len(bits), "bits are missing")
        at += width
        return sum(bit << k for k, bit in enumerate(bits[at - width : at]))

    log = field(4)
    frequencies = {}
    symbol = total = 0
    last = log
    while total < 1 << log:
        ones = 0
        while field(1):
            ones += 1
        length = last + (ones // 2 if ones % 2 == 0 else -(ones + 1) // 2)
        if length == 0:
            zeros = 0
            while not field(1):
                zeros += 1
            symbol += (1 << zeros) | field(zeros)
            continue
        frequencies[symbol] = (1 << (length - 1)) | field(length - 1)
        total += frequencies[symbol]
        symbol += 1
        last = length
    start = -(-at // 8)
    return np.array(decode_tans(bits[8 * start :], count, frequencies, log), dtype="u1")


def decode_tans(bits, count, frequencies, log):
    size = 1 << log
    wishes = [
        ((2 * i + 1) * size // (2 * f), symbol) for symbol, f in frequencies.items() for i in range(f)
    ]
    owners = [symbol for _, symbol in sorted(wishes)]
    inner, table = dict(frequencies), []
    for symbol in owners:
        x = inner[symbol]
        inner[symbol] += 1
        n = log + 1 - x.bit_length()
        table.append((symbol, n, (x << n) - size))
    at = bits.index(1) + 1 if count else 0

    def field(width):
        nonlocal at
        at += width
        return sum(bit << k for k, bit in enumerate(bits[at - width : at]))

    states = [field(log) for _ in range(0 if count == 0 else 1 if count < 512 else 4)]
    symbols = []
    for i in range(count):
        symbol, n, base = table[states[i % len(states)]]
        symbols.append(symbol)
        states[i % len(states)] = base + field(n)
    need(at == len(bits) and not any(states), "the payload of ans does not end")
    return symbols


# The file.

DTYPES = {
    "float32": "<f4", "float16": "<f2", "bfloat16": "<u2", "float64": "<f8", "int8": "i1", "uint8": "u1",
    "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4", "int64": "<i8", "uint64": "<u8",
    "bool": "?", "complex64": "<c8", "float8_e4m3": "u1", "float8_e5m2": "u1", "string": "S",
    "float8_e8m0": "u1", "float8_e4m3fnuz": "u1", "float8_e5m2fnuz": "u1", "float6_e2m3": "u1", "float6_e3m2": "u1",
    "float4_e2m1": "u1", "int4": "u1", "uint4": "u1", "int2": "u1", "uint2": "u1", "complex128": "<c16",
}  # fmt: skip
NAMES = list(DTYPES)
# Bits of an element that is less than a byte: several lie in a byte, and are given out as the bytes that they lie in.
NARROW = {"float6_e2m3": 6, "float6_e3m2": 6, "float4_e2m1": 4, "int4": 4, "uint4": 4, "int2": 2, "uint2": 2}


def read_header(data):
    """Entries of metadata and of tensors, each with the bytes of its parts."""
    need(data[:5] == b"BITD\x01", "no .bitdiet file of version 1")
    reader = Reader(data)
    reader.take(5)
    parts, size, coded_size = reader.number(), reader.number(), reader.number()
    before = data[: reader.at]
    stored = int.from_bytes(reader.take(4), "little")
    coded = reader.take(coded_size)
    hashes = np.frombuffer(reader.take(4 * parts), "<u4").tolist()
    rest = data[len(before) + 4 : reader.at]
    need(xxhash32(rest, xxhash32(before)) == stored, "the header is changed")
    fields = Reader(coded if size == coded_size else decode_text(coded, size))
    order = []

    def part(entry, key, length):
        order.append((entry, key, length))

    metadata, name = [], b""
    for _ in range(fields.number()):
        name = name[: fields.number()] + fields.take(fields.number())
        entry = {"name": name.decode(), "size": fields.number(), "coding": fields.number()}
        part(entry, "bytes", fields.number())
        metadata.append(entry)
    tensors, refinements, name = [], [], b""
    for _ in range(fields.number()):
        name = name[: fields.number()] + fields.take(fields.number())
        kind = fields.number()
        entry = {"name": name.decode(), "dtype": NAMES[kind >> 1], "quantized": kind & 1}
        entry["shape"] = [fields.number() for _ in range(fields.number())]
        if entry["quantized"]:
            flags = entry["flags"] = fields.number()
            entry["axis"] = fields.number()
            entry["transform"] = (fields.number(), fields.number()) if flags & 4 else None
            entry["refinement"] = fields.number() if flags & 16 else 0
        elif entry["dtype"] == "string":
            entry["size"] = fields.number()
        part(entry, "bytes", fields.number())
        if entry.get("refinement"):
            refinements.append((entry, fields.number()))
        tensors.append(entry)
    for entry, length in refinements:
        part(entry, "more", length)
    need(fields.at == size and len(order) == parts, "the header does not end where it should")
    for (entry, key, length), stored in zip(order, hashes):
        entry[key] = reader.take(length)
        need(xxhash32(entry[key]) == stored, f"{entry['name']}: the checksum does not match")
    need(reader.at == len(data), "bytes follow the end")
    return metadata, tensors


def decode_lossless(reader, dtype, size):
    if reader.take(1)[0] == 0:
        return reader.take(size)
    width = np.dtype(DTYPES[dtype]).itemsize or 1
    planes = []
    for _ in range(width):
        plane = reader.take(reader.number())
        planes.append(np.frombuffer(plane, "u1") if len(plane) == size // width else decode_ans(plane, size // width))
    values = np.stack(planes, axis=1)
    if dtype in ("float32", "float16", "bfloat16"):
        numbers = values.copy().view(f"<u{width}")
        values = ((numbers >> 1) | (numbers << (8 * width - 1))).view("u1")
    return values.tobytes()


def row_axes(shape, axis):
    """The order of axes in which rows are coded, and the kernel's height and width."""
    rank = len(shape)
    if rank >= 3 and axis >= rank - 2:
        kernel = shape[: rank - 2]
        order = [axis, 2 * rank - 3 - axis, *range(rank - 2)]
    else:
        kernel = shape[2:]
        order = [axis, *(a for a in range(rank) if a != axis)] if rank else []
    return order, tuple(([1, 1] + list(kernel))[-2:])


def decode_levels(coded, coder, count, row_length, kernel):
    if count == 0:
        return np.zeros(0, np.int64)
    if coder == 0:
        return decode_cabac(coded, count, count if row_length == 1 else row_length, kernel)
    symbols = decode_ans(coded, count).astype(np.int64)
    return (symbols >> 1) ^ -(symbols & 1)


def read_steps(reader, count):
    grid = reader.take(1)[0]
    if grid == 0:
        return np.frombuffer(reader.take(4 * count), "<f4")
    parts = 1 << ((grid & 127) - 1)
    zigzag = reader.number()
    middle = (zigzag >> 1) ^ -(zigzag & 1)
    numbers = lambda n: decode_levels(reader.take(reader.number()), 0, n, n, (1, 1))
    if count == 1:
        return np.array([0 if grid > 127 else step_at(middle, parts)], "<f4")
    kept = numbers(count) == 0 if grid > 127 else np.ones(count, bool)
    steps = np.zeros(count, "<f4")
    steps[kept] = [step_at(middle + offset, parts) for offset in numbers(int(kept.sum())).tolist()]
    return steps


def step_at(index, parts):
    octave, part = divmod(index, parts)
    step, root, bit = 1.0, np.sqrt(2.0), parts >> 1
    while bit:
        if part & bit:
            step *= root
        root = np.sqrt(root)
        bit >>= 1
    return np.float32(step * 2.0**octave)


def decode_tensor(entry, coarse=False):
    shape = entry["shape"]
    dtype = entry["dtype"]
    reader = Reader(entry["bytes"])
    if not entry["quantized"]:
        if dtype == "string":
            return decode_lossless(reader, dtype, entry["size"])
        if dtype in NARROW:
            return np.frombuffer(decode_lossless(reader, dtype, -(-int(np.prod(shape)) * NARROW[dtype] // 8)), "u1")
        raw = decode_lossless(reader, dtype, int(np.prod(shape)) * np.dtype(DTYPES[dtype]).itemsize)
        return np.frombuffer(raw, DTYPES[dtype]).reshape(shape)
    flags = entry["flags"]
    order, kernel = row_axes(shape, entry["axis"])
    rows = shape[entry["axis"]] if shape else 1
    row_length = int(np.prod(shape)) // rows
    if entry["transform"]:
        kept, size = entry["transform"]
        offset = size if flags & 8 else 0
        floats = np.frombuffer(decode_lossless(reader, "float32", 4 * (offset + kept * size)), "<f4").astype("f8")
        row_length, kernel = row_length // size * kept, (1, 1)
    steps = read_steps(reader, rows if flags & 1 else 1)
    steps = np.broadcast_to(steps, rows).astype("f8")
    count = int((steps != 0).sum()) * row_length
    levels = decode_levels(reader.rest(), flags >> 1 & 1, count, row_length, kernel)
    if entry["refinement"]:
        unit = 2 ** (entry["refinement"] >> 1)
        residual = 0 if coarse else decode_levels(entry["more"], entry["refinement"] & 1, count, row_length, kernel)
        levels = levels * unit + residual
    values = np.zeros((rows, row_length), "f4")
    values[steps != 0] = levels.reshape(-1, row_length) * steps[steps != 0, None]
    if entry["transform"]:
        # One product after the other, as the order of sums decides about the last bit.
        samples = values.reshape(-1, kept).astype("f8")
        synthesis = floats[offset:].reshape(kept, size)
        sums = np.tile(floats[:offset] if offset else np.zeros(size), (len(samples), 1))
        for k in range(kept):
            sums += samples[:, k : k + 1] * synthesis[k]
        values = sums.astype("f4")
    values = values.reshape([shape[a] for a in order]).transpose(np.argsort(order).tolist())
    return values.copy(order="C")


def read_model(data):
    metadata, tensors = read_header(data)
    blobs = {}
    for entry in metadata:
        coded = entry["bytes"]
        decode = (lambda: coded, lambda: decode_text(coded, entry["size"]), lambda: decode_ans(coded, entry["size"]).tobytes())
        blobs[entry["name"]] = decode[entry["coding"]]()
    return {entry["name"]: decode_tensor(entry) for entry in tensors}, blobs


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        model, blobs = read_model(file.read())
    for name, value in [*model.items(), *blobs.items()]:
        raw = value if isinstance(value, bytes) else value.tobytes()
        shape = [] if isinstance(value, bytes) else list(value.shape)
        print(json.dumps([name, shape, hashlib.sha256(raw).hexdigest()]))
