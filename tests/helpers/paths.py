"""Where the tests find the repository and what lies beside it."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BUNDLED = ROOT / "checkpoints" / "pretrained.safetensors"
HELPERS = Path(__file__).parent
GOLDEN = ROOT / "tests" / "golden" / "checkpoint.safetensors.gz"

SHARED = ROOT.parent / "shared"
"""Data beside the repository, on some machines; tests that need it are skipped elsewhere."""

SHARED_MNIST = SHARED / "mnist"

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
"""A browser, or None."""
