"""Times one case with PyTorch and prints one JSON line.

    python bench_torch.py --model resnet18 --task infer --batch 1 --threads 1 [--layout nchw|nhwc] [--compile]

A training step is forward, cross-entropy, backward and an update by SGD with momentum in its fused form, the fastest that
PyTorch has on a CPU. `--compile` is torch.compile with Inductor, for inference with its weights frozen.
"""

import time
import warnings

import torch
from torch._inductor import config as inductor
from torch.nn import functional as F

from common import case_parser, emit, rss_mib, timed
from models import MODELS


def inference(model, x, compiled):
    model.eval()
    if compiled:
        inductor.freezing = True
        model = torch.compile(model)

    def call():
        with torch.no_grad():
            return model(x)

    return call


def training(model, x, labels, compiled):
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9, fused=True)
    net = torch.compile(model) if compiled else model

    def call():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return call


def main():
    parser = case_parser(__doc__)
    parser.add_argument("--layout", choices=("nchw", "nhwc"), default="nhwc")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--tag", default="", help="put behind the mode in the line")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    factory, shape, classes, *_ = MODELS[arguments.model]
    layout = torch.channels_last if arguments.layout == "nhwc" else torch.contiguous_format
    x = torch.randn(arguments.batch, *shape).contiguous(memory_format=layout)
    labels = torch.randint(0, classes, (arguments.batch,))
    start = time.perf_counter()
    model = factory().to(memory_format=layout)
    if arguments.task == "infer":
        call = inference(model, x, arguments.compile)
    else:
        call = training(model, x, labels, arguments.compile)
    call()
    first = time.perf_counter() - start
    mode = ("compile" if arguments.compile else "eager") + arguments.tag
    series = timed(call)
    emit(
        framework="torch",
        mode=mode,
        layout=arguments.layout,
        **arguments.case,
        **series,
        first_call_s=first,
        rss_mib=rss_mib(),
    )


if __name__ == "__main__":
    main()
