"""Second implementation of what a detector needs, in numpy, written from the paper, the authors' Caffe layers and the
development kit of Pascal VOC: loops where packages/zoo has typed arrays, whole arrays where that has loops.

    python3 reference.py < cases.json    # { "priors": {...}, "match": {...}, ... } to results under the same names
"""
import json
import sys
from itertools import product
from math import sqrt

import numpy as np


def priors(table):
    boxes = []
    for m in table["maps"]:
        ratios = [1.0]
        for r in m["aspectRatios"]:
            ratios += [float(r), 1.0 / r]
        for row, col in product(range(m["side"]), repeat=2):
            cx, cy = (col + 0.5) * m["step"], (row + 0.5) * m["step"]
            sizes = [(m["smallest"], m["smallest"]), (sqrt(m["smallest"] * m["largest"]),) * 2]
            sizes += [(m["smallest"] * sqrt(r), m["smallest"] / sqrt(r)) for r in ratios if r != 1.0]
            boxes += [(cx, cy, w, h) for w, h in sizes]
    return np.clip(np.array(boxes) / table["side"], 0, 1)


def corners(centres):
    return np.concatenate([centres[:, :2] - centres[:, 2:] / 2, centres[:, :2] + centres[:, 2:] / 2], 1)


def iou(a, b, pixel=0.0):
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.clip(high - low + pixel, 0, None), 2)
    area = lambda x: np.prod(x[:, 2:] - x[:, :2] + pixel, 1)
    return both / (area(a)[:, None] + area(b)[None] - both)


def match(case):
    pri, box = np.array(case["priors"]).reshape(-1, 4), np.array(case["boxes"]).reshape(-1, 4)
    labels = np.array(case["labels"])
    shared = iou(box, corners(pri))
    of, best = shared.argmax(0), shared.max(0)
    for truth, prior in enumerate(shared.argmax(1)):
        of[prior], best[prior] = truth, 2
    wanted = np.where(best >= 0.5, labels[of], 0)
    b = box[of]
    shift = ((b[:, :2] + b[:, 2:]) / 2 - pri[:, :2]) / pri[:, 2:] / 0.1
    stretch = np.log((b[:, 2:] - b[:, :2]) / pri[:, 2:]) / 0.2
    return {"labels": wanted.tolist(), "offsets": (np.concatenate([shift, stretch], 1) * (wanted > 0)[:, None]).ravel().tolist()}


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def loss(case):
    offsets, logits = np.array(case["offsets"]), np.array(case["logits"])
    labels, wanted = np.array(case["labels"]), np.array(case["targets"])
    value, positives = 0.0, labels > 0
    for o, l, y, w, p in zip(offsets, logits, labels, wanted, positives):
        entropy = -np.log(softmax(l)[np.arange(len(y)), y])
        negative = np.sort(entropy[~p])[::-1]
        value += entropy[p].sum() + negative[: 3 * p.sum()].sum()
        d = np.abs(o - w)[p]
        value += np.where(d < 1, d * d / 2, d - 0.5).sum()
    return value / max(1, positives.sum())


def detect(case):
    pri = np.array(case["priors"]).reshape(-1, 4)
    o, scores = np.array(case["offsets"]).reshape(-1, 4), softmax(np.array(case["logits"]))
    centres = np.concatenate([pri[:, :2] + o[:, :2] * 0.1 * pri[:, 2:], pri[:, 2:] * np.exp(o[:, 2:] * 0.2)], 1)
    boxes, found = corners(centres), []
    for c in range(1, scores.shape[1]):
        order = [i for i in np.argsort(-scores[:, c], kind="stable") if scores[i, c] > 0.01][:400]
        while order:
            first, order = order[0], order[1:]
            found.append([c, scores[first, c], *boxes[first]])
            if order:
                shared = iou(boxes[[first]], boxes[order])[0]
                order = [i for i, s in zip(order, shared) if s <= 0.45]
    return sorted(found, key=lambda d: -d[1])[:200]


