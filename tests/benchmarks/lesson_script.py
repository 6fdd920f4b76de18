"""The lesson's training as a plain script writes it: DataLoader and torchvision's transforms.

This is what the benchmarks measure digitcli against; it is written for that, and prints one line
of JSON at the end. ``python tests/benchmarks/lesson_script.py MNIST-FOLDER EPOCHS SEED [DEVICE]``
"""

import json
import sys
import time
from itertools import pairwise

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import MNIST

folder, epochs, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
device = torch.device(sys.argv[4] if len(sys.argv) > 4 else "cpu")
torch.manual_seed(seed)

transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
train_loader = DataLoader(MNIST(folder, train=True, transform=transform), 64, shuffle=True)
test_loader = DataLoader(MNIST(folder, train=False, transform=transform), 64)

widths = [784, 512, 256, 128, 64, 10]
layers: list[nn.Module] = [nn.Flatten()]
for inputs, outputs in pairwise(widths):
    layers += [nn.Linear(inputs, outputs), nn.ReLU()]
model = nn.Sequential(*layers[:-1]).to(device)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)

seconds = 0.0
accuracy = 0.0
for epoch in range(epochs):
    started = time.perf_counter()
    running = 0.0
    for batch, (images, labels) in enumerate(train_loader, start=1):
        optimizer.zero_grad()
        loss = criterion(model(images.to(device)), labels.to(device))
        loss.backward()
        optimizer.step()
        running += loss.item()
        if batch % 300 == 0:
            print(f"[{epoch + 1}, {batch}] loss: {running / 300:.3f}")
            running = 0.0
    seconds += time.perf_counter() - started
    with torch.no_grad():
        right = sum(
            int((model(images.to(device)).argmax(1).cpu() == labels).sum())
            for images, labels in test_loader
        )
    accuracy = right / 10_000
    print(f"accuracy on test set: {accuracy:.2%}")
print(json.dumps({"seconds": seconds, "accuracy": accuracy}))
