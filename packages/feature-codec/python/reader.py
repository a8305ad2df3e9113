"""Decodes frames of @bitdiet/feature-codec with nothing but Python: FORMAT.md as a program, slow and short.

    codec = Codec(open("codec.bin", "rb").read())
    values = codec.decode(frame)              # a list of floats, height x width x channels
    values = codec.decode(frame, reference)   # of a predicted frame; reference: a list of floats

Run as a program, `reader.py CODEC FRAME [FRAME ...]` writes the values of the frames, little-endian float32, to standard output;
a predicted frame's reference is the frame before it.
"""

import struct
import sys

M32 = 0xFFFFFFFF
ALPHABET, ESCAPE, PLAIN = 68, 67, 15
ACTIVITIES = [1, 2, 3, 4, 6, 8, 11, 16, 24, 40]
CONTEXTS = 24 * 11 * 3
QUARTERS = [65536, 77936, 92682, 110218]


class CorruptInputError(ValueError):
    pass


def need(condition, what):
    if not condition:
        raise CorruptInputError(what)


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


class Bits:
    """Bits, lowest first; LEB128 numbers; runs of bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, width):
        need(self.at + width <= 8 * len(self.data), "end")
        value = 0
        for i in range(width):
            value |= (self.data[self.at >> 3] >> (self.at & 7) & 1) << i
            self.at += 1
        return value

    def number(self):
        value = 0
        for shift in range(0, 49, 7):
            byte = self.take(8)
            value |= (byte & 127) << shift
            if byte < 128:
                need(byte > 0 or shift == 0, "number")
                return value
        need(False, "number")

    def signed(self):
        value = self.number()
        return -(value + 1) // 2 if value & 1 else value // 2

    def bytes(self, count):
        start = self.at >> 3
        need(start + count <= len(self.data), "end")
        self.at += 8 * count
        return self.data[start : start + count]


def take_frequencies(bits, log):
    """One table of @bitdiet/ans: see its FORMAT.md, "Frequency table"."""
    table, left, last, symbol, absent = [0] * ALPHABET, 1 << log, log, 0, False
    while left > 0:
        ones = 0
        while bits.take(1):
            ones += 1
        length = last + (-(ones + 1) // 2 if ones & 1 else ones // 2)
        need(0 <= length <= left.bit_length() and not (length == 0 and absent), "table")
        if length == 0:
            width = 0
            while not bits.take(1):
                width += 1
            symbol, absent = symbol + (1 << width | bits.take(width)), True
            continue
        count = 1 << (length - 1) | bits.take(length - 1)
        need(count <= left and symbol < ALPHABET, "table")
        table[symbol] = count
        symbol, left, last, absent = symbol + 1, left - count, length, False
    return table


def decode_table(frequencies, log):
    """(symbol, state before the bits, number of bits) of each state: "tANS" in the FORMAT.md of @bitdiet/ans."""
    size = 1 << log
    wishes = sorted(
        ((2 * i + 1) * size // (2 * f), s, i) for s, f in enumerate(frequencies) for i in range(f)
    )
    slots = [None] * size
    for slot, (_, s, i) in enumerate(wishes):
        state = frequencies[s] + i
        width = log + 1 - state.bit_length()
        slots[slot] = (s, (state << width) - size, width)
    return slots


def decode_symbols(payload, count, log, tables, context_of):
    """Symbols of a payload of @bitdiet/ans; context_of(symbols, index) gives the table of the next one."""
    symbols = []
    if count == 0:
        need(len(payload) == 0, "payload")
        return symbols
    bits = Bits(payload)
    need(len(payload) > 0 and payload[0] != 0, "payload")
    while not bits.take(1):
        pass
    lanes = 1 if count < 512 else 4
    states = [bits.take(log) for _ in range(lanes)]
    for i in range(count):
        symbol, before, width = tables[context_of(symbols, i)][states[i % lanes]]
        states[i % lanes] = before + bits.take(width)
        symbols.append(symbol)
    need(bits.at == 8 * len(payload) and not any(states), "payload")
    return symbols


def extra_bits(token):
    return (((token + 1) >> 1) - 8 >> 1) + 2


def least_magnitude(token):
    if token == ESCAPE:
        return 7
    c = (token + 1) >> 1
    return c if c < 8 else (2 + (c & 1)) << extra_bits(token)


SEEN = [min(31, least_magnitude(token)) for token in range(ALPHABET)]
SIGNS = [0 if t in (0, ESCAPE) else 1 if t & 1 else -1 for t in range(ALPHABET)]


def scaled(length, coarseness):
    """length * 2^(coarseness / 4), rounded with halves up, at least 1."""
    octaves, quarter = divmod(coarseness, 4)
    product, shift = length * QUARTERS[quarter], 16 - octaves
    rounded = product << -shift if shift <= 0 else (product + (1 << (shift - 1))) >> shift
    return max(1, rounded)


class Codec:
    def __init__(self, data):
        need(data[:2] == b"\xf3\x01" and len(data) >= 6, "not a codec")
        need(xxhash32(data[:-4]) == int.from_bytes(data[-4:], "little"), "checksum")
        self.seed = xxhash32(data)
        bits = Bits(data[:-4])
        bits.bytes(2)
        self.height, self.width, self.channels, self.rows, matrices = (bits.number() for _ in range(5))
        self.fraction, self.least, self.greatest = (bits.signed() for _ in range(3))
        self.precision = bits.number()
        self.mean = [bits.signed() for _ in range(self.channels)]
        bits_of = lambda: [bits.number() for _ in range(self.rows)]
        self.steps, self.gains, self.sizes = bits_of(), bits_of(), bits_of()
        self._take_tables(Bits(bits.bytes(bits.number())))
        entry = lambda: (lambda x: x - ((x & 0x800) << 1))(bits.take(12))
        self.matrices = [
            [[entry() for _ in range(self.channels)] for _ in range(self.rows)] for _ in range(matrices)
        ]

    def _take_tables(self, bits):
        self.log, alphabet, contexts = (bits.number() for _ in range(3))
        need(alphabet == ALPHABET and contexts == CONTEXTS, "tables")
        count = bits.take(8) + 1
        width = (count - 1).bit_length()
        self.table_of = [bits.take(width) for _ in range(contexts)]
        self.tables = [decode_table(take_frequencies(bits, self.log), self.log) for _ in range(count)]

    def decode(self, frame, reference=None):
        bits = Bits(frame)
        kind = bits.take(8)
        need(kind in (0xF4, 0xF5), "not a frame")
        coarseness, likeness, pixels = bits.signed(), 0, self.height * self.width
        need(-40 <= coarseness <= 40, "coarseness")
        coded = [1] * pixels
        if kind == 0xF5:
            need(reference is not None, "no reference")
            likeness = bits.number()
            coded = self._take_map(bits.bytes(bits.number()))
        header = frame[: bits.at >> 3]
        stored = int.from_bytes(bits.bytes(4), "little")
        payload = bits.bytes(bits.number())
        extra = Bits(frame[bits.at >> 3 :])
        steps = self._take_steps(payload, extra, coded, coarseness + likeness)
        need(len(extra.data) == (extra.at + 7) >> 3, "bits")
        words = struct.pack(f"<{len(steps)}i", *steps)
        seed = self.seed
        if kind == 0xF5:
            seed = xxhash32(struct.pack(f"<{len(reference)}f", *reference), seed)
        need(xxhash32(words, xxhash32(header, seed)) == stored, "checksum")
        return self._values(steps, coarseness, reference if kind == 0xF5 else None)

    def _take_map(self, payload):
        tables = [decode_table([4096 - p, p] + [0] * 66, 12) for p in (64, 1024, 2560, 3840)]
        count, width = self.height * self.width, self.width
        # Rows of one map in four bands, if there are at least 64: in turn a symbol of each. See ans/FORMAT.md, "Maps".
        bands = 4 if self.height >= 64 and count >= 512 else 1
        tops = [0]
        for band in range(bands):
            tops.append(tops[-1] + (self.height - band + bands - 1) // bands)
        order = [
            (tops[b] + r, x)
            for r in range(tops[1])
            for x in range(width)
            for b in range(bands)
            if tops[b] + r < tops[b + 1]
        ]
        place = {position: i for i, position in enumerate(order)}

        def table(symbols, i):
            y, x = order[i]
            at = lambda yy, xx: symbols[place[yy, xx]] if 0 <= xx < width and yy >= 0 else 0
            above = y not in tops
            return at(y, x - 1) + (at(y - 1, x) + at(y - 1, x + 1) if above else 0)

        symbols = decode_symbols(payload, count, 12, tables, table)
        return [symbols[place[i // width, i % width]] for i in range(count)]

    def _take_steps(self, payload, extra, coded, coarseness):
        rows, width = self.rows, self.width
        classes = [max(0, min(23, (size - coarseness) >> 1)) for size in self.sizes]
        places, order = {}, []
        for pixel, is_coded in enumerate(coded):
            if is_coded:
                places[pixel] = len(order)
                order.append(pixel)

        def table(tokens, i):
            at, k = divmod(i, rows)
            pixel = order[at]
            x = pixel % width
            of = lambda p, ok: tokens[places[p] * rows + k] if ok and p in places else 0
            left, above = of(pixel - 1, x > 0), of(pixel - width, True)
            right = of(pixel - width + 1, x + 1 < width)
            before = tokens[i - 1] if k > 0 else 0
            activity = 2 * SEEN[left] + 2 * SEEN[above] + SEEN[right] + SEEN[before]
            sign = SIGNS[left] + SIGNS[above]
            active = sum(activity >= start for start in ACTIVITIES)
            return self.table_of[33 * classes[k] + 3 * active + (1 if sign < 0 else 2 if sign > 0 else 0)]

        tokens = decode_symbols(payload, len(order) * rows, self.log, self.tables, table)
        steps = [0] * (len(coded) * rows)
        for at, pixel in enumerate(order):
            for k in range(rows):
                steps[pixel * rows + k] = self._integer(tokens[at * rows + k], extra)
        return steps

    def _integer(self, token, extra):
        if token < PLAIN:
            return (token + 1) >> 1 if token & 1 else -(token >> 1)
        if token == ESCAPE:
            sign, magnitude = extra.take(1), extra.take(16)
            need(magnitude > 0 or not sign, "a second zero")
            return -magnitude if sign else magnitude
        magnitude = least_magnitude(token) + extra.take(extra_bits(token))
        return magnitude if token & 1 else -magnitude

    def _values(self, steps, coarseness, reference):
        gains = [scaled(gain, coarseness) for gain in self.gains]
        unit = 2.0**self.fraction
        floor = lambda x: int(x // 1)
        limit = 2**20
        if reference is None:
            pixels = self.mean * (self.height * self.width)
        else:
            pixels = [max(-limit, min(limit, floor(x * unit + 0.5))) for x in reference]
        for pixel in range(self.height * self.width):
            sums = [0] * self.channels
            for k in range(self.rows):
                step = steps[pixel * self.rows + k]
                if step == 0:
                    continue
                if not self.matrices:
                    sums[k] = step * gains[k]
                    continue
                row = self.matrices[-1][k]
                for j in range(self.channels):
                    sums[j] += step * gains[k] * row[j]
            for j, total in enumerate(sums):
                at = pixel * self.channels + j
                rounded = (2 * total + (1 << self.precision)) >> (self.precision + 1)
                pixels[at] = max(self.least, min(self.greatest, pixels[at] + rounded))
        return [value / unit for value in pixels]


if __name__ == "__main__":
    codec = Codec(open(sys.argv[1], "rb").read())
    values = None
    for path in sys.argv[2:]:
        values = codec.decode(open(path, "rb").read(), values)
        sys.stdout.buffer.write(struct.pack(f"<{len(values)}f", *values))