def average_precision(case):
    """VOCevaldet.m with its loops, both rules."""
    result = {}
    for name in sorted({m["name"] for m in case["marked"] if not m["isDifficult"]}):
        gt = {}
        for m in case["marked"]:
            if m["name"] == name:
                gt.setdefault(m["image"], []).append({**m, "det": False})
        npos = sum(not m["isDifficult"] for ms in gt.values() for m in ms)
        found = sorted([f for f in case["found"] if f["name"] == name], key=lambda f: -f["score"])
        tp, fp = np.zeros(len(found)), np.zeros(len(found))
        for d, f in enumerate(found):
            here = gt.get(f["image"], [])
            shared = iou(np.array([f["box"]], float), np.array([m["box"] for m in here], float).reshape(-1, 4), 1.0)[0]
            j = shared.argmax() if len(here) else -1
            if j >= 0 and shared[j] >= 0.5:
                if not here[j]["isDifficult"]:
                    (fp if here[j]["det"] else tp)[d] = 1
                    here[j]["det"] = True
            else:
                fp[d] = 1
        fp, tp = fp.cumsum(), tp.cumsum()
        rec, prec = tp / npos, np.where(fp + tp > 0, tp / np.maximum(fp + tp, 1), 0)
        eleven = sum(max(prec[rec >= t / 10 - 1e-12], default=0) for t in range(11)) / 11
        mrec, mpre = np.concatenate([[0], rec, [1]]), np.concatenate([[0], prec, [0]])
        for i in range(len(mpre) - 2, -1, -1):
            mpre[i] = max(mpre[i], mpre[i + 1])
        i = np.flatnonzero(mrec[1:] != mrec[:-1]) + 1
        result[name] = [float(eleven), float(((mrec[i] - mrec[i - 1]) * mpre[i]).sum())]
    return result


def convolve(x, weight, bias, stride=1, pad=0, dilation=1):
    """x [C, H, W], weight [O, C, k, k] as PyTorch keeps it."""
    k = weight.shape[-1]
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    span = dilation * (k - 1) + 1
    out = [(s - span) // stride + 1 for s in x.shape[1:]]
    y = np.zeros((weight.shape[0], *out))
    for i, j in product(range(k), repeat=2):
        rows = x[:, i * dilation :, j * dilation :][:, : stride * out[0] : stride, : stride * out[1] : stride]
        y += np.einsum("oc,chw->ohw", weight[:, :, i, j], rows)
    return y + bias[:, None, None]


def pool(x, size, stride, pad=0, ceil=False):
    out = [(s + 2 * pad - size + (stride - 1 if ceil else 0)) // stride + 1 for s in x.shape[1:]]
    x = np.pad(x, ((0, 0), (pad, pad + stride), (pad, pad + stride)), constant_values=-np.inf)
    parts = [
        x[:, i:, j:][:, : stride * out[0] : stride, : stride * out[1] : stride]
        for i, j in product(range(size), repeat=2)
    ]
    return np.max(parts, 0)


def ssd(case):
    """The network module by module, as the list of the PyTorch checkpoints' authors has them."""
    p = {n: np.array(t["values"]).reshape(t["shape"]) for n, t in case["parameters"].items()}
    side = case["side"]
    x = np.float32(50 * np.sin(0.37 * np.arange(3 * side * side))).astype(float).reshape(3, side, side)
    relu = lambda v: np.maximum(v, 0)
    layer = lambda v, name, **how: convolve(v, p[name + ".weight"], p[name + ".bias"], **how)
    base = [64, 64, "M", 128, 128, "M", 256, 256, 256, "C", 512, 512, 512, "M", 512, 512, 512]
    index, sources = 0, []
    for v in base:
        if v in ("M", "C"):
            x = pool(x, 2, 2, ceil=v == "C")
            index += 1
        else:
            x = relu(layer(x, f"vgg.{index}", pad=1))
            index += 2
        if index == 23:
            norm = np.sqrt((x**2).sum(0)) + 1e-10
            sources.append(p["L2Norm.weight"][:, None, None] * x / norm)
    x = pool(x, 3, 1, pad=1)
    x = relu(layer(x, "vgg.31", pad=6, dilation=6))
    x = relu(layer(x, "vgg.33"))
    sources.append(x)
    for k, how in enumerate(case["extras"]):
        x = relu(layer(x, f"extras.{2 * k}"))
        x = relu(layer(x, f"extras.{2 * k + 1}", **how))
        sources.append(x)
    heads = lambda kind, width: np.concatenate(
        [layer(s, f"{kind}.{k}", pad=1).transpose(1, 2, 0).reshape(-1, width) for k, s in enumerate(sources)]
    )
    return {"offsets": heads("loc", 4).ravel().tolist(), "logits": heads("conf", case["classes"]).ravel().tolist()}


RUN = {
    "priors": lambda t: priors(t).ravel().tolist(),
    "match": match,
    "loss": loss,
    "detect": detect,
    "averagePrecision": average_precision,
    "ssd": ssd,
}
json.dump({name: RUN[name](case) for name, case in json.load(sys.stdin).items()}, sys.stdout)
