"""One training step of the benchmark's networks in PyTorch, one thread: forward, backward, SGD.

Started once with `resnet BATCH` or `bert BATCH LENGTH`; for every line on stdin it runs one step and answers with its
milliseconds, so that the caller can alternate with its own. The first line it writes is PyTorch's version and the
GFLOP/s of its matrix product (1 to 5 means a reference BLAS, which slows BERT); an end of input ends it with a last
line, the peak resident memory in megabytes.
"""

import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """CIFAR ResNet block, shortcut "A": every second pixel, new channels zero."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.pad = (outputs - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


class Resnet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks = []
        inputs = 16
        for stage in range(3):
            outputs = 16 << stage
            for block in range(3):
                blocks.append(Block(inputs, outputs, 2 if stage > 0 and block == 0 else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.linear(x.mean((2, 3)))


class Layer(nn.Module):
    """BERT encoder layer: LayerNorm after each sum, exact GELU."""

    def __init__(self, hidden, heads, intermediate):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.dense = (nn.Linear(hidden, hidden) for _ in range(4))
        self.norm1 = nn.LayerNorm(hidden, 1e-12)
        self.inner = nn.Linear(hidden, intermediate)
        self.outer = nn.Linear(intermediate, hidden)
        self.norm2 = nn.LayerNorm(hidden, 1e-12)

    def forward(self, x, bias):
        batch, length, hidden = x.shape
        size = hidden // self.heads

        def split(y):
            return y.view(batch, length, self.heads, size).transpose(1, 2)

        scores = split(self.query(x)) @ split(self.key(x)).transpose(2, 3) / size**0.5
        context = torch.softmax(scores + bias, -1) @ split(self.value(x))
        x = self.norm1(x + self.dense(context.transpose(1, 2).reshape(batch, length, hidden)))
        return self.norm2(x + self.outer(F.gelu(self.inner(x))))


class Bert(nn.Module):
    def __init__(self, vocabulary=30522, hidden=128, heads=2, intermediate=512, layers=2):
        super().__init__()
        self.words = nn.Embedding(vocabulary, hidden)
        self.positions = nn.Embedding(512, hidden)
        self.types = nn.Embedding(2, hidden)
        self.norm = nn.LayerNorm(hidden, 1e-12)
        self.layers = nn.ModuleList(Layer(hidden, heads, intermediate) for _ in range(layers))
        self.pooler = nn.Linear(hidden, hidden)
        self.classifier = nn.Linear(hidden, 2)

    def forward(self, ids, types, mask):
        positions = self.positions.weight[: ids.shape[1]]
        x = self.norm(self.words(ids) + self.types(types) + positions)
        bias = ((1 - mask) * -1e9)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, bias)
        return self.classifier(torch.tanh(self.pooler(x[:, 0])))


def product_speed():
    """GFLOP/s of [1024, 128] @ [128, 512], best of 10."""
    a, b = torch.randn(1024, 128), torch.randn(128, 512)
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * 1024 * 128 * 512 / best / 1e9


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    batch = int(sys.argv[2])
    if sys.argv[1] == "resnet":
        model = Resnet20()
        inputs = (torch.randn(batch, 3, 32, 32),)
        labels = torch.arange(batch) % 10
    else:
        length = int(sys.argv[3])
        model = Bert()
        ids = (torch.arange(batch * length) * 7919 % 30522).view(batch, length)
        inputs = (ids, torch.zeros_like(ids), torch.ones(batch, length))
        labels = torch.arange(batch) % 2
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    print(torch.__version__, product_speed(), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(model(*inputs), labels).backward()
        optimizer.step()
        print((time.perf_counter() - start) * 1000, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


if __name__ == "__main__":
    main()
