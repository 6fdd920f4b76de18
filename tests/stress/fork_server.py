"""Runs digitcli in forks of a process that has imported torch, which takes seconds, once.

``python tests/stress/fork_server.py FILES.json``: each line on standard input is a job in JSON,
each line on standard output the exit code of one, or minus the signal that ended it. A job runs
``small_cli.py`` as a process of its own would, but for two things: most imports are done before,
and the interpreter, which takes seconds to free what it has imported, is not taken down, though
all that is registered for the exit is run. ``failing_calls.c`` must be preloaded; ``arm`` has the
arguments of its function.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, NoReturn

HELPERS = Path(__file__).parents[1] / "helpers"
sys.path.insert(0, str(HELPERS))

IMPORTS = (
    *(
        "matplotlib.backends.backend_svg",
        "tensorboard.summary.writer.record_writer",
        "torch.export",
    ),
    *("torch._dynamo", "sympy", "onnx", "jinja2", "filelock", "pooch", "requests", "typer._click"),
    *("platformdirs", "sklearn.metrics", "scipy.optimize", "safetensors.numpy", "drawn_digits"),
    *("digitcli.cli.app", "digitcli.classifier", "digitcli.core.training.loop"),
    *("digitcli.data.datasets.training_data", "digitcli.core.evaluation.evaluate"),
    *("digitcli.report.evaluation", "digitcli.report.gallery", "digitcli.report.drawings"),
)
"""Modules that take long to import; not onnxruntime, which starts threads."""


def run(job: dict[str, Any], files: str) -> NoReturn:
    """Becomes the process of a job, and ends as it does."""
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    tempfile.tempdir = None
    for number, name in enumerate((os.devnull, job["output"], job["errors"])):
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC * bool(number), 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.argv = ["digitcli", files, *job["arguments"]]
    arm = ctypes.CDLL(None).arm
    arm.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_char_p)
    scope, number, fault, listing = job["arm"]
    arm(scope.encode(), number, fault, listing.encode())
    code = 1
    try:
        runpy.run_path(str(HELPERS / "small_cli.py"), run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:  # noqa: BLE001  as the interpreter does
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    files = sys.argv[1]
    for name in IMPORTS:
        importlib.import_module(name)
    gc.freeze()
    while line := sys.stdin.readline():
        process = os.fork()
        if not process:
            run(json.loads(line), files)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
