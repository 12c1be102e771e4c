"""Times one training step of LeNet-5 in PyTorch, to compare with netc on the same machine.

    python lenet_torch.py [--batch 64] [--threads 1] [--mode eager|compile] [--seconds 5]

The network is the one of tests/golden/lenet5_modern.net. A step is forward, cross-entropy, backward and
an update by SGD with momentum, on one batch that stays in memory. Prints one JSON line; the times are
those of a whole step.

`compile` needs a C++ compiler. Its first step, which compiles, is not part of the times. Both modes use
the fused update, the fastest that PyTorch has on a CPU.
"""

import argparse
import json
import platform
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

LEARNING_RATE = 0.01
MOMENTUM = 0.9
WARM_UP_STEPS = 20


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def make_step(mode, x, t):
    model = lenet5()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)

    def loss_of(x, t):
        return F.cross_entropy(model(x), t)

    forward = torch.compile(loss_of) if mode == "compile" else loss_of
    # A compiled loss must be the same loss, or its time means nothing.
    expected, found = loss_of(x, t).item(), forward(x, t).item()
    assert abs(found - expected) < 1e-4, f"the loss is {found}, expected {expected}"

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = forward(x, t)
        loss.backward()
        optimizer.step()
        return loss

    return step


def measure(step, seconds):
    first = step().item()
    for _ in range(WARM_UP_STEPS):
        step()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        loss = step()
        times.append(time.perf_counter() - start)
    assert loss.item() < first, f"the loss went from {first} to {loss.item()}"
    return times


def cpu_name():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mode", choices=["eager", "compile"], default="eager")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to measure")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    x = torch.randn(arguments.batch, 1, 28, 28)
    t = torch.randint(0, 10, (arguments.batch,))
    times = measure(make_step(arguments.mode, x, t), arguments.seconds)
    tenths = statistics.quantiles(times, n=10)
    result = {
        "framework": f"torch {torch.__version__}",
        "net": "lenet5_modern",
        "task": "training step",
        "mode": arguments.mode,
        "batch": arguments.batch,
        "threads": arguments.threads,
        "median_ms": round(statistics.median(times) * 1e3, 4),
        "min_ms": round(min(times) * 1e3, 4),
        "p10_ms": round(tenths[0] * 1e3, 4),
        "p90_ms": round(tenths[-1] * 1e3, 4),
        "steps": len(times),
        "cpu": cpu_name(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
