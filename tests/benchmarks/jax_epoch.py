"""One lesson epoch as a single jitted ``lax.scan`` in JAX.

``python tests/benchmarks/jax_epoch.py MNIST-FOLDER EPOCHS`` prints the seconds of each epoch after
the first, which compiles, as one line of JSON.
"""

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from digitcli.data.datasets.readers import read_split

split = read_split(Path(sys.argv[1]), "train")
assert split is not None
pixels = split.images.reshape(-1, 784).astype(np.float32) / 255
x, y = jnp.asarray((pixels - 0.1307) / 0.3081), jnp.asarray(split.labels)
BATCHES, BATCH = len(y) // 64, 64  # the last, half batch would need a second shape

widths = [784, 512, 256, 128, 64, 10]
rng = np.random.default_rng(0)
parameters = [
    (
        jnp.asarray(rng.uniform(-1, 1, (i, o)) / i**0.5, jnp.float32),
        jnp.asarray(rng.uniform(-1, 1, o) / i**0.5, jnp.float32),
    )
    for i, o in pairwise(widths)
]
velocities = jax.tree.map(jnp.zeros_like, parameters)


def loss_of(parameters, images, labels):
    *hidden, (weight, bias) = parameters
    for w, b in hidden:
        images = jax.nn.relu(images @ w + b)
    logits = images @ weight + bias
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()


def step(state, picked):
    parameters, velocities = state
    loss, gradients = jax.value_and_grad(loss_of)(parameters, x[picked], y[picked])
    velocities = jax.tree.map(lambda v, g: 0.5 * v + g, velocities, gradients)
    parameters = jax.tree.map(lambda p, v: p - 0.01 * v, parameters, velocities)
    return (parameters, velocities), loss


@jax.jit
def epoch(state, key):
    order = jax.random.permutation(key, len(y))[: BATCHES * BATCH].reshape(BATCHES, BATCH)
    return jax.lax.scan(step, state, order)


state = (parameters, velocities)
seconds = []
losses = []
for number in range(int(sys.argv[2]) + 1):
    started = time.perf_counter()
    state, loss = epoch(state, jax.random.key(number))
    losses.append(float(loss.mean()))  # waits
    seconds.append(time.perf_counter() - started)
print(json.dumps({"seconds": seconds[1:], "losses": losses}))
