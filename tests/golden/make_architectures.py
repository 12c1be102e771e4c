"""Writes the reference values of the architectures with PyTorch: outputs, losses and gradients.

    python make_architectures.py

Each case is a net of `examples/` made small by arguments, and the same net in PyTorch, written from the papers. A case
is one file `architectures/<case>.safetensors`; README.md says what is in it. Weights and pictures are not stored: both
sides make them by `numbers`. As in make_golden.py, PyTorch computes in f64 from f32 weights.
"""

import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).parent / "architectures"
BATCH = 4
CLASSES = 10


def numbers(tensor, count):
    """Numbers in [0, 1), multiples of 2^-24: SplitMix64 (Steele, Lea and Flood 2014), a stream a tensor."""
    z = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(tensor << 32)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**24


class Scale(nn.Module):
    """A factor and a shift a channel."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x):
        return x * self.weight[:, None, None] + self.bias[:, None, None]


def fill(model):
    """Fills all tensors in the order of the modules, and returns them in that order with what each is."""
    tensors = []
    for module in model.modules():
        own = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
        factor = isinstance(module, (nn.BatchNorm2d, Scale))
        for name in ["weight", "bias", "running_mean", "running_var"]:
            tensor = own.get(name)
            if tensor is None:
                continue
            u = numbers(len(tensors), tensor.numel())
            if tensor.dim() > 1:
                u = (2 * u - 1) * math.sqrt(6 / tensor[0].numel())
            elif name == "running_var" or (factor and name == "weight"):
                u = u + 0.5
            else:
                u = (2 * u - 1) * 0.2
            with torch.no_grad():
                tensor.copy_(torch.from_numpy(u.astype(np.float32)).reshape(tensor.shape))
            tensors.append((tensor, name.startswith("running")))
    return tensors


# ---------------------------------------------------------------------------------------------------------------------
# Parts. Modules are registered in the order in which the net's text has them.
# ---------------------------------------------------------------------------------------------------------------------


class Fn(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def seq(*parts):
    return nn.Sequential(*(part if isinstance(part, nn.Module) else Fn(part) for part in parts))


class Same(nn.Module):
    """Padding that makes the output ceil(input / stride), with the odd cell at the end."""

    def __init__(self, layer, kernel, stride, value=0.0):
        super().__init__()
        self.layer, self.kernel, self.stride, self.value = layer, kernel, stride, value

    def forward(self, x):
        pads = []
        for size in (x.shape[3], x.shape[2]):
            pad = max((math.ceil(size / self.stride) - 1) * self.stride + self.kernel - size, 0)
            pads += [pad // 2, pad - pad // 2]
        return self.layer(F.pad(x, pads, value=self.value))


def conv_act(i, o, kernel, **options):
    return seq(nn.Conv2d(i, o, kernel, **options), F.relu)


def conv_norm(i, o, kernel, eps=1e-5, **options):
    return nn.Sequential(nn.Conv2d(i, o, kernel, bias=False, **options), nn.BatchNorm2d(o, eps=eps))


def conv_norm_act(i, o, kernel, act=F.relu, **options):
    return seq(conv_norm(i, o, kernel, **options), act)


def pool(kernel=3, stride=2, padding=0, ceil=False):
    return lambda x: F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil)


def mean(x):
    return x.mean(dim=(2, 3))


class Add(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return sum(branch(x) for branch in self.branches)


class Concat(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Max(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.stack([branch(x) for branch in self.branches]).max(dim=0).values


def maxout(pieces):
    """The greatest of each run of `pieces` channels."""
    return lambda x: x.unflatten(1, (-1, pieces)).max(dim=2).values


def lrn(x):
    # PyTorch divides alpha by the window.
    return F.local_response_norm(x, 5, alpha=5 * 1e-4, beta=0.75, k=2.0)


# ---------------------------------------------------------------------------------------------------------------------
# Gates
# ---------------------------------------------------------------------------------------------------------------------


class SqueezeExcite(nn.Module):
    def __init__(self, channels, squeezed, act=F.relu):
        super().__init__()
        self.down, self.up, self.act = nn.Linear(channels, squeezed), nn.Linear(squeezed, channels), act

    def forward(self, x):
        return x * torch.sigmoid(self.up(self.act(self.down(mean(x)))))[:, :, None, None]


class SoftmaxGate(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.dense = nn.Linear(channels, channels)

    def forward(self, x):
        return x * self.dense(mean(x)).softmax(dim=1)[:, :, None, None]


class Cbam(nn.Module):
    def __init__(self, channels, r, kernel=7):
        super().__init__()
        self.mlp = seq(nn.Linear(channels, channels // r), F.relu, nn.Linear(channels // r, channels))
        self.place = nn.Sequential(
            nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(1)
        )

    def forward(self, x):
        weights = self.mlp(mean(x)) + self.mlp(x.amax(dim=(2, 3)))
        x = x * torch.sigmoid(weights)[:, :, None, None]
        parts = [x.mean(dim=1, keepdim=True), x.max(dim=1, keepdim=True).values]
        return x * torch.sigmoid(self.place(torch.cat(parts, dim=1)))


# ---------------------------------------------------------------------------------------------------------------------
# Nets
# ---------------------------------------------------------------------------------------------------------------------


def alexnet(w, groups=2):
    return seq(
        nn.Conv2d(1, w, 5, padding=2), F.relu, lrn, pool(),
        nn.Conv2d(w, 2 * w, 5, padding=2, groups=groups), F.relu, lrn, pool(),
        conv_act(2 * w, 4 * w, 3, padding=1),
        conv_act(4 * w, 4 * w, 3, padding=1, groups=groups),
        conv_act(4 * w, 2 * w, 3, padding=1, groups=groups), pool(),
        nn.Flatten(),
        nn.Linear(8 * w, 16 * w), F.relu, nn.Linear(16 * w, 16 * w), F.relu, nn.Linear(16 * w, CLASSES),
    )  # fmt: skip


def vgg(w, norm, layers=(1, 1, 2, 2)):
    parts, channels = [], 1
    for group, n in enumerate(layers):
        for _ in range(n):
            parts.append(nn.Conv2d(channels, w << group, 3, padding=1))
            channels = w << group
            parts += ([nn.BatchNorm2d(channels)] if norm else []) + [F.relu]
        parts.append(pool(2))
    wide = 16 * w
    return seq(
        *parts, nn.Flatten(),
        nn.Linear(8 * w, wide), F.relu, nn.Linear(wide, wide), F.relu, nn.Linear(wide, CLASSES),
    )  # fmt: skip


def nin(w):
    def mlpconv(i, o, kernel, hidden, out, padding):
        return seq(
            conv_act(i, o, kernel, padding=padding), conv_act(o, hidden, 1), conv_act(hidden, out, 1)
        )

    return seq(
        mlpconv(1, w, 5, w, w, 2), pool(ceil=True),
        mlpconv(w, 2 * w, 5, 2 * w, 2 * w, 2),
        lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True),
        mlpconv(2 * w, 4 * w, 3, 4 * w, CLASSES, 1), mean,
    )  # fmt: skip


def maxout_net(w):
    def conv(i, o, kernel, padding):
        return Max(*(nn.Conv2d(i, o, kernel, padding=padding) for _ in range(2)))

    return seq(
        conv(1, w, 5, 2), pool(padding=1), conv(w, 2 * w, 5, 2), pool(padding=1),
        conv(2 * w, 2 * w, 3, 1), pool(padding=1), nn.Flatten(),
        Max(*(nn.Linear(32 * w, 4 * w) for _ in range(4))), nn.Linear(4 * w, CLASSES),
    )  # fmt: skip


def maxout_runs(w):
    return seq(
        nn.Conv2d(1, 2 * w, 5, padding=2), maxout(2), pool(2),
        nn.Conv2d(w, 4 * w, 5, padding=2), maxout(2), pool(2),
        nn.Flatten(), nn.Linear(98 * w, 16 * w), maxout(4), nn.Linear(4 * w, CLASSES),
    )  # fmt: skip


class GoogLeNet(nn.Module):
    MODULES = [
        (64, 96, 128, 16, 32, 32),
        (128, 128, 192, 32, 96, 64),
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
        (256, 160, 320, 32, 128, 128),
        (384, 192, 384, 48, 128, 128),
    ]

    def __init__(self, part):
        super().__init__()

        def kept(channels):
            return max(1, math.floor(channels * part))

        self.stem = conv_act(1, kept(192), 3, padding=1)
        channels, parts = kept(192), []
        for index, row in enumerate(self.MODULES):
            b1, r3, b3, r5, b5, proj = map(kept, row)
            parts.append(
                Concat(
                    conv_act(channels, b1, 1),
                    seq(conv_act(channels, r3, 1), conv_act(r3, b3, 3, padding=1)),
                    seq(conv_act(channels, r5, 1), conv_act(r5, b5, 5, padding=2)),
                    seq(pool(3, 1, 1), conv_act(channels, proj, 1)),
                )
            )
            channels = b1 + b3 + b5 + proj
            # Behind 4a and 4d.
            if index in (2, 5):
                squeezed, wide = kept(128), kept(1024)
                parts.append(
                    seq(
                        lambda x: F.avg_pool2d(x, 5, 3),
                        conv_act(channels, squeezed, 1),
                        nn.Flatten(),
                        nn.Linear(squeezed, wide),
                        F.relu,
                        nn.Linear(wide, CLASSES),
                    )
                )
        self.parts = nn.ModuleList(parts)
        self.dense = nn.Linear(channels, CLASSES)

    def forward(self, x):
        x = pool(ceil=True)(self.stem(x))
        heads = []
        for index, part in enumerate(self.parts):
            if index in (3, 7):
                heads.append(part(x))
                continue
            # In front of 4a and 5a.
            x = pool(ceil=True)(x) if index in (2, 9) else x
            x = part(x)
        self.heads = heads
        return self.dense(mean(x))


def inception_v3(part):
    def conv(i, o, kernel, stride=1, same=True):
        high, wide = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        padding = (high // 2, wide // 2) if same else 0
        return conv_norm_act(i, o, (high, wide), stride=stride, padding=padding, eps=1e-3)

    def c(channels):
        return int(channels * part)

    def average(x):
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def chain(channels, *rows):
        parts = []
        for row in rows:
            parts.append(conv(channels, *row))
            channels = row[0]
        return seq(*parts)

    parts, channels = [conv(1, c(192), 3), pool()], c(192)
    for proj in (32, 64, 64):
        parts.append(
            Concat(
                conv(channels, c(64), 1),
                chain(channels, (c(48), 1), (c(64), 5)),
                chain(channels, (c(64), 1), (c(96), 3), (c(96), 3)),
                seq(average, conv(channels, c(proj), 1)),
            )
        )
        channels = c(64 + 64 + 96 + proj)
    parts.append(
        Concat(
            conv(channels, c(384), 3, 2, False),
            seq(chain(channels, (c(64), 1), (c(96), 3)), conv(c(96), c(96), 3, 2, False)),
            Fn(pool()),
        )
    )
    channels += c(384 + 96)
    for width in (128, 160, 160, 192):
        w, o = c(width), c(192)
        parts.append(
            Concat(
                conv(channels, o, 1),
                chain(channels, (w, 1), (w, (1, 7)), (o, (7, 1))),
                chain(channels, (w, 1), (w, (7, 1)), (w, (1, 7)), (w, (7, 1)), (o, (1, 7))),
                seq(average, conv(channels, o, 1)),
            )
        )
        channels = 4 * o
    o = c(192)
    parts.append(
        Concat(
            seq(conv(channels, o, 1), conv(o, c(320), 3, 2, False)),
            seq(chain(channels, (o, 1), (o, (1, 7)), (o, (7, 1))), conv(o, o, 3, 2, False)),
            Fn(pool()),
        )
    )
    channels += c(320 + 192)
    for _ in range(2):
        fork = lambda: Concat(conv(c(384), c(384), (1, 3)), conv(c(384), c(384), (3, 1)))  # noqa: E731
        parts.append(
            Concat(
                conv(channels, c(320), 1),
                seq(conv(channels, c(384), 1), fork()),
                seq(chain(channels, (c(448), 1), (c(384), 3)), fork()),
                seq(average, conv(channels, o, 1)),
            )
        )
        channels = c(320 + 4 * 384 + 192)
    return seq(*parts, mean, nn.Linear(channels, CLASSES))


def shortcut(i, o, stride):
    return conv_norm(i, o, 1, stride=stride) if stride != 1 or i != o else nn.Identity()


def padded_shortcut(i, o, stride):
    return Fn(lambda x: F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, o - i)))


def residual(main, side):
    return seq(Add(seq(*main), side), F.relu)


def basic(i, width, stride, gate=None, side=shortcut):
    main = [conv_norm_act(i, width, 3, stride=stride, padding=1), conv_norm(width, width, 3, padding=1)]
    return residual(main + ([gate(width)] if gate else []), side(i, width, stride)), width


def bottleneck(i, width, stride, gate=None, late=False, groups=1, factor=4):
    """The stride stands in the first convolution, or with `late` in the second."""
    o = factor * width
    first, second = (1, stride) if late else (stride, 1)
    main = [
        conv_norm_act(i, width, 1, stride=first),
        conv_norm_act(width, width, 3, stride=second, padding=1, groups=groups),
        conv_norm(width, o, 1),
    ]
    return residual(main + ([gate(o)] if gate else []), shortcut(i, o, stride)), o


def resnet(unit, first, widths, stem=None, layers=(1, 1, 1, 1)):
    stem = stem or conv_norm_act(1, first, 3, stride=2, padding=1)
    parts, channels = [stem], first
    for stage, (n, width) in enumerate(zip(layers, widths)):
        for index in range(n):
            part, channels = unit(channels, width, 2 if stage > 0 and index == 0 else 1)
            parts.append(part)
    return seq(*parts, mean, nn.Linear(channels, CLASSES))


def widths(first):
    return [first << stage for stage in range(4)]


def resnet_cifar(first):
    unit = lambda i, width, stride: basic(i, width, stride, side=padded_shortcut)  # noqa: E731
    stem = conv_norm_act(1, first, 3, padding=1)
    return resnet(unit, first, widths(first)[:3], stem, (1, 1, 1))


def dense_layer(i, growth, narrow):
    inner = [i, 4 * growth, growth] if narrow else [i, growth]
    parts = []
    for index, (a, b) in enumerate(zip(inner, inner[1:])):
        kernel = 1 if narrow and index == 0 else 3
        parts += [nn.BatchNorm2d(a), F.relu, nn.Conv2d(a, b, kernel, padding=kernel // 2, bias=False)]
    return Concat(nn.Identity(), seq(*parts))


def densenet(start, channels, layers, growth, narrow=True, compression=0.5):
    parts = [start]
    for index, n in enumerate(layers):
        for _ in range(n):
            parts.append(dense_layer(channels, growth, narrow))
            channels += growth
        parts += [nn.BatchNorm2d(channels), F.relu]
        if index < len(layers) - 1:
            kept = math.floor(channels * compression)
            parts += [nn.Conv2d(channels, kept, 1, bias=False), lambda x: F.avg_pool2d(x, 2)]
            channels = kept
    return seq(*parts, mean, nn.Linear(channels, CLASSES))


def depthwise(channels, kernel, stride, act, eps=1e-5):
    conv = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
    return seq(conv, nn.BatchNorm2d(channels, eps=eps), act)


def mobilenet(width):
    c = lambda channels: int(channels * width)  # noqa: E731
    rows = [(64, 1)]
    for n, channels in [(1, 128), (1, 256), (5, 512), (1, 1024)]:
        rows += [(channels, 2)] + [(channels, 1)] * n
    parts, i = [conv_norm_act(1, c(32), 3, padding=1)], c(32)
    for channels, stride in rows:
        parts += [depthwise(i, 3, stride, F.relu), conv_norm_act(i, c(channels), 1)]
        i = c(channels)
    return seq(*parts, mean, nn.Linear(i, CLASSES))


def mobilenet_v2(width):
    c = lambda channels: int(channels * width)  # noqa: E731
    parts, i = [conv_norm_act(1, c(32), 3, act=F.relu6, padding=1)], c(32)
    for expand, channels, n, first in [
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ]:  # fmt: skip
        for index in range(n):
            stride, o, inner = first if index == 0 else 1, c(channels), expand * i
            body = seq(
                *([conv_norm_act(i, inner, 1, act=F.relu6)] if expand != 1 else []),
                depthwise(inner, 3, stride, F.relu6), conv_norm(inner, o, 1),
            )  # fmt: skip
            parts.append(Add(nn.Identity(), body) if stride == 1 and i == o else body)
            i = o
    return seq(*parts, conv_norm_act(i, c(1280), 1, act=F.relu6), mean, nn.Linear(c(1280), CLASSES))


def xception(w, middle=2):
    def separable(i, o):
        conv = nn.Conv2d(i, i, 3, padding=1, groups=i, bias=False)
        return seq(conv, conv_norm(i, o, 1, eps=1e-3))

    def reduce(i, inner, o, first=True):
        main = [
            separable(i, inner), F.relu, separable(inner, o),
            Same(Fn(pool()), 3, 2, value=-math.inf),
        ]  # fmt: skip
        return Add(seq(*([F.relu] if first else []), *main), conv_norm(i, o, 1, stride=2, eps=1e-3))

    def unit(i):
        return Add(nn.Identity(), seq(*(part for _ in range(3) for part in (F.relu, separable(i, i)))))

    return seq(
        conv_norm_act(1, w, 3, eps=1e-3), reduce(w, 2 * w, 2 * w, first=False),
        reduce(2 * w, 4 * w, 4 * w), *(unit(4 * w) for _ in range(middle)),
        reduce(4 * w, 4 * w, 8 * w),
        separable(8 * w, 12 * w), F.relu, separable(12 * w, 16 * w), F.relu, mean, nn.Linear(16 * w, CLASSES),
    )  # fmt: skip


def squeezenet(w):
    def fire(i, squeezed, expanded):
        wide = Concat(conv_act(squeezed, expanded, 1), conv_act(squeezed, expanded, 3, padding=1))
        return seq(conv_act(i, squeezed, 1), wide)

    return seq(
        conv_act(1, 4 * w, 3, stride=2, padding=1), fire(4 * w, w, 4 * w), fire(8 * w, w, 4 * w),
        pool(ceil=True), fire(8 * w, 2 * w, 8 * w), fire(16 * w, 2 * w, 8 * w),
        fire(16 * w, 3 * w, 12 * w), fire(24 * w, 3 * w, 12 * w), conv_act(24 * w, CLASSES, 1), mean,
    )  # fmt: skip


def efficientnet(width, depth):
    def c(channels):
        scaled = channels * width
        rounded = max(8, math.floor((scaled + 4) / 8) * 8)
        return rounded + 8 if rounded < 0.9 * scaled else rounded

    start = conv_norm(1, c(32), 3, eps=1e-3)
    parts, i = [Same(start, 3, 1), F.silu], c(32)
    for expand, kernel, first, channels, n in [
        (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    ]:  # fmt: skip
        for index in range(math.ceil(n * depth)):
            stride, o, inner = first if index == 0 else 1, c(channels), expand * i
            conv = nn.Conv2d(inner, inner, kernel, stride, groups=inner, bias=False)
            body = seq(
                *([conv_norm_act(i, inner, 1, act=F.silu, eps=1e-3)] if expand != 1 else []),
                Same(conv, kernel, stride), nn.BatchNorm2d(inner, eps=1e-3), F.silu,
                SqueezeExcite(inner, max(1, i // 4), F.silu), conv_norm(inner, o, 1, eps=1e-3),
            )  # fmt: skip
            parts.append(Add(nn.Identity(), body) if stride == 1 and i == o else body)
            i = o
    head = conv_norm_act(i, c(1280), 1, act=F.silu, eps=1e-3)
    return seq(*parts, head, mean, nn.Linear(c(1280), CLASSES))


class SomeMaps(nn.Module):
    """The third layer of LeNet-5: each map sees some of those before (table 1)."""

    TABLE = [
        [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5], [0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5],
        [0, 3, 4, 5], [0, 1, 4, 5], [0, 1, 2, 5], [0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5], [0, 1, 2, 3, 4, 5],
    ]  # fmt: skip

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(len(maps), 1, 5) for maps in self.TABLE)

    def forward(self, x):
        return torch.cat([conv(x[:, maps]) for conv, maps in zip(self.convs, self.TABLE)], dim=1)


def lenet5():
    average = lambda x: F.avg_pool2d(x, 2)  # noqa: E731
    return seq(
        lambda x: F.pad(x, (2, 2, 2, 2)),
        nn.Conv2d(1, 6, 5), torch.tanh, average, Scale(6), torch.tanh,
        SomeMaps(), torch.tanh, average, Scale(16), torch.tanh,
        nn.Conv2d(16, 120, 5), torch.tanh, nn.Flatten(),
        nn.Linear(120, 84), torch.tanh, nn.Linear(84, CLASSES),
    )  # fmt: skip


def gated(make):
    return lambda i, width, stride: basic(i, width, stride, gate=make)


# File, net of `examples/`, arguments, height and width of the picture, the same net here.
CASES = [
    ("alexnet", "alexnet.net:Fashion", "width=4 rate=0", 28, lambda: alexnet(4)),
    ("vgg", "vgg.net:FashionPlain", "width=2 rate=0", 28, lambda: vgg(2, False)),
    ("vgg_norm", "vgg.net:Fashion", "width=2 rate=0", 28, lambda: vgg(2, True)),
    ("nin", "nin.net:Fashion", "width=4 rate=0", 28, lambda: nin(4)),
    ("maxout", "maxout.net:Fashion", "width=3 rates=[0,0]", 28, lambda: maxout_net(3)),
    ("maxout_runs", "maxout.net:FashionRuns", "width=2 rate=0", 28, lambda: maxout_runs(2)),
    ("googlenet", "googlenet.net:Fashion", "part=1/32 side=20 rate=0", 20, lambda: GoogLeNet(1 / 32)),
    ("inception_v3", "inception_v3.net:Fashion", "part=1/16 side=36", 36, lambda: inception_v3(1 / 16)),
    ("resnet_basic", "resnet.net:Fashion", "first=3", 28, lambda: resnet(basic, 3, widths(3))),
    ("resnet_bottleneck", "resnet.net:FashionBottleneck", "first=2", 28, lambda: resnet(bottleneck, 2, widths(2))),
    (
        "resnet_bottleneck_v15", "resnet.net:FashionBottleneck", "first=2 unit=bottleneck_v15", 28,
        lambda: resnet(lambda *a: bottleneck(*a, late=True), 2, widths(2)),
    ),
    ("resnet_padded", "resnet_cifar.net:Fashion", "first=4", 28, lambda: resnet_cifar(4)),
    (
        "resnext", "resnet.net:FashionNeXt", "first=2 groups=2", 28,
        lambda: resnet(lambda *a: bottleneck(*a, late=True, groups=2, factor=2), 2, widths(4)),
    ),
    (
        "densenet", "densenet_cifar.net:FashionPlain", "growth=4 image=[1,12,12]", 12,
        lambda: densenet(nn.Conv2d(1, 16, 3, padding=1, bias=False), 16, [2, 2, 2], 4, False, 1),
    ),
    (
        "densenet_bc", "densenet.net:Fashion", "growth=4", 28,
        lambda: densenet(conv_norm_act(1, 8, 3, stride=2, padding=1), 8, [2, 2, 3, 3], 4),
    ),
    ("mobilenet", "mobilenet.net:Fashion", "width=0.0625", 28, lambda: mobilenet(0.0625)),
    ("mobilenet_v2", "mobilenet.net:FashionV2", "width=0.125 rate=0", 28, lambda: mobilenet_v2(0.125)),
    ("xception", "xception.net:Fashion", "width=3", 28, lambda: xception(3)),
    (
        "se_resnet", "se_resnet.net:Fashion", "first=3 gate=se(2)", 28,
        lambda: resnet(gated(lambda c: SqueezeExcite(c, 2)), 16, widths(3), conv_norm_act(1, 16, 3, stride=2, padding=1)),
    ),
    (
        "se_resnet_softmax", "se_resnet.net:FashionSoftmax", "first=3", 28,
        lambda: resnet(gated(SoftmaxGate), 16, widths(3), conv_norm_act(1, 16, 3, stride=2, padding=1)),
    ),
    (
        "cbam_resnet", "cbam_resnet.net:Fashion", "first=2 gate=cbam(1)", 28,
        lambda: resnet(gated(lambda c: Cbam(c, 1)), 2, widths(2)),
    ),
    ("squeezenet", "squeezenet.net:Fashion", "width=2 rate=0", 28, lambda: squeezenet(2)),
    ("efficientnet", "efficientnet.net:Fashion", "width=0.05 rate=0", 28, lambda: efficientnet(0.05, 0.5)),
    ("lenet5_1998", "lenet5_1998.net:Fashion", "", 28, lenet5),
]  # fmt: skip


def make(name, net, arguments, side, network):
    model = network()
    tensors = fill(model)
    x = 2 * numbers(1_000_000, BATCH * side * side) - 1
    x = torch.from_numpy(x.astype(np.float32)).reshape(BATCH, 1, side, side)
    t = torch.arange(BATCH) * 3 % CLASSES

    model.double()
    x = x.double().requires_grad_()
    kept = {}
    model.eval()
    kept["y_eval"] = model(x)
    model.train()
    y = model(x)
    heads = getattr(model, "heads", [])
    loss = F.cross_entropy(y, t) + 0.3 * sum(F.cross_entropy(head, t) for head in heads)
    loss.backward()
    kept |= {"y": y, "loss": loss, "dx": x.grad}
    # Conversion to f64 has made new tensors, in the old order.
    for index, (tensor, statistic) in enumerate(ordered(model)):
        kept[f"statistic.{index}" if statistic else f"gradient.{index}"] = tensor if statistic else tensor.grad
    assert len(tensors) == index + 1
    kept = {key: tensor.detach().float().contiguous() for key, tensor in kept.items()}
    path = HERE / f"{name}.safetensors"
    save_file(kept, path, {"net": net, "arguments": arguments})
    print(f"{name}: loss {loss.item():.6f}, {path.stat().st_size} bytes")


def ordered(model):
    for module in model.modules():
        own = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
        for name in ["weight", "bias", "running_mean", "running_var"]:
            if own.get(name) is not None:
                yield own[name], name.startswith("running")


def main():
    torch.use_deterministic_algorithms(True)
    HERE.mkdir(exist_ok=True)
    for case in CASES:
        make(*case)


if __name__ == "__main__":
    main()
