"""Holds netc's outputs against PyTorch's on the nets of `models.py`, with the same weights.

    python compare.py --netc ../../target/release/netc [--models a,b] [--images 2] [--threads 1] [--isa avx2]

Each net gets random weights under which its values keep their scale, and running statistics that differ from those of
any batch, so that a batch norm or a layer that is left out shows. The weights go to netc in the order of its parameters,
each with its shape held against PyTorch's. Prints one JSON line a net; the exit code is 1 if a net differs by more than
`TOLERANCE` or could not be run.
"""

import argparse
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

from common import HERE
from models import LRN, MODELS, macs

# The greatest difference, as a share of the greatest output. Both sides round to 24 bits at each of up to 200 layers in
# different orders of summation, and PyTorch's own modes differ from one another by up to 1e-5 here.
TOLERANCE = 1e-4


class Failed(Exception):
    """A net could not be compared."""


def prepare(factory, shape, seed):
    """A net with weights drawn by He's rule, so that values keep their scale, and statistics near those of its values."""
    torch.manual_seed(seed)
    model = factory()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.uniform_(module.bias, -0.2, 0.2)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.3, 0.3)
                module.momentum = 1.0
        # Only batch norms look at the batch: dropout stays off, whose noise the statistics would hold.
        model.eval()
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.train()
        if norms:
            model(torch.randn(2, *shape))
        for norm in norms:
            norm.running_mean += 0.1 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
            norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.7, 1.4)
    return model.eval()


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()[-600:]}")
    return done.stdout


def names_and_shapes(path):
    """The tensors of a safetensors file in the order in which they lie."""
    with open(path, "rb") as f:
        (length,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(length))
    header.pop("__metadata__", None)
    tensors = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    return [(name, tuple(tensor["shape"])) for name, tensor in tensors]


def exchange(model, names):
    """PyTorch's parameters and statistics under netc's names: both lists are in the order of the layers.

    A dense layer of netc may be a 1 x 1 convolution over a single pixel in PyTorch; then the two axes of 1 are dropped.
    """
    statistics = ("running_mean", "running_var")
    parameters = dict(model.named_parameters())
    own = [
        (name, tensor.detach().numpy())
        for name, tensor in model.state_dict().items()
        if name in parameters or name.endswith(statistics)
    ]
    if len(own) != len(names):
        raise Failed(f"PyTorch has {len(own)} tensors, netc {len(names)}")
    exchanged = {}
    for (theirs, array), (name, shape) in zip(own, names):
        kinds = theirs.rsplit(".", 1)[1], name.rsplit(".", 1)[1]
        dropped = array.shape == (*shape, 1, 1)
        if kinds[0] != kinds[1] or not (array.shape == shape or dropped):
            raise Failed(f"{theirs} {list(array.shape)} of PyTorch stands where netc has {name} {list(shape)}")
        exchanged[name] = np.ascontiguousarray(array.reshape(shape))
    return exchanged


def check_counts(netc, name, model, shape):
    summary = json.loads(run([*netc, "summary", f"{HERE}/nets.net:{name}", "--json"]).splitlines()[0])
    wanted = {
        "macs": macs(model, shape),
        "params": sum(p.numel() for p in model.parameters()),
        "bn_stats": sum(b.numel() for n, b in model.named_buffers() if n.endswith(("running_mean", "running_var"))),
    }
    for key, count in wanted.items():
        if summary[key] != count:
            raise Failed(f"{key} is {summary[key]} in netc and {count} in PyTorch")


def compare(name, arguments):
    """The greatest difference between the outputs as a share of the greatest output, and that between two images."""
    factory, shape, *_ = MODELS[name]
    model = prepare(factory, shape, arguments.seed)
    netc = [arguments.netc]
    check_counts(netc, name, model, shape)
    x = torch.randn(arguments.images, *shape)
    if any(isinstance(module, LRN) for module in model.modules()):
        # Next to its constant 1, a sum of squares counts only if values are large: as large as those of pixels from 0 to 255.
        x *= 64
    with torch.no_grad():
        expected = model(x).numpy()
    net = f"{HERE}/nets.net:{name}"
    with tempfile.TemporaryDirectory() as folder:
        weights, given, found = (os.path.join(folder, file) for file in ("w.safetensors", "x.npy", "y.npy"))
        run([*netc, "init", net, "--out", weights])
        save_file(exchange(model, names_and_shapes(weights)), weights)
        np.save(given, x.numpy())
        options = ["--threads", str(arguments.threads)] + (["--isa", arguments.isa] if arguments.isa else [])
        run([*netc, "run", net, "--weights", weights, "--input", given, "--output", found, *options])
        outputs = np.load(found)
    if outputs.shape != expected.shape:
        raise Failed(f"netc's output is {outputs.shape}, PyTorch's {expected.shape}")
    scale = float(np.abs(expected).max())
    if not (math.isfinite(scale) and scale > 0):
        raise Failed(f"PyTorch's greatest output is {scale}")
    # If all images gave the same output, the layers before the last bias would not be compared.
    spread = float(np.abs(expected - expected[:1]).max()) / scale
    if spread < 0.01:
        raise Failed(f"the outputs of different images differ by {spread:.1e} of the greatest: nothing is compared")
    return float(np.abs(outputs - expected).max()) / scale, spread


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--netc", required=True, help="the program to compare")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--images", type=int, default=2, help="at least 2")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", help="netc's vector code")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.images < 2:
        parser.error("--images must be at least 2")
    unknown = sorted(set(arguments.models.split(",")) - set(MODELS))
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}; there are {', '.join(MODELS)}")
    torch.set_num_threads(arguments.threads)
    bad = False
    for name in arguments.models.split(","):
        try:
            difference, spread = compare(name, arguments)
            agrees = difference < TOLERANCE
            line = {"model": name, "agrees": agrees, "difference": difference, "between_images": round(spread, 3)}
        except Failed as error:
            agrees, line = False, {"model": name, "agrees": False, "error": str(error)}
        bad |= not agrees
        print(json.dumps(line), flush=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
