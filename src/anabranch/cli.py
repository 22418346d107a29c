"""The command: ``anabranch run | demo | summary | doctor``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from types import TracebackType

USAGE = """\
usage: anabranch COMMAND …

  run SCRIPT [ARGS …]       run a Keras script, unchanged, with anabranch in Keras's place
  demo [--epochs N]         show the toy ResNet, train it on CIFAR-10, print its test accuracy
  summary SCRIPT[:NAME]     run a script and print the table of its models
  doctor                    print versions, devices, threads, and which data sets are at hand
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command, *rest = arguments or ["--help"]
    if command in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if command == "--version":
        import anabranch

        print(anabranch.__version__)
        return 0
    if command not in COMMANDS:
        from anabranch._errors import nearest

        close = nearest(command, COMMANDS)
        print(f"anabranch: no command {command!r}{f'; did you mean {close}?' if close else ''}\n\n{USAGE}", file=sys.stderr)
        return 2
    return COMMANDS[command](rest)


def run(arguments: list[str]) -> int:
    """Run a script with Keras's names meaning anabranch."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="", file=sys.stderr)
        return 2
    script = _script(arguments[0])
    if script is None:
        return 2
    execute(script, arguments)
    return 0


def execute(script: str, arguments: list[str]) -> dict[str, object]:
    """Run ``script`` as ``python SCRIPT`` would, under the stand-in, and return its globals."""
    from anabranch import stand_in

    stand_in.install()
    sys.argv = arguments
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec")
    module = type(sys)("__main__")
    module.__dict__.update(__file__=script, __builtins__=__builtins__)
    sys.modules["__main__"] = module
    sys.excepthook = _show
    exec(code, module.__dict__)
    return module.__dict__


def _show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print a traceback that begins in the user's script, not in this file."""
    import traceback as printer

    step = traceback
    while step is not None and step.tb_frame.f_code is not execute.__code__:
        step = step.tb_next
    printer.print_exception(kind, error, step.tb_next if step else traceback)


def _script(name: str) -> str | None:
    if os.path.isdir(name):
        print(f"anabranch: {name} is a folder; a script is wanted", file=sys.stderr)
        return None
    if not os.path.exists(name):
        print(f"anabranch: there is no {name} in {os.getcwd()}", file=sys.stderr)
        return None
    return name


def demo(arguments: list[str]) -> int:
    """Show, train and measure the toy ResNet."""
    from anabranch.demo import main as demonstrate

    return demonstrate(arguments)


def summary(arguments: list[str]) -> int:
    """Run a script and print the table of the models it leaves, or of the one named."""
    if len(arguments) != 1:
        print(USAGE, end="", file=sys.stderr)
        return 2
    name, _, wanted = arguments[0].partition(":")
    script = _script(name)
    if script is None:
        return 2
    from anabranch.models import Model

    found = {key: value for key, value in execute(script, [script]).items() if isinstance(value, Model)}
    models = {wanted: found[wanted]} if wanted in found else {} if wanted else found
    if not models:
        looked = f"a model called {wanted!r}" if wanted else "a model"
        print(
            f"anabranch: {script} leaves no {looked.removeprefix('a ')}; it has: {', '.join(found) or 'none'}", file=sys.stderr
        )
        return 1
    for model in dict.fromkeys(models.values()):
        model.summary()
    return 0


def doctor(arguments: list[str]) -> int:
    """Print what this installation runs on."""
    import importlib.metadata
    import platform

    import anabranch
    from anabranch import config, datasets, ops

    print(f"anabranch    {anabranch.__version__}")
    print(f"python       {platform.python_version()} on {platform.platform()}")
    for package in ("torch", "numpy", "safetensors", "h5py", "rich", "torchmetrics"):
        try:
            print(f"{package:<12} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{package:<12} not installed")
    print(f"device       {ops.describe_device()}")
    print(f"threads      {ops.threads()} of {os.cpu_count()} cores")
    print(f"data folder  {config.data_folder()}")
    for name, there in datasets.at_hand().items():
        print(f"  {name:<14} {'there' if there else 'not there; downloaded on first use'}")
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {"run": run, "demo": demo, "summary": summary, "doctor": doctor}
