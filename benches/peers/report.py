"""Markdown tables from the lines of `bench.py`: median times, and the ratio of the best peer's to netc's.

    python report.py times.jsonl…

A case that was timed several times counts with its lowest median and its least time. `~` stands behind a time that was disturbed: its median
is far above the least time, or other processes used much of a core. A ratio above 1 means that netc is faster.
"""

import json
import math
import sys

from common import CALM, STEADY
from models import MODELS

COLUMNS = (
    ("netc", ("netc", None)),
    ("ONNX Runtime", ("ort", None)),
    ("OpenVINO", ("openvino", None)),
    ("eager", ("torch", "eager")),
    ("eager, memory kept", ("torch", "eager+malloc")),
    ("compiled", ("torch", "compile")),
    ("compiled, memory kept", ("torch", "compile+malloc")),
    ("JAX", ("jax", None)),
)
TITLES = {"infer": "Inference", "train": "Training step"}


def load(paths):
    """The best line of each case of each framework, and the lines that are errors."""
    best, errors = {}, []
    for path in paths:
        with open(path) as f:
            lines = [json.loads(line) for line in f if line.startswith("{")]
        for line in lines:
            if "error" in line:
                errors.append(line)
            elif "median_ms" in line:
                case = line["task"], line["threads"], line["model"], line["batch"]
                for key in ((line["framework"], None), (line["framework"], line["mode"])):
                    known = best.setdefault(case, {}).get(key, line)
                    least = min(known.get("least_ms", known["min_ms"]), line["min_ms"])
                    calmest = min(known, line, key=lambda line: line["median_ms"])
                    best[case][key] = {**calmest, "least_ms": least}
    return best, errors


def disturbed(line):
    return line["median_ms"] > STEADY * line["min_ms"] or line["other_cores"] > CALM


def time(line):
    if line is None:
        return "-"
    ms = line["median_ms"]
    digits = 3 if ms < 1 else 2 if ms < 10 else 1 if ms < 100 else 0
    return f"{ms:.{digits}f}" + ("~" if disturbed(line) else "")


def ratios(found):
    """The best peer's time by netc's, of medians and of least times, or nothing if one of them is missing."""
    netc = found.get(("netc", None))
    peers = [line for (framework, mode), line in found.items() if framework != "netc" and mode is not None]
    if netc is None or not peers:
        return None
    return tuple(min(peer[key] for peer in peers) / netc[key] for key in ("median_ms", "least_ms"))


def table(task, threads, best):
    cases = {(model, batch): found for (t, n, model, batch), found in best.items() if (t, n) == (task, threads)}
    columns = [(title, key) for title, key in COLUMNS if any(key in found for found in cases.values())]
    print(f"\n### {TITLES[task]}, {threads} thread{'s' if threads > 1 else ''}, median ms\n")
    print("| net | batch | " + " | ".join(title for title, _ in columns) + " | best peer / netc | of least times |")
    print("| --- | ---: |" + " ---: |" * (len(columns) + 2))
    order = list(MODELS)
    compared = []
    for (model, batch), found in sorted(cases.items(), key=lambda case: (order.index(case[0][0]), case[0][1])):
        ratio = ratios(found)
        compared += [ratio] if ratio else []
        shown = [f"{r:.2f}" for r in ratio] if ratio else ["-", "-"]
        print(f"| {model} | {batch} | " + " | ".join([time(found.get(key)) for _, key in columns] + shown) + " |")
    if compared:
        means = [math.exp(sum(math.log(ratio[i]) for ratio in compared) / len(compared)) for i in (0, 1)]
        print(f"\nGeometric mean of best peer / netc: {means[0]:.2f}, of least times {means[1]:.2f}.")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    best, errors = load(sys.argv[1:])
    for task in TITLES:
        for threads in sorted({case[1] for case in best if case[0] == task}):
            table(task, threads, best)
    if errors:
        print("\n### Not measured\n")
        for line in errors:
            case = ", ".join(str(line[key]) for key in ("framework", "model", "task", "batch", "threads") if key in line)
            print(f"- {case}: {line['error'].splitlines()[-1]}")


if __name__ == "__main__":
    main()
