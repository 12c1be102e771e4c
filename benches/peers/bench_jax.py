"""Times one case with JAX (XLA, jit, images last in channels) and prints one JSON line.

    python bench_jax.py --model resnet18 --task infer --batch 1 --threads 1

There are lenet5, resnet18 and resnet50. XLA has as many threads as the process may use processors, so it is held to the
first `--threads` of them. In inference a batch norm is a factor and an offset, as a prepared graph has it; in training the
running statistics are not kept, which spares JAX a little work.
"""

import functools
import os
import sys
import time

from common import case_parser, emit, rss_mib, timed

BATCH_NORM_EPS = 1e-5


def main():
    parser = case_parser(__doc__)
    arguments = parser.parse_args()
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < arguments.threads:
        parser.error(f"{arguments.threads} threads on {len(processors)} processors")
    # Before jax is imported, which then makes its threads.
    os.sched_setaffinity(0, processors[: arguments.threads])
    start = time.perf_counter()
    call = prepare(arguments)
    call()
    first = time.perf_counter() - start
    series = timed(call)
    emit(framework="jax", mode="jit", layout="nhwc", **arguments.case, **series, first_call_s=first, rss_mib=rss_mib())


def prepare(arguments):
    import jax
    import jax.numpy as jnp
    from jax import lax

    def conv(x, w, stride=1, padding="SAME"):
        return lax.conv_general_dilated(x, w, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def norm(x, p, train):
        if not train:
            return x * p["weight"] + p["bias"]
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) * lax.rsqrt(var + BATCH_NORM_EPS) * p["weight"] + p["bias"]

    def resnet_params(key, layers, bottleneck):
        def conv_params(kernel, i, o):
            nonlocal key
            key, sub = jax.random.split(key)
            w = jax.random.normal(sub, (kernel, kernel, i, o)) * (2 / (kernel * kernel * i)) ** 0.5
            return {"w": w, "weight": jnp.ones(o), "bias": jnp.zeros(o)}

        stem, units, channels = conv_params(7, 3, 64), [], 64
        for stage, n in enumerate(layers):
            for unit in range(n):
                width = 64 << stage
                out = 4 * width if bottleneck else width
                if bottleneck:
                    body = [conv_params(1, channels, width), conv_params(3, width, width), conv_params(1, width, out)]
                else:
                    body = [conv_params(3, channels, width), conv_params(3, width, width)]
                changes = (stage and not unit) or channels != out
                units.append({"body": body, "skip": conv_params(1, channels, out) if changes else None})
                channels = out
        dense = {"w": jax.random.normal(key, (channels, 1000)) * 0.01, "bias": jnp.zeros(1000)}
        return {"stem": stem, "units": units, "dense": dense}

    def resnet(params, x, layers, bottleneck, train):
        x = jax.nn.relu(norm(conv(x, params["stem"]["w"], 2, [(3, 3), (3, 3)]), params["stem"], train))
        padding = [(0, 0), (1, 1), (1, 1), (0, 0)]
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)
        units = iter(params["units"])
        for stage, n in enumerate(layers):
            for unit in range(n):
                p, y, stride = next(units), x, 2 if stage and not unit else 1
                for j, q in enumerate(p["body"]):
                    wide = q["w"].shape[0] == 3
                    # The stride stands in a basic unit's first convolution, in a bottleneck's of 3 x 3.
                    own = stride if (wide if bottleneck else j == 0) else 1
                    y = norm(conv(y, q["w"], own, [(1, 1), (1, 1)] if wide else "VALID"), q, train)
                    y = jax.nn.relu(y) if j + 1 < len(p["body"]) else y
                skip = norm(conv(x, p["skip"]["w"], stride, "VALID"), p["skip"], train) if p["skip"] else x
                x = jax.nn.relu(y + skip)
        return x.mean((1, 2)) @ params["dense"]["w"] + params["dense"]["bias"]

    def lenet_params(key):
        shapes = [(5, 5, 1, 6), (5, 5, 6, 16), (400, 120), (120, 84), (84, 10)]
        keys = jax.random.split(key, len(shapes))
        return [(jax.random.normal(k, shape) * 0.1, jnp.zeros(shape[-1])) for k, shape in zip(keys, shapes)]

    def lenet(params, x, train):
        del train

        def pool(x):
            return lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4

        (w1, b1), (w2, b2), *dense = params
        x = pool(jnp.tanh(conv(x, w1) + b1))
        x = pool(jnp.tanh(conv(x, w2, 1, "VALID") + b2)).reshape(x.shape[0], -1)
        for w, b in dense[:-1]:
            x = jnp.tanh(x @ w + b)
        return x @ dense[-1][0] + dense[-1][1]

    def residual(layers, bottleneck, count):
        net = functools.partial(resnet, layers=layers, bottleneck=bottleneck)
        return net, lambda key: resnet_params(key, layers, bottleneck), (224, 224, 3), 1000, count

    # The net, its parameters, its input, its classes, and how many parameters PyTorch's has.
    nets = {
        "lenet5": (lenet, lenet_params, (28, 28, 1), 10, 61_706),
        "resnet18": residual((2, 2, 2, 2), False, 11_689_512),
        "resnet50": residual((3, 4, 6, 3), True, 25_557_032),
    }
    if arguments.model not in nets:
        sys.exit(f"{arguments.model} is not written for JAX; there are {', '.join(nets)}")
    net, init, shape, classes, count = nets[arguments.model]
    key = jax.random.PRNGKey(0)
    params = init(key)
    found = sum(p.size for p in jax.tree.leaves(params))
    assert found == count, f"{found} parameters, {count} in PyTorch"
    x = jax.random.normal(key, (arguments.batch, *shape))
    labels = jnp.arange(arguments.batch) % classes
    if arguments.task == "infer":
        forward = jax.jit(functools.partial(net, train=False))
        return lambda: forward(params, x).block_until_ready()

    def loss_of(params):
        return -jnp.take_along_axis(jax.nn.log_softmax(net(params, x, train=True)), labels[:, None], 1).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, velocity):
        loss, gradient = jax.value_and_grad(loss_of)(params)
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, gradient)
        return jax.tree.map(lambda p, v: p - 1e-6 * v, params, velocity), velocity, loss

    state = [params, jax.tree.map(jnp.zeros_like, params)]

    def call():
        state[0], state[1], loss = step(*state)
        jax.block_until_ready(state)
        return float(loss)

    return call


if __name__ == "__main__":
    main()
