"""Writes the reference values of the golden tests with PyTorch.

    python make_golden.py

For every case there is a network `<case>.net`, and this script holds the same network in PyTorch. It
writes a folder `<case>/`; README.md says what is in it. Only this script needs PyTorch, the tests read
the files.

Weights and inputs are f32 numbers. The network is computed in f64 from them, and the results are
rounded to f32 at the end, so a test's tolerance has to cover the error of the compiled program only.
"""

import json
import platform
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).parent
BATCH = 5


class LeNet5(nn.Module):
    """The modules are named as netc names the weights, here and below."""

    def __init__(self, activation, pool):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.dense1 = nn.Linear(400, 120)
        self.dense2 = nn.Linear(120, 84)
        self.dense3 = nn.Linear(84, 10)
        self.activation, self.pool = activation, pool

    def forward(self, x):
        x = self.pool(self.activation(self.conv1(x)), 2)
        x = self.pool(self.activation(self.conv2(x)), 2)
        x = self.activation(self.dense1(x.flatten(1)))
        x = self.activation(self.dense2(x))
        return self.dense3(x)


class Xor(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense1 = nn.Linear(2, 8)
        self.dense2 = nn.Linear(8, 1)

    def forward(self, x):
        return torch.sigmoid(self.dense2(torch.tanh(self.dense1(x))))


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(12, 12, 3, padding=2, dilation=2)
        self.conv4 = nn.Conv2d(12, 12, 3, padding=1, groups=3, bias=False)
        self.bn2 = nn.BatchNorm2d(12)
        self.conv5 = nn.Conv2d(12, 5, 1)
        self.conv6 = nn.Conv2d(12, 6, 3, padding=1)
        self.dense1 = nn.Linear(11, 7)

    def forward(self, x):
        # PyTorch pads the last axis first: left, right, top, bottom.
        x = F.relu(self.bn1(self.conv1(F.pad(x, (2, 3, 0, 1)))))
        x = F.max_pool2d(F.relu(self.conv2(x)), 3, stride=1, padding=1)
        trunk = F.relu(self.conv3(x))
        x = F.relu(self.bn2(self.conv4(trunk)) + trunk)
        x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        x = torch.cat([F.relu(self.conv5(x)), F.relu(self.conv6(x))], dim=1)
        return self.dense1(x.mean(dim=(2, 3)))


class Scale(nn.Module):
    """A factor and a shift a channel."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels).uniform_(0.5, 1.5))
        self.bias = nn.Parameter(torch.empty(channels).normal_(std=0.2))

    def forward(self, x):
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class SpatialAttention(nn.Module):
    def __init__(self, kernel):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 1, kernel, padding="same", bias=False)

    def forward(self, x):
        parts = [x.mean(dim=1, keepdim=True), x.max(dim=1, keepdim=True).values]
        return x * torch.sigmoid(self.conv1(torch.cat(parts, dim=1)))


class Moves(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(6, 12, 3, padding=1)
        self.scale1 = Scale(12)
        self.spatial_attention1 = SpatialAttention(3)
        self.dense1 = nn.Linear(24, 5)

    def forward(self, x):
        x = F.relu(self.scale1(self.conv1(x)))
        x = F.local_response_norm(x, 5, alpha=0.5, beta=0.75, k=1)
        trunk = F.channel_shuffle(x, 3)
        x = trunk.unflatten(1, (6, 2)).max(dim=2).values
        x = F.pad(x, (0, 2, 1, 0), value=0.5)
        # PyTorch divides alpha by the window.
        x = F.local_response_norm(x, 4, alpha=4 * 0.1, beta=0.5, k=2)
        cut = x[:, :, 1:9, 0:7]
        turned = trunk[:, [11, 0, 0, 5, 7, 2]].transpose(2, 3).log_softmax(dim=1).transpose(2, 3)
        x = self.spatial_attention1(torch.cat([cut, turned], dim=2))
        x = x.reshape(-1, 12, 8, 7) * trunk.mean(dim=(2, 3), keepdim=True)
        peaks = x.sum(dim=3, keepdim=True).max(dim=2, keepdim=True).values
        shares = x.mean(dim=(2, 3)).softmax(dim=1)[:, :, None, None]
        return self.dense1(torch.cat([peaks, shares], dim=1).flatten(1))


def xor_samples():
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    return x, torch.tensor([[0.0], [1.0], [1.0], [0.0]])


def pictures(shape, classes):
    return lambda: (torch.randn(BATCH, *shape), torch.randint(0, classes, (BATCH,)))


# Name, seed, network, samples with targets, loss.
CASES = [
    ("lenet5_modern", 1, lambda: LeNet5(torch.relu, F.max_pool2d), pictures((1, 28, 28), 10), F.cross_entropy),
    ("lenet5_classic", 2, lambda: LeNet5(torch.tanh, F.avg_pool2d), pictures((1, 28, 28), 10), F.cross_entropy),
    ("xor", 3, Xor, xor_samples, F.mse_loss),
    ("mixed", 4, Mixed, pictures((3, 17, 15), 7), F.cross_entropy),
    ("moves", 5, Moves, pictures((6, 8, 7), 5), F.cross_entropy),
]


def vary_batch_norms(model):
    """Gives batch norms other values than 1 and 0, so that a mix-up of their tensors shows."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)


def tensors(named):
    """Detached f32 copies, without PyTorch's counters of batches."""
    return {
        name: tensor.detach().float().contiguous()
        for name, tensor in named
        if not name.endswith("num_batches_tracked")
    }


def save(folder, name, tensor):
    tensor = tensor.detach()
    if tensor.is_floating_point():
        tensor = tensor.float()
    np.save(folder / f"{name}.npy", tensor.numpy())


def make(name, seed, network, samples, loss_of):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()

    torch.manual_seed(seed)
    model = network()
    vary_batch_norms(model)
    x, t = samples()
    save_file(tensors(model.state_dict().items()), folder / "weights.safetensors")
    save(folder, "x", x)
    save(folder, "t", t)

    model.double()
    x = x.double().requires_grad_()
    if t.is_floating_point():
        t = t.double()
    statistics = [key for key in model.state_dict() if ".running_" in key]
    if statistics:
        model.eval()
        save(folder, "y_eval", model(x))
    model.train()
    y = model(x)
    loss = loss_of(y, t)
    loss.backward()
    save(folder, "y", y)
    save(folder, "loss", loss)
    save(folder, "dx", x.grad)
    gradients = [(key, parameter.grad) for key, parameter in model.named_parameters()]
    save_file(tensors(gradients), folder / "gradients.safetensors")
    if statistics:
        after = model.state_dict()
        save_file(tensors((key, after[key]) for key in statistics), folder / "statistics.safetensors")
    print(f"{name}: loss {loss.item():.6f}")


# Arguments of activations: every kink of one of them, both of its sides, and far out.
POINTS = [-1000.0, -88.75, -20.0, -7.5, -3.0, -2.5, -1.0, -0.5, -0.125, 0.0]
POINTS += [0.125, 0.5, 1.0, 2.0, 2.5, 3.0, 5.75, 6.0, 20.0, 1000.0]

# Layers as a net has them, with what PyTorch calls them.
ACTIVATIONS = [
    ("relu", F.relu),
    ("relu6", F.relu6),
    ("leaky_relu", F.leaky_relu),
    ("leaky_relu(-0.25)", lambda x: F.leaky_relu(x, -0.25)),
    ("leaky_relu(1.5)", lambda x: F.leaky_relu(x, 1.5)),
    ("elu", F.elu),
    ("elu(0.25)", lambda x: F.elu(x, 0.25)),
    ("silu", F.silu),
    ("gelu", F.gelu),
    ("gelu(approximate = tanh)", lambda x: F.gelu(x, approximate="tanh")),
    ("hard_swish", F.hardswish),
    ("hard_sigmoid", F.hardsigmoid),
    ("sigmoid", torch.sigmoid),
    ("tanh", torch.tanh),
    ("softplus", F.softplus),
    # Below PyTorch's threshold, beyond which it is x to about 2e-9.
    ("softplus(0.5)", lambda x: F.softplus(x, 0.5)),
    ("clip(-1, 2)", lambda x: F.hardtanh(x, -1.0, 2.0)),
    ("clip(0.5, 0.5)", lambda x: F.hardtanh(x, 0.5, 0.5)),
]

# Losses as a `train` section has them, with sizes of the output and what PyTorch calls them.
WEIGHTS = torch.tensor([0.5, 2.0, 0.0, 1.25], dtype=torch.float64)
LOSSES = [
    ("cross_entropy", [4], F.cross_entropy),
    ("cross_entropy(label_smoothing = 0.25)", [4], lambda y, t: F.cross_entropy(y, t, label_smoothing=0.25)),
    ("cross_entropy(label_smoothing = 1)", [4], lambda y, t: F.cross_entropy(y, t, label_smoothing=1.0)),
    (
        "cross_entropy(class_weights = [0.5, 2, 0, 1.25])",
        [4],
        lambda y, t: F.cross_entropy(y, t, weight=WEIGHTS),
    ),
    (
        "cross_entropy(class_weights = [0.5, 2, 0, 1.25], label_smoothing = 0.25)",
        [4],
        lambda y, t: F.cross_entropy(y, t, weight=WEIGHTS, label_smoothing=0.25),
    ),
    ("cross_entropy(weight = 0.5)", [4], lambda y, t: 0.5 * F.cross_entropy(y, t)),
    ("mse", [4], F.mse_loss),
    ("mse", [2, 3, 1], F.mse_loss),
    ("mae", [4], F.l1_loss),
    ("huber", [4], F.huber_loss),
    ("huber(0.25)", [4], lambda y, t: F.huber_loss(y, t, delta=0.25)),
    ("binary_cross_entropy", [4], F.binary_cross_entropy_with_logits),
    ("binary_cross_entropy", [1], F.binary_cross_entropy_with_logits),
]


def numbers(tensor):
    return tensor.detach().double().flatten().tolist()


def activation(layer, function):
    x = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
    y = function(x)
    y.sum().backward()
    return {"layer": layer, "x": POINTS, "y": numbers(y), "dx": numbers(x.grad)}


def prelu():
    """Slopes of both signs and above 1, one a channel; every point in each of the channels."""
    x = torch.tensor(POINTS, dtype=torch.float64)[:, None].repeat(1, 4).requires_grad_()
    weight = torch.tensor([0.25, -0.5, 0.0, 1.5], dtype=torch.float64, requires_grad=True)
    y = F.prelu(x, weight)
    y.sum().backward()
    return {
        "layer": "prelu",
        "x": numbers(x),
        "weight": numbers(weight),
        "y": numbers(y),
        "dx": numbers(x.grad),
        "dweight": numbers(weight.grad),
    }


def loss(text, shape, function):
    y = torch.randn(BATCH, *shape).mul(2.0).double()
    if text.startswith("cross_entropy"):
        t = torch.randint(0, shape[0], (BATCH,))
    elif text.startswith("binary"):
        t = torch.rand(BATCH, *shape).double()
        t.flatten()[:2] = torch.tensor([0.0, 1.0])
        y.flatten()[:2] = torch.tensor([-1000.0, 1000.0])
    else:
        t = torch.randn(BATCH, *shape).double()
        # The kink of the absolute error, and that of a Huber loss.
        y.flatten()[:2] = t.flatten()[:2] + torch.tensor([0.0, 0.25])
    y.requires_grad_()
    value = function(y, t)
    value.backward()
    return {
        "loss": text,
        "shape": shape,
        "y": numbers(y),
        "t": numbers(t),
        "value": value.item(),
        "dy": numbers(y.grad),
    }


def make_functions():
    """Activations and losses by themselves: `functions.json`."""
    torch.manual_seed(5)
    functions = {
        "activations": [activation(*row) for row in ACTIVATIONS] + [prelu()],
        "losses": [loss(*row) for row in LOSSES],
    }
    # A case a line.
    lists = (
        f'"{kind}": [\n' + ",\n".join(map(json.dumps, cases)) + "\n]"
        for kind, cases in functions.items()
    )
    (HERE / "functions.json").write_text("{" + ",\n".join(lists) + "}\n")


def main():
    torch.use_deterministic_algorithms(True)
    for case in CASES:
        make(*case)
    make_functions()
    versions = {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    (HERE / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
