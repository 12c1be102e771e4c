"""Writes the weights that PyTorch's optimizers give after each of five steps.

    python make_optimizers.py

The network is the one of `optimizers.net`; each case is a few lines of a `train` section beside the
PyTorch calls that mean the same. The results go to `optimizers.json`, with the samples and the first
weights. Only this script needs PyTorch, the tests read the file.

PyTorch computes in f64 from f32 samples and weights, as in make_golden.py.
"""

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

HERE = Path(__file__).parent
STEPS = 5
BATCH = 4


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense1 = nn.Linear(3, 4)
        self.dense2 = nn.Linear(4, 2)

    def forward(self, x):
        return self.dense2(torch.tanh(self.dense1(x)))


def optimizer(name, **options):
    return lambda parameters: getattr(torch.optim, name)(parameters, **options)


def weights_only(name, weight_decay, **options):
    """Decays matrices alone."""

    def make(parameters):
        parameters = list(parameters)
        groups = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
        ]
        return getattr(torch.optim, name)(groups, **options)

    return make


def l1(model):
    return 0.01 * sum(p.abs().sum() for p in model.parameters() if p.dim() > 1)


def l2(model):
    return 0.05 / 2 * sum((p * p).sum() for p in model.parameters())


def max_norm(model):
    for p in model.parameters():
        if p.dim() > 1:
            norms = p.detach().norm(dim=1, keepdim=True)
            p.data.mul_((0.6 / norms).clamp(max=1.0))


# Lines of `train`, optimizer, and what else is done: penalty, clip, after, accumulate, freeze.
CASES = [
    ("optimizer sgd(lr = 0.1)", optimizer("SGD", lr=0.1), {}),
    ("optimizer sgd(lr = 0.1, momentum = 0.9)", optimizer("SGD", lr=0.1, momentum=0.9), {}),
    (
        "optimizer sgd(lr = 0.1, momentum = 0.9, dampening = 0.3, weight_decay = 0.01)",
        optimizer("SGD", lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01),
        {},
    ),
    (
        "optimizer sgd(lr = 0.1, momentum = 0.9, nesterov = true, weight_decay = 0.01)",
        optimizer("SGD", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        {},
    ),
    (
        "optimizer sgd(lr = 0.1, weight_decay = 0.2, decay = weights)",
        weights_only("SGD", 0.2, lr=0.1),
        {},
    ),
    ("optimizer adam", optimizer("Adam"), {}),
    (
        "optimizer adam(lr = 0.05, beta1 = 0.8, beta2 = 0.95, eps = 1e-4, weight_decay = 0.1)",
        optimizer("Adam", lr=0.05, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1),
        {},
    ),
    ("optimizer adam(lr = 0.05, beta2 = 0.5, amsgrad = true)", optimizer("Adam", lr=0.05, betas=(0.9, 0.5), amsgrad=True), {}),
    ("optimizer adamw(lr = 0.05)", optimizer("AdamW", lr=0.05), {}),
    ("optimizer adamw(lr = 0.05, weight_decay = 0.5, decay = weights)", weights_only("AdamW", 0.5, lr=0.05), {}),
    ("optimizer rmsprop", optimizer("RMSprop"), {}),
    (
        "optimizer rmsprop(lr = 0.02, alpha = 0.9, eps = 1e-3, momentum = 0.5, weight_decay = 0.1)",
        optimizer("RMSprop", lr=0.02, alpha=0.9, eps=1e-3, momentum=0.5, weight_decay=0.1),
        {},
    ),
    ("optimizer rmsprop(lr = 0.02, centered = true)", optimizer("RMSprop", lr=0.02, centered=True), {}),
    ("optimizer adagrad", optimizer("Adagrad"), {}),
    (
        "optimizer adagrad(lr = 0.1, lr_decay = 0.2, initial_accumulator_value = 0.3, eps = 1e-5, weight_decay = 0.1)",
        optimizer("Adagrad", lr=0.1, lr_decay=0.2, initial_accumulator_value=0.3, eps=1e-5, weight_decay=0.1),
        {},
    ),
    (
        "optimizer sgd(lr = 0.1, momentum = 0.9)\nclip norm(0.5)",
        optimizer("SGD", lr=0.1, momentum=0.9),
        {"clip": lambda parameters: clip_grad_norm_(parameters, 0.5)},
    ),
    (
        "optimizer adam(lr = 0.05, weight_decay = 0.1)\nclip value(0.05)",
        optimizer("Adam", lr=0.05, weight_decay=0.1),
        {"clip": lambda parameters: clip_grad_value_(parameters, 0.05)},
    ),
    (
        "optimizer sgd(lr = 0.1)\nregularize l1(0.01), l2(0.05, on = all)\nclip norm(0.7)",
        optimizer("SGD", lr=0.1),
        {"penalty": lambda model: l1(model) + l2(model), "clip": lambda parameters: clip_grad_norm_(parameters, 0.7)},
    ),
    ("optimizer sgd(lr = 0.3)\nregularize max_norm(0.6)", optimizer("SGD", lr=0.3), {"after": max_norm}),
    ("optimizer adam(lr = 0.05)\naccumulate 2", optimizer("Adam", lr=0.05), {"accumulate": 2}),
    (
        "optimizer sgd(lr = 0.1, momentum = 0.9)\naccumulate 3\nclip norm(0.5)",
        optimizer("SGD", lr=0.1, momentum=0.9),
        {"accumulate": 3, "clip": lambda parameters: clip_grad_norm_(parameters, 0.5)},
    ),
    ('optimizer adam(lr = 0.05)\nfreeze "dense1"', optimizer("Adam", lr=0.05), {"freeze": "dense1."}),
]


def train(start, x, t, make, penalty=None, clip=None, after=None, accumulate=1, freeze=None):
    """The weights after each step; an incomplete last group is averaged over the steps it has."""
    model = Net()
    model.load_state_dict(start)
    model.double()
    for name, p in model.named_parameters():
        p.requires_grad_(freeze is None or not name.startswith(freeze))
    trained = [p for p in model.parameters() if p.requires_grad]
    rule = make(trained)
    states = []
    for first in range(0, STEPS, accumulate):
        group = range(first, min(first + accumulate, STEPS))
        rule.zero_grad()
        for step in group:
            (nn.functional.mse_loss(model(x[step]), t[step]) / len(group)).backward()
            if step == group[-1]:
                if penalty:
                    penalty(model).backward()
                if clip:
                    clip(trained)
                rule.step()
                if after:
                    after(model)
            states.append(values(model.state_dict()))
    return states


def values(state):
    return {name: tensor.float().flatten().tolist() for name, tensor in state.items()}


def main():
    torch.manual_seed(11)
    start = Net().state_dict()
    x, t = torch.randn(STEPS, BATCH, 3), torch.randn(STEPS, BATCH, 2)
    cases = [
        {"lines": lines, "after": train(start, x.double(), t.double(), make, **more)}
        for lines, make, more in CASES
    ]
    result = {
        "torch": torch.__version__,
        "start": values(start),
        "x": x.flatten(1).tolist(),
        "t": t.flatten(1).tolist(),
        "cases": cases,
    }
    # One case a line.
    text = json.dumps(result, separators=(",", ":")).replace('{"lines"', '\n{"lines"')
    (HERE / "optimizers.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
