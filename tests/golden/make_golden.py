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


def main():
    torch.use_deterministic_algorithms(True)
    for case in CASES:
        make(*case)
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
