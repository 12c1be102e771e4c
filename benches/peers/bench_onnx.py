"""Times one case with ONNX Runtime or OpenVINO, from a file that PyTorch has exported, and prints one JSON line.

    python bench_onnx.py --export DIR [--models a,b]        writes DIR/MODEL.onnx where there is none
    python bench_onnx.py --engine ort|openvino --onnx DIR --model resnet18 --task infer --batch 1 --threads 1
"""

import argparse
import os
import time
import warnings

from common import case_parser, emit, rss_mib, timed


def export(folder, names):
    import torch

    import models

    class OneNode(torch.autograd.Function):
        """ONNX's LRN; left alone, the exporter writes a pad, an average pool and a power."""

        @staticmethod
        def forward(_context, x, size, alpha, beta, k):
            return torch.nn.functional.local_response_norm(x, size, alpha, beta, k)

        @staticmethod
        def symbolic(graph, x, size, alpha, beta, k):
            return graph.op("LRN", x, size_i=size, alpha_f=alpha, beta_f=beta, bias_f=k).setType(x.type())

    models.LRN.forward = lambda self, x: OneNode.apply(x, self.size, self.alpha, self.beta, self.k)
    warnings.filterwarnings("ignore")
    os.makedirs(folder, exist_ok=True)
    for name in names or models.MODELS:
        path = os.path.join(folder, f"{name}.onnx")
        if os.path.exists(path):
            continue
        factory, shape, *_ = models.MODELS[name]
        torch.manual_seed(0)
        # Renamed when it is whole, so that a file that is there can be used.
        partial = path + ".part"
        torch.onnx.export(
            factory().eval(),
            torch.randn(1, *shape),
            partial,
            opset_version=17,
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "n"}, "y": {0: "n"}},
        )
        os.replace(partial, path)


def onnx_runtime(path, batch, threads):
    """The shape of the input, and what makes the call once the input is there."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_free_dimension_override_by_name("n", batch)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape[1:]
    return shape, lambda x: lambda: session.run(None, {"x": x})


def openvino_runtime(path, batch, threads):
    """The shape of the input, and what makes the call once the input is there."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    shape = [dimension.get_length() for dimension in list(model.input().partial_shape)[1:]]
    model.reshape([batch, *shape])
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        # Where the processor has 16-bit floats, OpenVINO would compute with them.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def caller(x):
        request.set_input_tensor(openvino.Tensor(x, shared_memory=True))
        return request.infer

    return shape, caller


ENGINES = {"ort": onnx_runtime, "openvino": openvino_runtime}


def run(arguments):
    import numpy as np

    start = time.perf_counter()
    path = os.path.join(arguments.onnx, f"{arguments.model}.onnx")
    shape, caller = ENGINES[arguments.engine](path, arguments.batch, arguments.threads)
    x = np.random.default_rng(0).standard_normal((arguments.batch, *shape), dtype=np.float32)
    call = caller(x)
    call()
    first = time.perf_counter() - start
    series = timed(call)
    emit(framework=arguments.engine, mode="f32", **arguments.case, **series, first_call_s=first, rss_mib=rss_mib())


def main():
    exporter = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    exporter.add_argument("--export", metavar="DIR")
    exporter.add_argument("--models")
    asked, rest = exporter.parse_known_args()
    if asked.export:
        return export(asked.export, asked.models.split(",") if asked.models else None)
    parser = case_parser(__doc__)
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--onnx", metavar="DIR", required=True, help="where the exported files are")
    arguments = parser.parse_args(rest)
    if arguments.task != "infer":
        parser.error(f"{arguments.engine} does not train")
    run(arguments)


if __name__ == "__main__":
    main()
