"""Reads .bitdiet files with nothing but numpy: FORMAT.md as a program, slow and short.

    tensors, metadata = read_model(open("model.bitdiet", "rb").read())
    tensors["conv1.weight"]   # a numpy array; float32 for quantized tensors; bytes for types that numpy has not

Run as a program it prints a line for each tensor of the files that it is given: name, dtype, shape and the SHA-256 of its little-endian bytes.
Of BASE.bitdiet UPDATE.bitdelta it prints those of the model that both make.
"""

import hashlib
import json
import math
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
            need((byte > 0 or shift == 0) and shift < 49, "a number in more bytes than it needs")
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self):
        number = self.number()
        return (number >> 1) ^ -(number & 1)

    def block(self):
        return self.take(self.number())

    def rest(self):
        return self.take(len(self.data) - self.at)


# The range decoder of cabac: every bit with a probability of a 1, in units of 2^-16.


class RangeDecoder:
    def __init__(self, data):
        self.data, self.at, self.range = data + bytes(8), 4, M32
        self.offset = int.from_bytes(self.data[:4], "big")
        self.end = len(data) + 4
        need(self.offset != M32, "the payload starts outside of every interval")

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

    def finish(self):
        """The bytes are the fewest that name a point of the last interval."""
        word = int.from_bytes(self.data[self.at - 4 : self.at], "big")
        low = (word - self.offset) & M32
        for length in range(5):
            unit = 1 << (32 - 8 * length)
            point = -(-low // unit) * unit
            if point - low < self.range:
                break
        need(self.end == self.at + length and word == point & M32, "the payload does not end")


# cabac: levels in rows of kernels.

FLAGS = 10


def classify(starts):
    return np.searchsorted(starts, np.arange(5 * 1023 + 1), side="right").tolist()


def decode_cabac(coded, count, row_length, kernel):
    need(count <= 16384 * (len(coded) + 4), "so few bytes cannot stand for so many")
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
                need(level < 1 << 31, "a level is too large")
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
    decoder.finish()
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
    need(9 <= log <= max(9, min(14, count.bit_length() - 2)), "no such table")
    frequencies = {}
    symbol = 0
    left = 1 << log
    last, absent = log, False
    while left > 0:
        ones = 0
        while field(1):
            ones += 1
        length = last + (ones // 2 if ones % 2 == 0 else -(ones + 1) // 2)
        need(0 <= length <= left.bit_length() and not (length == 0 and absent), "no frequency is that long")
        if length == 0:
            zeros = 0
            while not field(1):
                zeros += 1
            symbol += (1 << zeros) | field(zeros)
            absent = True
            continue
        frequencies[symbol] = (1 << (length - 1)) | field(length - 1)
        left -= frequencies[symbol]
        need(left >= 0 and symbol < 256, "frequencies do not fit")
        symbol += 1
        last, absent = length, False
    start = -(-at // 8)
    need(not any(bits[at : 8 * start]), "bits between table and payload")
    return np.array(decode_tans(bits[8 * start :], count, frequencies, log), dtype="u1")


def tans_table(frequencies, log):
    """Of each slot its symbol, how many bits follow, and the state before they are added."""
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
    return table


def decode_tans(bits, count, frequencies, log):
    table = tans_table(frequencies, log)
    need(1 in bits[:8], "the payload does not start")
    at = bits.index(1) + 1

    def field(width):
        nonlocal at
        need(at + width <= len(bits), "the payload is cut")
        at += width
        return sum(bit << k for k, bit in enumerate(bits[at - width : at]))

    states = [field(log) for _ in range(1 if count < 512 else 4)]
    if len(frequencies) == 1:
        need(at == len(bits) and not any(states), "the payload of ans does not end")
        return [table[0][0]] * count
    symbols = []
    for i in range(count):
        symbol, n, base = table[states[i % len(states)]]
        symbols.append(symbol)
        states[i % len(states)] = base + field(n)
    need(at == len(bits) and not any(states), "the payload of ans does not end")
    return symbols


# weights: integers in rows of kernels, by tables that the format defines. Characters less 80 are logits in units of 1/4.

MATRIX_LOGITS = (
    '8PZPTYTSSTQPIPOPPWTTSRPMPPPLSVTTRPPPPNPOTUTRPPPUPHPSTUSPPPWPLPPPTUPPXPPPMPPRSNPPPPPQQPQPPPPPPPQPPOPP'
    'PPQPPNPPQRPPPQPPOOQPPPPQPPQPNPPRPPRPPPPMQPPPPPRPPPONPSPPPPPPPOQORPPPPPTPONNSPPPPPPPQPNQPPPPPPPQQNPPP'
    'PPPPPPPPPPPPPPPPPPOOPPPPPPPPOPR'
)
KERNEL_LOGITS = (
    '?`PPPQPPHHPPUPUOWPPPNOPPTPPQPPQPRPQMPNWPWLPSOPBPSQPPPOSPSOOOQTMPRQPPOPRORPPPNPPRRPPPPPPPPPPNRPPPPPPP'
    'PPPPPNJVPRQQOPPFLPPPPPRTPPKPPORPSPRPQRQPNPSPQQPQPMPPOPQPQOMQOPQPPQPMPPPQQPPNPPPOPQPMHPPWPQPPPSPCPZPP'
    'PPPXVPEPPKRPMPcPPPPRPBPUVPPNOPHOUQOOPSOPTPPPOPSPSPPPPNPRSPPPPPPPPPPPPPPPPPPPPPPPNOaDOPPPPPP]PFPPPP?P'
    'Pe]PLPPPSGPOSPPOPPBPUPPPOPQPTPQPOOROSPPPPPPSSPPPPPNPPPPPPPPPRNPPPPPPPPPPGYPPPPP^PP;WPPPBYKiPKPPRPPPJ'
    'PQPOPNPPTPPOPNNPTQPPPPPPTPPPPOQPSPPPPQNQXHPPPPPPPPPPPPPPPPG]PLPPOPPP`HTHMVQPPPRPPPVF@PShNPPPP\\PPPPSM'
    'PPHBSPPPPPPPTROPPPOPSPPPPPPPZFPPPPPPPPPPPPPPKUPPPPPPPPPPPXHPPPPPSPPRPPQQPPPPPPPPPHXPOPPPOPPPPTOPNPPP'
    'SQPNPPQOTPPQPPOPWIPPPPPPPPPPPPPPOQPPPPPPPPPPPPVPPPPPPPPPPPPPPPPPPQPPPPPPPSPPQPKPPOPPPPPPRRPPOPOPRPPP'
    'PPPQPPPPPPPPMPPPPSPPJQPSPPPPPQPPPPQPPMPPPQPPQOPPPMPPWPPMPOOPVPPPPPOPSPPPPPPPSPQPPPPPRPPPPPPPPPPPPPPP'
    'PPPPPPPPMTMPNTPPPPPPPPPPNOSPPPPPPLPPPPPZQOPPULPPWPPPLPPEUPPPQPPPSPPPPPPQRPPPPPPPUKPPPPPPPPPPPPPPLSPP'
    'QPPPPPPPPPPPOPPQPPPPNPPPORPWPPPPPPPPSPPOPOPHXPPPOOPPRPPPQPPPRPPPPPPPXHPPPPPPPPPPPPPPLTPPPPPPPPPPPPPP'
    'PPPPPOQPNSNPQPPaPPPPQPPPPPPPPPP?SPRPNPOPUPPPPPPPSPPPPPPOZFPPPPPPPPPPPPPPKUPPPPPPPPPPPPPPPPPPPPPPPPPP'
    'PPPdPRROPPPPNPPPPPP>PRPPPPPPUPOPPPPOTPPPPPPNWIPPPPPPPPPPPPPPOQPPPPPPPPPPPPPPPPPPPPPPPPPPPPPjPQPPOPPP'
    'PRPPPPP7PQPPRPPPRQPPOPPPRRPOPPOOLPPPVNPQPQRPRPPPOPRPPPPPPPPPOOQRPNPPQPPLPSRPPPPPPPPPOPPJPPPPSQSPPPPP'
    'NPPPRPPPPPPKPPPPTRPPPPPPOPPROPOPPPLPPPPUPPOPPPPLPTPQOPPPPPMPPPSPPPPPPPPOPROPPOPPPPOPQQPPPPPPQPPPOPPP'
    'PPPPMPQPPPPPPPOOPQQMPOPPPRPPPPPPPPPPQONQQNPPPPPPPPPPPPPPPPPQLSPPPPPPPMPPQPPPPPPPPPPPPPPPPPPPMPRPPPPP'
    'PPPPQPNPPPPPPPPPNPPPPPPPPPPPOPPPPPPPPMPPTOPPOONOTNOPNOPPQPOONNOPRQPONMLKPPPPPQPNPPPPPPPPPPPPPPPPPPPP'
    'PPPPPPPOPQPPPPPPPQPPPPPPPPQPPPPPPPQQPPPPPPPPPPPPPPPPOPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPOPPPPPPPPPQPPPPP'
    'OPPPPPPPPPPPPPPPOPPPOPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP'
)
GAINS = "00 02 04 06 08 11 22 24 26 42 44 62 60 40 80 15".split()
SQUASHED = (32768, 40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269)
SQUASHED += (65374, 65438, 65476, 65500, 65514, 65523)  # 65536 / (1 + e^(-i / 2))


def unpack_logits(text, classes):
    """Logits of decisions by knot and class, by profile and knot, by profile and class; the text has differences of neighbours."""
    profiles, values = 2, np.array([ord(character) - 80 for character in text])
    own = 0 if classes == 1 else classes
    decisions = len(values) // (11 * classes + profiles * (11 + own))
    ends = np.cumsum([decisions * 11 * classes, decisions * profiles * 11])
    by_class, by_profile, owns = np.split(values, ends)
    by_class = by_class.reshape(decisions, 11, classes).cumsum(1).cumsum(2)
    by_profile = by_profile.reshape(decisions, profiles, 11).cumsum(2)
    return by_class.tolist(), by_profile.tolist(), owns.reshape(decisions, profiles, own).tolist()


MATRIX, KERNEL = unpack_logits(MATRIX_LOGITS, 1), unpack_logits(KERNEL_LOGITS, 8)


def weight_table(matrix, profile, scale, expected):
    """Slots (value, bits to read, state before them) and the largest magnitude with a symbol of either sign."""
    (by_class, by_profile, owns), per_octave = (MATRIX, 4) if matrix else (KERNEL, 2)
    octave, eighths = scale // per_octave, 8 * (2 * (scale % per_octave) + 1) // (2 * per_octave)

    def decision(d):
        at = lambda knot: by_class[d][knot][expected] + by_profile[d][profile][knot]
        x = (8 - eighths) * at(octave) + eighths * at(octave + 1)
        x += 0 if matrix else 8 * owns[d][profile][expected]
        size = min(abs(x), 256)
        low, high = SQUASHED[size >> 4], SQUASHED[(size >> 4) + 1]
        p = low + ((high - low) * (size & 15) >> 4)
        return 65536 - p if x < 0 else p

    frequency = lambda p: (p + 32) >> 6
    other = decision(0)
    negative = 32768 if matrix else decision(1)
    escape, limit, frequencies = other, 63, {0: frequency(65536 - other)}
    for sign in (1, -1):
        left = other * (65536 - negative if sign > 0 else negative) >> 16
        first = 1 if matrix else 2 if sign > 0 else 8
        pieces = [decision(first + k) for k in range(6)]
        for k in range(1, 64):
            more = left * pieces[sum(k >= start for start in (2, 3, 5, 9, 17))] >> 16
            frequencies[sign * k] = frequency(left - more)
            if frequencies[sign * k] > 0:
                escape -= left - more
            else:
                limit = min(limit, k - 1)
            left = more
    frequencies[-64] = max(1, frequency(escape))
    frequencies = dict(sorted(frequencies.items()))
    likeliest = max(frequencies, key=frequencies.get)
    frequencies[likeliest] += 1024 - sum(frequencies.values())
    return tans_table({value: f for value, f in frequencies.items() if f > 0}, 10), limit


def decode_weights(coded, count, row_length, kernel):
    need(len(coded) > 3 and count <= 8192 * len(coded), "so few bytes cannot be so many integers")
    reader = Reader(coded)
    kind, mean_class = reader.take(2)
    profile, gains = kind % 16, GAINS[kind >> 4]
    low_bits = reader.take(reader.number())
    low = np.unpackbits(np.frombuffer(low_bits, np.uint8), bitorder="little").tolist()
    payload = np.unpackbits(np.frombuffer(reader.rest(), np.uint8), bitorder="little").tolist()
    need(1 in payload[:8], "the payload does not start")
    places = {"low": 0, "payload": payload.index(1) + 1}

    def take(bits, name, width):
        at = places[name]
        need(at + width <= len(bits), "the payload is cut")
        places[name] = at + width
        return sum(bit << k for k, bit in enumerate(bits[at : at + width]))

    states = [take(payload, "payload", 10) for _ in range(4)]
    height, width = kernel
    matrix = height * width == 1
    need(profile < 2 and mean_class < 48, "no such profile or mean")
    a, b = int(gains[0]), int(gains[1])
    mean = (16, 19, 23, 27)[mean_class % 4] << (mean_class >> 2)
    log = lambda v: (e := (v + 1).bit_length() - 1) * 128 + ((v + 1 - (1 << e)) * 128 >> e)
    clip = lambda v: max(-63, min(63, v))
    tables, values, columns = {}, [0] * count, [mean] * row_length
    start, rows = mean, count // row_length
    for row in range(0, rows, 4):
        lanes = min(4, rows - row)
        means, absents = [start] * 4, [0] * 4
        for j in range(row_length):
            x, y = (j, 0) if matrix else (j % width, j // width % height)
            column = b * log(columns[j] >> 4)
            for lane in range(lanes):
                f, place = means[lane], (row + lane) * row_length + j
                if x == 0:
                    absents[lane] = f >> 4
                near = lambda back, exists: clip(values[place - back]) if exists else None
                size = lambda v: absents[lane] if v is None else 64 * abs(v)
                left, expected = near(1, x > 0), 0
                if matrix:
                    local = ((f >> 2) + 2 * (size(left) + size(near(2, x > 1)))) >> 3
                else:
                    up, corner = near(width, y > 0), near(width + 1, y > 0 and x > 0)
                    right = near(width - 1, y > 0 and x + 1 < width)
                    around = 2 * (size(left) + size(up)) + size(corner) + size(right)
                    local = ((f >> 3) + around) >> 3
                    expected = 2 * ((left or 0) + (up or 0)) - (corner or 0)
                scale = (8 - a - b) * log(mean >> 4) + a * log(local) + column >> (8 if matrix else 9)
                per_octave = 4 if matrix else 2
                beyond = max(0, scale // per_octave - 9)
                likely = sum(abs(expected) >= k for k in (1, 2, 3, 5, 9, 17, 33))
                key = (scale - per_octave * beyond, max(0, likely - beyond))
                if key not in tables:
                    tables[key] = weight_table(matrix, profile, *key)
                table, limit = tables[key]
                value, n, base = table[states[lane]]
                states[lane] = base + take(payload, "payload", n)
                if value == -64:
                    sign, j_bits = take(low, "low", 1), 3
                    while take(low, "low", 1):
                        j_bits += 1
                    need(j_bits <= 30, "an escape that is too long")
                    value = limit + 1 + (1 << j_bits) - 8 + take(low, "low", j_bits)
                    value = -value if sign else value
                value = (value << beyond) + take(low, "low", beyond)
                values[place] = -value if expected < 0 else value
                means[lane] += (1024 * abs(clip(values[place])) - f) >> 4
            if lanes == 4:
                total = sum(abs(clip(values[(row + lane) * row_length + j])) for lane in range(4))
                rate = (64, 32, 21)[row // 4] if row < 12 else 16
                columns[j] += (256 * total - columns[j]) * rate >> 6
        start = (start + (sum(means) >> 2)) >> 1
    unread = low[places["low"] :]
    need(places["payload"] == len(payload) and not any(states), "the payload of weights does not end")
    need(len(unread) < 8 and not any(unread), "the low bits of weights do not end")
    return np.array(values, np.int64)


# lz: literals and matches, bit by bit.


def decode_lz(coded, size):
    need(len(coded) > 0 and coded[0] <= 3, "no such elements")
    alignment, coder = coded[0], RangeDecoder(bytes(coded[1:]))
    out, distances, after, work = bytearray(), [1, 1, 1], 0, 32 * len(coded)
    contexts = {}

    def bit(*context):
        p, uses = contexts.get(context, (32768, 0))
        found = coder.bit(max(24, min(65512, p)))
        contexts[context] = p + (65535 * found - p) // (uses + 2), min(uses + 1, 30)
        return found

    def tree(width, *context):
        node = 1
        for _ in range(width):
            node = 2 * node + bit(*context, node)
        return node - (1 << width)

    def number(low, *context):
        kind = tree(7, *context)
        need(kind < 70, "no such class")
        if kind < 16:
            return kind
        extra = (kind - 16 >> 1) + 3
        value = (2 + (kind & 1)) << extra
        for k in range(extra - 1, 3, -1):
            value += coder.bit(32768) << k
        node, count = 1, min(extra, 4)
        for k in range(count):
            found = bit("low", low, count, node)
            value, node = value + (found << k), 2 * node + found
        return value

    while len(out) < size:
        place = len(out) & ((1 << alignment) - 1)
        is_match = bit("match", after, place)
        work -= 4 if is_match else 1
        need(work >= 0, "so few bytes cannot stand for so many")
        if not is_match:
            before = (out[-1] if out else 0) >> (5 + alignment)
            like = out[-distances[0]] + 256 if after > 0 and distances[0] <= len(out) else 0
            node, after = 1, max(0, after - 1)
            for k in range(7, -1, -1):
                expected = like >> k & 1 if like else None
                found = bit("literal", place, before, expected, node)
                like = like if found == expected else 0
                node = 2 * node + found
            out.append(node - 256)
            continue
        new, used = bit("new", after), 0
        if not new and bit("older", after, place):
            used = 1 + bit("oldest")
        length = number(new, "length", new, place) + 2
        distance = number(2, "distance", min(3, length - 2)) + 1 if new else distances.pop(used)
        distances = [distance, *distances][:3]
        after = 2
        need(distance <= len(out), "a match before the start")
        need(length <= size - len(out), "a match beyond the end")
        for _ in range(length):
            out.append(out[-distance])
    coder.finish()
    return bytes(out)


def unpack(coder, coded, size):
    """Bytes of any kind, by one of three coders."""
    need(coder < 3, "no such coder")
    need(size > 0 or len(coded) == 0, "bytes for none")
    if coder == 0:
        data = bytes(coded)
    else:
        data = (lambda c, n: decode_ans(c, n).tobytes(), decode_lz)[coder - 1](coded, size)
    need(len(data) == size, "more or fewer bytes")
    return data


# The file.

# Bits per element, and how numpy calls it if it knows it.
DTYPES = {
    "float32": (32, "<f4"), "float16": (16, "<f2"), "bfloat16": (16, "<u2"), "float64": (64, "<f8"),
    "int8": (8, "i1"), "uint8": (8, "u1"), "int16": (16, "<i2"), "uint16": (16, "<u2"), "int32": (32, "<i4"),
    "uint32": (32, "<u4"), "int64": (64, "<i8"), "uint64": (64, "<u8"), "bool": (8, "u1"), "complex64": (64, "<c8"),
    "float8_e4m3": (8, "u1"), "float8_e5m2": (8, "u1"), "string": (0, ""), "float8_e8m0": (8, "u1"),
    "float8_e4m3fnuz": (8, "u1"), "float8_e5m2fnuz": (8, "u1"), "float6_e2m3": (6, ""), "float6_e3m2": (6, ""),
    "float4_e2m1": (4, ""), "int4": (4, ""), "uint4": (4, ""), "int2": (2, ""), "uint2": (2, ""),
    "complex128": (128, "<c16"),
}  # fmt: skip
NAMES = list(DTYPES)
TURNED = ("float32", "float16", "bfloat16")
CODERS = 3  # of integers: cabac, ans, weights
# What one of them, and a byte of its code, takes at worst, in nanoseconds of the TypeScript decoder; what other things take.
NANOSECONDS, NANOSECONDS_PER_BYTE = (190, 80, 130), (400, 10, 50)
FIELD, BYTE, ROW, STEP, START, START_BYTES = 600, 50, 400, 700, 3000, 256
# By lz: a byte that is given out, and at most one that is read.
LZ_BYTE, LZ_CODED = 100, 3000


def cost(entry):
    """Nanoseconds of an entry."""
    lengths = entry["lengths"]
    start = lambda length: START * min(length, START_BYTES)
    if not entry.get("quantized"):
        return entry["size"] * BYTE + start(lengths[0]) + min(entry["size"] * LZ_BYTE, lengths[0] * LZ_CODED)
    lie = entry.get("lie", entry["shape"])
    rows, count = lie[entry["axis"]] if lie else 1, math.prod(lie)

    def integers(coder, length):
        return count * NANOSECONDS[coder] + length * NANOSECONDS_PER_BYTE[coder] + rows * ROW + start(length)

    first = integers(entry["coder"], lengths[0])
    if entry.get("flags", 0) & 1:
        first += rows * STEP + lengths[0] * NANOSECONDS_PER_BYTE[2]
    if not entry.get("refinement"):
        return first
    return 2 * first + integers(entry["refinement"][1], lengths[1])


def most_bytes(there, max_bytes):
    return (1 << 26) + 1024 * there if max_bytes is None else max_bytes


def check_work(nanoseconds, there, max_seconds):
    most = 4e9 + 1e4 * there if max_seconds is None else 1e9 * max_seconds
    need(nanoseconds <= most, "more work than max_seconds")


def check_limits(metadata, tensors, there, nanoseconds, max_bytes, max_seconds):
    """What a file may become and take, by default in proportion to its bytes: refused before anything is decoded."""
    size = 0
    for entry in [*metadata, *tensors]:
        source = entry.get("same", entry)
        size += source["size"]
        nanoseconds += cost(source)
        there += 0 if "same" in entry else sum(entry["lengths"])
        need(size <= most_bytes(there, max_bytes), "larger than max_bytes")
        check_work(nanoseconds, there, max_seconds)


def read_header(data, max_bytes=None, max_seconds=None):
    """Entries of metadata and of tensors, each with the bytes of its parts."""
    need(data[:5] == b"BITD\x01", "no .bitdiet file of version 1")
    reader = Reader(data)
    coder = reader.take(6)[5]
    parts, size, coded_size = reader.number(), reader.number(), reader.number()
    before = data[: reader.at]
    stored = int.from_bytes(reader.take(4), "little")
    coded = reader.take(coded_size)
    hashes = np.frombuffer(reader.take(4 * parts), "<u4").tolist()
    rest = data[len(before) + 4 : reader.at]
    need(xxhash32(rest, xxhash32(before)) == stored, "the header is changed")
    need(size <= max(1 << 16, 64 * coded_size), "fields of so few bytes cannot be that long")
    check_work(FIELD * size, reader.at, max_seconds)
    fields = Reader(unpack(coder, coded, size))
    number = fields.number
    budget, room = [(1 << 22) + 64 * size], [(1 << 22) + most_bytes(reader.at, max_bytes)]

    def names():
        seen, name = set(), b""
        while True:
            shared = number()
            need(shared <= len(name), "a name shares more than there is")
            name = name[:shared] + fields.block()
            budget[0] -= len(name)
            room[0] -= 128 + len(name)
            need(budget[0] >= 0 and room[0] >= 0, "names are too long")
            try:
                text = name.decode()
            except UnicodeDecodeError:
                need(False, "a name is no UTF-8")
            need(text not in seen, "one name twice")
            seen.add(text)
            yield text

    order = []
    metadata, name = [], names()
    for _ in range(number()):
        entry = {"name": next(name), "size": number(), "coder": number()}
        order.append((entry, "bytes", number()))
        entry["lengths"] = [order[-1][2]]
        metadata.append(entry)
    tensors, refinements, name = [], [], names()
    for _ in range(number()):
        entry = {"name": next(name)}
        kind = number()
        if kind == 0:
            back = number()
            need(0 < back <= len(tensors) and "same" not in tensors[-back], "equal to no earlier tensor")
            tensors.append({**entry, "same": tensors[-back]})
            continue
        need(1 < kind < 2 * len(NAMES) + 2, "an unknown type")
        entry["dtype"] = NAMES[(kind >> 1) - 1]
        entry["quantized"] = kind & 1
        read_tensor_fields(entry, number)
        order.append((entry, "bytes", number()))
        entry["lengths"] = [order[-1][2]]
        if entry.get("refinement"):
            refinements.append((entry, "more", number()))
            entry["lengths"].append(refinements[-1][2])
        tensors.append(entry)
    order += refinements
    need(fields.at == size and len(order) == parts, "the header does not end where it should")
    need(reader.at + sum(length for _, _, length in order) < 1 << 53, "the file is too long")
    check_limits(metadata, tensors, reader.at, FIELD * size, max_bytes, max_seconds)
    for (entry, key, length), stored in zip(order, hashes):
        entry[key] = reader.take(length)
        need(xxhash32(entry[key]) == stored, f"{entry['name']}: the checksum does not match")
    need(reader.at == len(data), "bytes follow the end")
    return metadata, [{**entry.get("same", {}), **entry} for entry in tensors]


def read_tensor_fields(entry, number):
    rank = number()
    need(rank <= 32, "too many axes")
    shape = entry["shape"] = [number() for _ in range(rank)]
    elements = 1
    for extent in shape:
        elements *= extent
    need(elements <= 1 << 49, "too many elements")
    bits, _ = DTYPES[entry["dtype"]]
    if not entry["quantized"]:
        entry["size"] = -(-bits * elements // 8) if bits else number()
        return
    if entry["dtype"] not in ("float32", "float16", "bfloat16", "float64"):
        read_integer_fields(entry, elements, number)
        return
    flags, coder, axis = number(), number(), number()
    need(flags < 4 and coder < CODERS and axis < max(1, rank), "unknown flags, coder or axis")
    need(0 < elements < 1 << 31, "no or too many elements")
    entry["size"] = 4 * elements
    entry.update(flags=flags, coder=coder, axis=axis)
    entry["refinement"] = (number(), number()) if flags & 2 else None
    if flags & 2:
        bits, coder = entry["refinement"]
        need(0 < bits <= 30 and coder < CODERS, "a refinement that cannot be")


def read_integer_fields(entry, elements, number):
    """Of a tensor of integers in rows: how many bits an integer has, and the shape in which they lie."""
    shape, dtype = entry["shape"], entry["dtype"]
    coder, axis, width = number(), number(), number()
    element = DTYPES[dtype][0]
    bits = width or element
    need(dtype.lstrip("u").startswith("int") and bits in (2, 4, 8), "no integers of 2, 4 or 8 bits")
    need(width == 0 or (element % 8 == 0 and axis == 0 and shape), "elements that cannot be so many integers")
    count = elements * element // bits
    need(coder < CODERS and axis < max(1, len(shape)) and 0 < count < 1 << 31, "no such coder, axis or number of integers")
    lie = shape if width == 0 else [shape[0], count // shape[0]]
    entry["size"] = -(-element * elements // 8)
    entry.update(coder=coder, axis=axis, lie=lie, bits=bits, signed=width == 0 and dtype.startswith("int"))


def decode_integer_tensor(entry):
    lie, bits, reader = entry["lie"], entry["bits"], Reader(entry["bytes"])
    least = -(1 << bits - 1) if entry["signed"] else 0
    offset = reader.signed()
    need(least <= offset < least + (1 << bits), "an offset that is none of the integers")
    order, kernel = row_axes(lie, entry["axis"])
    count = int(np.prod(lie, dtype=np.int64))
    rows = lie[entry["axis"]] if lie else 1
    integers = read_integers(reader.rest(), entry["coder"], count, count // rows, kernel) + offset
    need(bool(np.all((integers >= least) & (integers < least + (1 << bits)))), "an integer of too many bits")
    integers = integers.reshape([lie[a] for a in order]).transpose(np.argsort(order)).reshape(-1) if lie else integers
    fields = (integers & (1 << bits) - 1).astype("u1")[:, None] >> np.arange(bits, dtype="u1") & 1
    raw = np.packbits(fields.reshape(-1), bitorder="little").tobytes()
    name = DTYPES[entry["dtype"]][1]
    return np.frombuffer(raw, name).reshape(entry["shape"]) if name else raw


def read_lossless(reader, dtype, size, shape):
    form = reader.take(1)[0]
    if form != 254:
        return read_form(reader, form, dtype, size, shape)
    width = max(1, DTYPES[dtype][0] // 8)
    need(size % width == 0, "no such elements")
    signs = unpack(reader.number(), reader.block(), -(-(size // width) // 8))
    signs = np.unpackbits(np.frombuffer(signs, "u1"), bitorder="little")[: size // width]
    elements = np.frombuffer(read_form(reader, reader.take(1)[0], dtype, size, shape), "u1").copy()
    elements[width - 1 :: width] ^= signs << 7
    return elements.tobytes()


def read_form(reader, form, dtype, size, shape):
    if form != 255:
        return read_planes(reader, form, dtype, size)
    width = max(1, DTYPES[dtype][0] // 8)
    count = reader.number()
    need(0 < count <= 1 << 16 and count * width <= size and size % width == 0, "no such palette")
    form = reader.take(1)[0]
    if form == 252 and dtype == "float32":
        scale, least = np.frombuffer(reader.take(16), "<f8")
        values = (np.arange(count) * scale + least).astype("<f4").tobytes()
    else:
        values = read_planes(reader, form, dtype, count * width)
    wide = 1 if count <= 256 else 2
    form = reader.take(1)[0]
    if form == 253 and wide == 1 and width >= 4:
        indices = read_index_rows(reader, shape, size // width)
    else:
        indices = read_planes(reader, form, "uint8" if wide == 1 else "uint16", size // width * wide)
    indices = np.frombuffer(indices, f"<u{wide}")
    need(bool(np.all(indices < count)), "an index beyond the values")
    return np.frombuffer(values, f"V{width}")[indices].tobytes()


def read_index_rows(reader, shape, count):
    axis, coded = reader.number(), reader.block()
    need(axis < max(1, len(shape)) and int(np.prod(shape, dtype=np.int64)) == count, "no such rows of indices")
    lie = dict(lie=shape, bits=8, signed=False, axis=axis, coder=2, dtype="uint8", shape=shape, bytes=coded)
    return decode_integer_tensor(lie).tobytes()


def read_planes(reader, count, dtype, size):
    if count == 0:
        return reader.take(size)
    width = max(1, DTYPES[dtype][0] // 8)
    need(count in (1, width) and size % count == 0, "no such planes")
    coded = [(reader.number(), reader.block()) for _ in range(count)]
    planes = []
    for kind, data in coded:
        plane = np.frombuffer(unpack(kind % 8, data, size // count), "u1").copy()
        stride = kind // 8
        for start in range(stride if 0 < stride < len(plane) else 0):
            plane[start::stride] = np.cumsum(plane[start::stride], dtype="u1")
        planes.append(plane)
    values = np.stack(planes, axis=1)
    if count == width and dtype in TURNED:
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


def read_integers(coded, coder, count, row_length, kernel):
    if count == 0:
        need(len(coded) == 0, "bytes for no integers")
        return np.zeros(0, np.int64)
    if coder == 0:
        return decode_cabac(coded, count, count if row_length == 1 else row_length, kernel)
    if coder == 2:
        return decode_weights(coded, count, count if row_length == 1 else row_length, kernel)
    symbols = decode_ans(coded, count).astype(np.int64)
    return (symbols >> 1) ^ -(symbols & 1)


def read_steps(reader, count):
    grid = reader.take(1)[0]
    if grid == 0:
        steps = np.frombuffer(reader.take(4 * count), "<f4")
        need(bool(np.all((steps >= 0) & (steps < np.inf))), "a step that is no number")
        return steps
    need(1 <= grid & 127 <= 8, "an unknown grid")
    parts = 1 << ((grid & 127) - 1)
    middle = reader.signed()

    def numbers(n):
        return read_integers(reader.block(), 2, n, n, (1, 1))

    if count == 1:
        return np.array([0 if grid > 127 else step_at(middle, parts)], "<f4")
    kept = numbers(count) == 0 if grid > 127 else np.ones(count, bool)
    steps = np.zeros(count, "<f4")
    steps[kept] = [step_at(middle + offset, parts) for offset in numbers(int(kept.sum())).tolist()]
    return steps


def step_at(index, parts):
    need(-126 * parts <= index < 128 * parts, "a step that is off its grid")
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
    if "lie" in entry:
        return decode_integer_tensor(entry)
    reader = Reader(entry["bytes"])
    if not entry["quantized"]:
        raw = read_lossless(reader, dtype, entry["size"], entry["shape"])
        need(reader.at == len(reader.data), "bytes follow the end")
        name = DTYPES[dtype][1]
        return np.frombuffer(raw, name).reshape(shape) if name else bytes(raw)
    return values_of(entry, *read_quantized(entry, coarse))


def read_quantized(entry, coarse=False):
    """Integers of all rows, zeros where they are pruned, and the steps of the rows."""
    shape, flags = entry["shape"], entry["flags"]
    reader = Reader(entry["bytes"])
    _, kernel = row_axes(shape, entry["axis"])
    rows = shape[entry["axis"]] if shape else 1
    row_length = int(np.prod(shape, dtype=np.int64)) // rows
    steps = read_steps(reader, rows if flags & 1 else 1)
    steps = np.broadcast_to(steps, rows).astype("f8")
    count = int((steps != 0).sum()) * row_length
    levels = read_integers(reader.rest(), entry["coder"], count, row_length, kernel)
    if entry["refinement"]:
        bits, coder = entry["refinement"]
        residual = 0 if coarse else read_integers(entry["more"], coder, count, row_length, kernel)
        levels = levels * 2**bits + residual
        need(coarse or bool(np.all(np.abs(levels) < 1 << 31)), "an integer is too large")
    integers = np.zeros((rows, row_length), np.int64)
    integers[steps != 0] = levels.reshape(-1, row_length)
    return integers, steps


def values_of(entry, integers, steps):
    shape = entry["shape"]
    order, _ = row_axes(shape, entry["axis"])
    values = (integers * steps[:, None]).astype("f4")
    values = values.reshape([shape[a] for a in order]).transpose(np.argsort(order).tolist())
    return values.copy(order="C")


def read_model(data, max_bytes=None, max_seconds=None):
    metadata, tensors = read_header(data, max_bytes, max_seconds)
    blobs = {entry["name"]: unpack(entry["coder"], entry["bytes"], entry["size"]) for entry in metadata}
    return {entry["name"]: decode_tensor(entry) for entry in tensors}, blobs


# Updates: what has become of a file's tensors.


def read_update(base, data, max_bytes=None, max_seconds=None):
    """The model that a file and an update of it make, as read_model gives one."""
    old_blobs, old = read_header(base, max_bytes, max_seconds)
    own_blobs, own = read_header(data, max_bytes, max_seconds)
    blob = lambda entry: unpack(entry["coder"], entry["bytes"], entry["size"])
    need(own_blobs and own_blobs[0]["name"] == "update", "not an update")
    plan = Reader(blob(own_blobs[0]))
    need(plan.take(32) == hashlib.sha256(base).digest(), "an update of another file")
    tensors, i, k = {}, 0, 0
    while plan.at < len(plan.data):
        number = plan.number()
        kind, count = number % 4, number // 4
        need(count > 0, "no tensors in a row")
        need(i + (kind != 1) * count <= len(old) and k + (kind in (1, 2)) * count <= len(own), "more tensors than there are")
        for n in range(count):
            before, entry = old[i + n] if kind != 1 else None, own[k + n] if kind in (1, 2) else None
            if kind == 3:
                continue
            name = (entry if kind == 1 else before)["name"]
            need(name not in tensors, "one name twice")
            tensors[name] = changed_tensor(before, entry) if kind == 2 else decode_tensor(entry or before)
        i, k = i + (kind != 1) * count, k + (kind in (1, 2)) * count
    need(i == len(old) and k == len(own), "a plan that leaves tensors")
    return tensors, {entry["name"]: blob(entry) for entry in [*old_blobs, *own_blobs[1:]]}


def changed_tensor(before, entry):
    dtype, shape = before["dtype"], before["shape"]
    bits, name = DTYPES[dtype]
    need(shape == entry["shape"] and bits >= 8, "a change of another tensor")
    if "flags" in entry:
        need("flags" in before and before["axis"] == entry["axis"] and not entry["flags"] & 1, "no integers to change")
        (changes, unit), (integers, steps) = read_quantized(entry), read_quantized(before)
        mantissa, exponent = np.frexp(unit[0])
        octaves = 1 - int(exponent)
        need(mantissa == 0.5 and abs(octaves) <= 24, "a unit that is no power of 2")
        finer, coarser = 2 ** max(0, octaves), 2 ** max(0, -octaves)
        integers = integers * finer + changes * coarser
        new_steps = (steps / finer).astype("f4").astype("f8")
        need(bool(np.all(np.abs(integers) < 1 << 31) and np.all((new_steps > 0) | (steps == 0))), "integers or steps beyond what there is")
        return values_of(before, integers, new_steps)
    word = f"<u{min(4, bits // 8)}"
    changes = np.frombuffer(tensor_bytes(decode_tensor(entry), entry), word)
    words = np.frombuffer(tensor_bytes(decode_tensor(before), before), word)
    need(len(words) == len(changes), "more or fewer bits than there were")
    raw = (words + ((changes >> 1) ^ (-(changes & 1)).astype(word))).astype(word).tobytes()
    return np.frombuffer(raw, "<f4" if dtype == "float32" else name).reshape(shape) if name else raw


def tensor_bytes(value, entry):
    """Elements in a tensor's own type: quantized ones are decoded to float32."""
    if isinstance(value, bytes):
        return value
    if "flags" in entry and entry["dtype"] == "bfloat16":
        words = value.reshape(-1).view("<u4")
        return ((words + 0x7FFF + (words >> 16 & 1)) >> 16).astype("<u2").tobytes()
    return value.astype(DTYPES[entry["dtype"]][1]).tobytes()


def main():
    base = b""
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            data = file.read()
        model, blobs = read_update(base, data) if path.endswith(".bitdelta") else read_model(data)
        base = data
        if path != sys.argv[-1] and sys.argv[-1].endswith(".bitdelta"):
            continue
        for name, value in [*model.items(), *blobs.items()]:
            raw = value if isinstance(value, bytes) else value.tobytes()
            shape = [] if isinstance(value, bytes) else list(value.shape)
            print(json.dumps([name, shape, hashlib.sha256(raw).hexdigest()]))


if __name__ == "__main__":
    main()
