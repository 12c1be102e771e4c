"""Times netc and other frameworks on the same nets in one run, case by case and in turns, and prints JSON lines.

    python bench.py --netc ../../target/release/netc > times.jsonl
    python bench.py --netc … --models resnet18,vgg16 --frameworks netc,ort,openvino --tasks infer --threads 1 --batches 1

Each case of each framework is a process of its own, so that its memory is its own and its threads end with it. The
frameworks take turns, `--rounds` times a case, so that what disturbs the machine for a while disturbs all of them. Nothing
is bound to processors, but for JAX, which has no other setting for its threads. `report.py` makes tables.
"""

import argparse
import os
import shutil
import subprocess
import sys

from common import HERE, emit
from models import MODELS

# Without this, glibc gives the memory of large activations back after each use, and the system clears it anew each time.
KEPT_MEMORY = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=67108864"


class Framework:
    """A script, its arguments, its environment and the cases that it has."""

    def __init__(self, script, *options, tasks=("infer", "train"), models=None, layout=None, kept=False, python=None):
        self.script, self.options, self.tasks, self.models = script, list(options), tasks, models
        self.layout, self.kept, self.python = layout, kept, python

    def has(self, model, task):
        # A picture with one channel, and a vector, have one layout.
        flat = MODELS[model][1][0] == 1
        return task in self.tasks and (self.models is None or model in self.models) and not (flat and self.layout == "nhwc")

    def command(self, case):
        options = [text for key, value in case.items() for text in (f"--{key}", str(value))]
        layout = ["--layout", self.layout] if self.layout else []
        tag = ["--tag", "+malloc"] if self.kept else []
        return [self.python or sys.executable, os.path.join(HERE, self.script), *options, *layout, *tag, *self.options]

    def environment(self):
        return {**os.environ, "GLIBC_TUNABLES": KEPT_MEMORY} if self.kept else dict(os.environ)


def frameworks(arguments):
    torch = {
        f"torch-{layout}{'+malloc' if kept else ''}": Framework("bench_torch.py", layout=layout, kept=kept)
        for layout in ("nchw", "nhwc")
        for kept in (False, True)
    }
    compiled = {
        f"torch-compile{'+malloc' if kept else ''}": Framework("bench_torch.py", "--compile", kept=kept)
        for kept in (False, True)
    }
    engines = {
        engine: Framework("bench_onnx.py", "--engine", engine, "--onnx", arguments.onnx, tasks=("infer",))
        for engine in ("ort", "openvino")
    }
    jax = Framework("bench_jax.py", models=("lenet5", "resnet18", "resnet50"), python=arguments.jax_python)
    isa = ["--isa", arguments.isa] if arguments.isa else []
    netc = Framework("bench_netc.py", "--netc", arguments.netc, *isa)
    return {"netc": netc, **engines, **torch, **compiled, "jax": jax}


def time_case(name, framework, case, turn):
    command, environment = framework.command(case), framework.environment()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    for line in lines:
        print(line, flush=True)
    if done.returncode or not lines:
        emit(framework=name, **case, round=turn, error=done.stderr.strip()[-500:] or f"exit code {done.returncode}")
    return bool(lines) and not done.returncode


def chosen(parser, text, known, what):
    names = text.split(",") if text else list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no such {what}: {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--netc", required=True, help="the program to measure")
    parser.add_argument("--isa", help="its vector code")
    parser.add_argument("--models", help="all if not given")
    parser.add_argument("--frameworks", help="all if not given")
    parser.add_argument("--tasks", default="infer,train")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--batches", help="those of models.py if not given")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--onnx", default=os.path.join(HERE, "onnx"), help="where exported files are and are put")
    parser.add_argument("--jax-python", help="the Python that has JAX; this one if not given")
    arguments = parser.parse_args()
    known = frameworks(arguments)
    models = chosen(parser, arguments.models, MODELS, "model")
    names = chosen(parser, arguments.frameworks, known, "framework")
    tasks = chosen(parser, arguments.tasks, ("infer", "train"), "task")
    for option, program in (("--netc", arguments.netc), ("--jax-python", arguments.jax_python or sys.executable)):
        if shutil.which(program) is None:
            parser.error(f"{option} {program} is no program that can be run")
    if "infer" in tasks and {"ort", "openvino"} & set(names):
        export = [sys.executable, os.path.join(HERE, "bench_onnx.py"), "--export", arguments.onnx, "--models", ",".join(models)]
        subprocess.run(export, check=True, stdout=subprocess.DEVNULL)
    well = True
    for model in models:
        for task in tasks:
            own = MODELS[model][3] if task == "infer" else (MODELS[model][4],)
            batches = [int(text) for text in arguments.batches.split(",")] if arguments.batches else own
            for batch in batches:
                for threads in (int(text) for text in arguments.threads.split(",")):
                    case = {"model": model, "task": task, "batch": batch, "threads": threads}
                    for turn in range(arguments.rounds):
                        for name in names:
                            if known[name].has(model, task):
                                well &= time_case(name, known[name], case, turn)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
