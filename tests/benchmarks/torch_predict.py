"""Reads one digit as a plain script does, with torch and torchvision.

``python tests/benchmarks/torch_predict.py CHECKPOINT PICTURE``
"""

import sys
from itertools import pairwise

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torchvision import transforms

layers: list[nn.Module] = []
for inputs, outputs in pairwise([784, 512, 256, 128, 64, 10]):
    layers += [nn.Linear(inputs, outputs), nn.ReLU()]
model = nn.Sequential(*layers[:-1])
weights = load_file(sys.argv[1])
model.load_state_dict(
    {
        f"{2 * i}.{kind}": weights[f"l{i + 1}.{kind}"]
        for i in range(5)
        for kind in ("weight", "bias")
    }
)
prepare = transforms.Compose(
    [
        transforms.Grayscale(),
        transforms.Resize((28, 28)),
        transforms.ToTensor(),
        transforms.Normalize((0.1307,), (0.3081,)),
    ]
)
with torch.no_grad():
    print(int(model(prepare(Image.open(sys.argv[2])).flatten()[None]).argmax()))
