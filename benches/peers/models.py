"""The nets of `nets.net` in PyTorch, with random weights; nothing is downloaded.

    python models.py                                      multiply-accumulates and parameters of each
    python models.py --orders condensenet_index.net       writes the orders of CondenseNet's channels for netc

`MODELS[name] = (factory, input_shape_without_batch, classes, infer_batches, train_batch)`

Torchvision supplies VGG-16, ResNet-18/50, DenseNet-121, MobileNetV2 and EfficientNet-B0. The rest is written here, after
the papers.
"""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class LRN(nn.Module):
    """AlexNet / GoogLeNet local response normalisation across channels."""

    def __init__(self, size=5, alpha=1e-4, beta=0.75, k=1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x):
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)


def cbr(i, o, k, s=1, p=None, g=1, relu=True, bn=True):
    p = (k - 1) // 2 if p is None else p
    m = [nn.Conv2d(i, o, k, s, p, groups=g, bias=not bn)]
    if bn:
        m.append(nn.BatchNorm2d(o))
    if relu:
        m.append(nn.ReLU(inplace=True))
    return nn.Sequential(*m)


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
                         nn.Linear(512, 10))


def lenet5():
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
                         nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
                         nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))


def alexnet():
    """Krizhevsky 2012 as one column, groups=2 where the two GPUs were split."""
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4), nn.ReLU(True), LRN(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(True), LRN(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(True),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(True),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(True), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Linear(9216, 4096), nn.ReLU(True), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(),
        nn.Linear(4096, 1000))


def nin():
    def blk(i, o, k, s, p):
        return [nn.Conv2d(i, o, k, s, p), nn.ReLU(True), nn.Conv2d(o, o, 1), nn.ReLU(True)]
    return nn.Sequential(
        *blk(3, 96, 11, 4, 0), nn.Conv2d(96, 96, 1), nn.ReLU(True), nn.MaxPool2d(3, 2),
        *blk(96, 256, 5, 1, 2), nn.Conv2d(256, 256, 1), nn.ReLU(True), nn.MaxPool2d(3, 2),
        *blk(256, 384, 3, 1, 1), nn.Conv2d(384, 384, 1), nn.ReLU(True), nn.MaxPool2d(3, 2), nn.Dropout(),
        *blk(384, 1024, 3, 1, 1), nn.Conv2d(1024, 1000, 1), nn.ReLU(True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Inception(nn.Module):
    def __init__(self, i, c1, c3r, c3, c5r, c5, pp):
        super().__init__()
        self.a = cbr(i, c1, 1, bn=False)
        self.b = nn.Sequential(cbr(i, c3r, 1, bn=False), cbr(c3r, c3, 3, bn=False))
        self.c = nn.Sequential(cbr(i, c5r, 1, bn=False), cbr(c5r, c5, 5, bn=False))
        self.d = nn.Sequential(nn.MaxPool2d(3, 1, 1), cbr(i, pp, 1, bn=False))

    def forward(self, x):
        return torch.cat([self.a(x), self.b(x), self.c(x), self.d(x)], 1)


def googlenet():
    """Szegedy 2014: LRN, real 5x5 branch, no batch norm; main head only."""
    P = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(
        cbr(3, 64, 7, 2, bn=False), P(), LRN(), cbr(64, 64, 1, bn=False), cbr(64, 192, 3, bn=False), LRN(), P(),
        Inception(192, 64, 96, 128, 16, 32, 32), Inception(256, 128, 128, 192, 32, 96, 64), P(),
        Inception(480, 192, 96, 208, 16, 48, 64), Inception(512, 160, 112, 224, 24, 64, 64),
        Inception(512, 128, 128, 256, 24, 64, 64), Inception(512, 112, 144, 288, 32, 64, 64),
        Inception(528, 256, 160, 320, 32, 128, 128), P(),
        Inception(832, 256, 160, 320, 32, 128, 128), Inception(832, 384, 192, 384, 48, 128, 128),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4), nn.Linear(1024, 1000))


def mobilenet_v1():
    def dw(i, o, s):
        return [cbr(i, i, 3, s, g=i), cbr(i, o, 1)]
    return nn.Sequential(
        cbr(3, 32, 3, 2), *dw(32, 64, 1), *dw(64, 128, 2), *dw(128, 128, 1), *dw(128, 256, 2), *dw(256, 256, 1),
        *dw(256, 512, 2), *[m for _ in range(5) for m in dw(512, 512, 1)], *dw(512, 1024, 2), *dw(1024, 1024, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000))


def sep(i, o, p=1):
    return nn.Sequential(nn.Conv2d(i, i, 3, 1, p, groups=i, bias=False), nn.Conv2d(i, o, 1, bias=False),
                         nn.BatchNorm2d(o))


class XBlock(nn.Module):
    def __init__(self, i, o, reps, stride, first_relu=True, grow_first=True):
        super().__init__()
        m, c = [], i
        for r in range(reps):
            n = o if (grow_first or r == reps - 1) else i
            if r or first_relu:
                m.append(nn.ReLU(inplace=False))
            m.append(sep(c, n))
            c = n
        if stride != 1:
            m.append(nn.MaxPool2d(3, stride, 1))
        self.rep = nn.Sequential(*m)
        self.skip = cbr(i, o, 1, stride, relu=False) if (i != o or stride != 1) else nn.Identity()

    def forward(self, x):
        return self.rep(x) + self.skip(x)


def xception():
    return nn.Sequential(
        cbr(3, 32, 3, 2, 0), cbr(32, 64, 3, 1, 0),
        XBlock(64, 128, 2, 2, False), XBlock(128, 256, 2, 2), XBlock(256, 728, 2, 2),
        *[XBlock(728, 728, 3, 1) for _ in range(8)], XBlock(728, 1024, 2, 2, True, False),
        sep(1024, 1536), nn.ReLU(True), sep(1536, 2048), nn.ReLU(True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


class SE(nn.Module):
    def __init__(self, c, r=16):
        super().__init__()
        self.f1, self.f2 = nn.Linear(c, c // r), nn.Linear(c // r, c)

    def forward(self, x):
        s = x.mean((2, 3))
        return x * torch.sigmoid(self.f2(F.relu(self.f1(s))))[:, :, None, None]


class CBAM(nn.Module):
    def __init__(self, c, r=16):
        super().__init__()
        self.f1, self.f2 = nn.Linear(c, c // r), nn.Linear(c // r, c)
        self.sp = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1)

    def forward(self, x):
        m = lambda t: self.f2(F.relu(self.f1(t)))
        x = x * torch.sigmoid(m(x.mean((2, 3))) + m(x.amax((2, 3))))[:, :, None, None]
        s = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.bn(self.sp(s)))


class ResBlock(nn.Module):
    def __init__(self, i, w, s, bottleneck, att):
        super().__init__()
        o = w * 4 if bottleneck else w
        if bottleneck:
            self.body = nn.Sequential(cbr(i, w, 1), cbr(w, w, 3, s), cbr(w, o, 1, relu=False), att(o))
        else:
            self.body = nn.Sequential(cbr(i, w, 3, s), cbr(w, w, 3, relu=False), att(o))
        self.skip = cbr(i, o, 1, s, relu=False) if (s != 1 or i != o) else nn.Identity()
        self.out = o

    def forward(self, x):
        return F.relu(self.body(x) + self.skip(x))


def resnet(layers, bottleneck, att=lambda c: nn.Identity(), cifar=False, classes=1000):
    m = [cbr(3, 64, 3)] if cifar else [cbr(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    c = 64
    for k, n in enumerate(layers):
        for b in range(n):
            blk = ResBlock(c, 64 << k, 2 if (b == 0 and k) else 1, bottleneck, att)
            c = blk.out
            m.append(blk)
    return nn.Sequential(*m, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, classes))


def channel_order(channels):
    """Which channel a CondenseNet layer sees where: in a trained net what pruning has kept, here drawn by a fixed seed."""
    return torch.randperm(channels, generator=torch.Generator().manual_seed(channels))


CONDENSE_STAGES = ((4, 8), (6, 16), (8, 32), (10, 64), (8, 128))


class CondenseLayer(nn.Module):
    """Test-time CondenseNet layer: index, BN, ReLU, 1x1 group conv, shuffle, BN, ReLU, 3x3 group conv."""

    def __init__(self, i, growth, g=4):
        super().__init__()
        b = 4 * growth
        self.g = g
        self.register_buffer("index", channel_order(i))
        self.bn1, self.c1 = nn.BatchNorm2d(i), nn.Conv2d(i, b, 1, groups=g, bias=False)
        self.bn2, self.c2 = nn.BatchNorm2d(b), nn.Conv2d(b, growth, 3, padding=1, groups=g, bias=False)

    def forward(self, x):
        y = self.c1(F.relu(self.bn1(torch.index_select(x, 1, self.index))))
        n, c, h, w = y.shape
        y = y.view(n, self.g, c // self.g, h, w).transpose(1, 2).reshape(n, c, h, w)
        return torch.cat([x, self.c2(F.relu(self.bn2(y)))], 1)


def condensenet():
    """CondenseNet-74 (C=G=4): stages 4-6-8-10-8, growth 8-16-32-64-128, pruned (test-time) form."""
    c, m = 16, [nn.Conv2d(3, 16, 3, 2, 1, bias=False)]
    for k, (n, g) in enumerate(CONDENSE_STAGES):
        for _ in range(n):
            m.append(CondenseLayer(c, g))
            c += g
        m.append(nn.AvgPool2d(2) if k < 4 else nn.Sequential(nn.BatchNorm2d(c), nn.ReLU(True)))
    return nn.Sequential(*m, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 1000))


def tv(name, **kw):
    def f():
        import torchvision.models as M
        return getattr(M, name)(weights=None, **kw)
    return f


I224 = (3, 224, 224)
MODELS = {
    "mlp": (mlp, (1, 28, 28), 10, (1, 128), 128),
    "lenet5": (lenet5, (1, 28, 28), 10, (1, 64), 64),
    "alexnet": (alexnet, (3, 227, 227), 1000, (1, 8), 8),
    "nin": (nin, I224, 1000, (1, 8), 8),
    "vgg16": (tv("vgg16"), I224, 1000, (1, 8), 8),
    "googlenet": (googlenet, I224, 1000, (1, 8), 8),
    "resnet18": (tv("resnet18"), I224, 1000, (1, 8), 8),
    "resnet50": (tv("resnet50"), I224, 1000, (1, 8), 8),
    "resnet18_cifar": (lambda: resnet((2, 2, 2, 2), False, cifar=True, classes=10), (3, 32, 32), 10, (1, 64), 64),
    "densenet121": (tv("densenet121"), I224, 1000, (1, 8), 8),
    "mobilenet_v1": (mobilenet_v1, I224, 1000, (1, 8), 8),
    "mobilenet_v2": (tv("mobilenet_v2"), I224, 1000, (1, 8), 8),
    "xception": (xception, (3, 299, 299), 1000, (1, 8), 8),
    "se_resnet50": (lambda: resnet((3, 4, 6, 3), True, SE), I224, 1000, (1, 8), 8),
    "condensenet74": (condensenet, I224, 1000, (1, 8), 8),
    "efficientnet_b0": (tv("efficientnet_b0"), I224, 1000, (1, 8), 8),
    "cbam_resnet18": (lambda: resnet((2, 2, 2, 2), False, CBAM), I224, 1000, (1, 8), 8),
}


def macs(model, shape):
    """Multiply-accumulates of the conv and linear layers for one image."""
    total, hooks = [0], []

    def conv(m, i, o):
        total[0] += o[0].numel() * m.weight[0].numel()

    def lin(m, i, o):
        total[0] += o[0].numel() * m.in_features
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            hooks.append(m.register_forward_hook(conv))
        elif isinstance(m, nn.Linear):
            hooks.append(m.register_forward_hook(lin))
    was = model.training
    model.eval()
    with torch.no_grad():
        model(torch.zeros(1, *shape))
    model.train(was)
    for h in hooks:
        h.remove()
    return total[0]


def write_orders(path):
    """Writes a `.net` file with the channel orders of CondenseNet, stage by stage."""
    channels, stages = 16, []
    for layers, growth in CONDENSE_STAGES:
        orders = []
        for _ in range(layers):
            orders.append(str(channel_order(channels).tolist()))
            channels += growth
        stages.append("[" + ",\n".join(orders) + "]")
    with open(path, "w") as f:
        f.write("// Written by `models.py --orders` and laid out by `netc fmt`.\n\n")
        f.write("/// For each stage, for each of its layers: which channel stands where in front of its first convolution.\n")
        f.write("fn condensenet_orders() {\n[" + ",\n".join(stages) + "]\n}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--orders", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.orders:
        return write_orders(arguments.orders)
    for name, (factory, shape, *_) in MODELS.items():
        model = factory()
        parameters = sum(p.numel() for p in model.parameters())
        print(f"{name:16s} {macs(model, shape):14,d} multiply-accumulates {parameters:12,d} parameters")


if __name__ == "__main__":
    main()
