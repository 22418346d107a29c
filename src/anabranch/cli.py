"""The command: ``anabranch run | demo | summary | view | lint | check | inspect | convert | doctor``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, TracebackType
from typing import Any

USAGE = """\
usage: anabranch COMMAND …

  run SCRIPT [ARGS …]       run a Keras script, unchanged, with anabranch in Keras's place;
      -m MODULE [ARGS …]    the same for a module or package, - for standard input
  demo [--epochs N] [--limit N]
                            show the toy ResNet, train it on CIFAR-10, print its test accuracy
  summary SCRIPT[:NAME]     run a script, or import a module, and print the table of its models,
                            or of the one named: a model, or a function that makes one
  view FILE[:NAME] [--out PAGE.html]
                            open the interactive page of the models of a script or a .keras file, or write it
  lint FILE[:NAME] [--ignore CODES] [--select CODES] [--json]
                            print what is probably wrong with the models of a script, module or
                            .keras file, with reasons and repairs; 1 where there is an error
  check SCRIPT|FOLDER … [--fix] [--json]
                            print what scripts and notebooks of Keras need that is not here or is called
                            otherwise today, where, and what to write, without running them; 1 where
                            something is missing; --fix rewrites their imports
  inspect FILE              print what a file of a model or of weights holds, without building it
  convert A B [--model FILE.keras] [--max-shard-size GB]
                            write the weights of A as the name B says: .keras, .weights.h5, .safetensors
  doctor                    print versions, devices, threads, and which data sets are downloaded
"""
IMPORTLIB = "<frozen importlib"  # how the frames of an import name their file


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command, *rest = arguments or ["--help"]
    if command in ("-h", "--help", "help"):
        _say(USAGE.rstrip())
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
    try:
        code = COMMANDS[command](rest)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _say(text: str) -> None:
    """Print a text, with plain signs where the output's encoding lacks others."""
    from anabranch._errors import printable

    print(printable(text))


def run(arguments: list[str]) -> int:
    """Run a script with Keras's names meaning anabranch."""
    if not arguments:
        print(USAGE, end="", file=sys.stderr)
        return 2
    if arguments[0] in ("-h", "--help"):
        _say(USAGE.rstrip())
        return 0
    if arguments[0] == "-m":
        return _run_module(arguments[1:])
    if arguments[0] == "-":
        _stand_in("")
        _execute(compile(sys.stdin.read(), "<stdin>", "exec", dont_inherit=True), arguments, {})
        return 0
    script = _script(arguments[0])
    if script is None:
        return 2
    execute(script, arguments)
    return 0


def execute(script: str, arguments: list[str]) -> dict[str, object]:
    """Run ``script`` as ``python SCRIPT`` would, under the stand-in, and return its globals."""
    _stand_in(os.path.dirname(os.path.realpath(script)))
    path = os.path.abspath(script)
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)  # our own __future__ imports are not the script's
    return _execute(code, arguments, {"__file__": path, "__cached__": None})


def _run_module(arguments: list[str]) -> int:
    """Run a module or a package's ``__main__``, as ``python -m MODULE`` would, under the stand-in."""
    if not arguments:
        print(USAGE, end="", file=sys.stderr)
        return 2
    name = arguments[0]
    _stand_in(os.getcwd())
    spec = _spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = _spec(f"{name}.__main__")
    if spec is None or spec.origin is None:
        print(f"anabranch: there is no module {name} to run in {os.getcwd()}", file=sys.stderr)
        return 2
    loader: Any = spec.loader
    place = {
        "__file__": spec.origin,
        "__cached__": spec.cached,
        "__spec__": spec,
        "__loader__": loader,
        "__package__": spec.parent,
    }
    _execute(loader.get_code(spec.name), [spec.origin, *arguments[1:]], place)
    return 0


def _spec(name: str) -> ModuleSpec | None:
    """Return where a module is, importing the packages around it; None where there is none."""
    import importlib.util

    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise  # something that a package around it imports
        return None


def _execute(code: CodeType, arguments: list[str], place: dict[str, object]) -> dict[str, object]:
    """Run code as the module ``__main__`` and return its globals."""
    sys.argv = arguments
    module = type(sys)("__main__")
    module.__dict__.update({"__builtins__": __builtins__} | place)
    sys.modules["__main__"] = module
    exec(code, module.__dict__)
    return module.__dict__


def _stand_in(folder: str) -> None:
    """Prepare the process for a user's code that is in ``folder``."""
    from anabranch import stand_in

    stand_in.install()
    sys.excepthook = _show
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print a traceback that begins in the user's code; that of a user's mistake ends there too."""
    from anabranch._errors import PRINTERS, AnabranchError

    PRINTERS.add(__name__)

    steps: list[TracebackType] = []
    while traceback is not None:
        steps.append(traceback)
        traceback = traceback.tb_next
    files = [step.tb_frame.f_code.co_filename for step in steps]
    begin = len(files) - files[::-1].index(__file__) if __file__ in files else 0
    hidden = (IMPORTLIB, os.path.dirname(__file__) + os.sep) if isinstance(error, AnabranchError) else (IMPORTLIB,)
    shown = [step for step, file in zip(steps[begin:], files[begin:], strict=True) if not file.startswith(hidden)]
    for step, following in zip(shown, [*shown[1:], None], strict=False):  # none is left of a syntax error
        step.tb_next = following
    # Python prints it: a hook that imports the module traceback loses the exit code of Ctrl-C
    sys.__excepthook__(kind, error.with_traceback(shown[0] if shown else None), shown[0] if shown else None)


def _script(name: str) -> str | None:
    if os.path.isdir(name):
        print(f"anabranch: {name} is a folder; a script is wanted", file=sys.stderr)
        return None
    if not os.path.exists(name):
        print(f"anabranch: there is no {name} in {os.getcwd()}", file=sys.stderr)
        return None
    if not os.access(name, os.R_OK):
        print(f"anabranch: {name} may not be read by this user", file=sys.stderr)
        return None
    return name


def demo(arguments: list[str]) -> int:
    """Show, train and measure the toy ResNet."""
    from anabranch.demo import main as demonstrate

    return demonstrate(arguments)


def summary(arguments: list[str]) -> int:
    """Print the table of the models that a script or module leaves, or of the one named."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(USAGE, end="", file=sys.stderr)
        return 2
    found = _models(arguments[0])
    for model in found or ():
        model.summary()
    return 2 if found is None else 0 if found else 1


def view(arguments: list[str]) -> int:
    """Show the interactive page of the models of a file, or write that of one."""
    import argparse

    parser = argparse.ArgumentParser("anabranch view")
    parser.add_argument("file", metavar="FILE[:NAME]", help="a script, a module or a .keras file")
    parser.add_argument("--out", metavar="PAGE.html", help="write the page instead of opening a browser")
    try:
        given = parser.parse_args(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    found = _models(given.file)
    if given.out and found and len(found) > 1:
        names = ", ".join(model.name for model in found)
        print(f"anabranch: {given.file} has several models, and --out takes one: {names}; add :NAME", file=sys.stderr)
        return 2
    for model in found or ():
        model.view(given.out, open=not given.out)
    return 2 if found is None else 0 if found else 1


def _models(argument: str, *, compiled: bool = False) -> list[Any] | None:
    """Return the models of a script, module or file, or the one named after a colon; None where there is no such file."""
    name, colon, wanted = argument.rpartition(":")
    if not colon or os.path.exists(argument):
        name, wanted = argument, ""
    if name.endswith(".keras"):
        return _saved(name, compiled)
    names = _names(name)
    if names is None:
        return None
    from anabranch.models import Model

    found = {key: value for key, value in names.items() if isinstance(value, Model)}
    if wanted and wanted not in found and callable(made_by := names.get(wanted)) and isinstance(made := made_by(), Model):
        found[wanted] = made
    models = {wanted: found[wanted]} if wanted in found else {} if wanted else found
    if not models:
        looked = f"model called {wanted!r}" if wanted else "model"
        print(f"anabranch: {name} leaves no {looked}; it has: {', '.join(found) or 'none'}", file=sys.stderr)
    return list(dict.fromkeys(models.values()))


def _saved(name: str, compiled: bool) -> list[Any]:
    """Return the model of a file, none where it cannot be read, which is then said."""
    from anabranch._errors import AnabranchError
    from anabranch.models import load_model

    try:
        return [load_model(name, compile=compiled)]
    except AnabranchError as error:
        print(f"anabranch: {error.plain()}", file=sys.stderr)
        return []


def _names(name: str) -> dict[str, object] | None:
    """Run a script, or import a module, and return its globals; None where there is neither, which is then said."""
    if os.path.isfile(name) or name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        script = _script(name)
        return execute(script, [script]) if script else None
    import importlib

    _stand_in(os.getcwd())
    if _spec(name) is not None:
        return vars(importlib.import_module(name))
    print(f"anabranch: there is neither a file nor a module {name} in {os.getcwd()}", file=sys.stderr)
    return None


def lint(arguments: list[str]) -> int:
    """Print what is probably wrong with the models of a file; 1 where there is an error, 2 where there is no model."""
    import argparse
    import contextlib
    import json

    parser = argparse.ArgumentParser("anabranch lint")
    parser.add_argument("file", metavar="FILE[:NAME]", help="a script, a module or a .keras file")
    parser.add_argument("--ignore", default="", metavar="CODES", help="codes, or their beginnings, to leave out: AB401,AB5")
    parser.add_argument("--select", default="", metavar="CODES", help="codes, or their beginnings, to look for")
    parser.add_argument("--json", action="store_true", help="print JSON")
    try:
        given = parser.parse_args(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    from anabranch._errors import AnabranchError

    with contextlib.redirect_stdout(sys.stderr):  # what a script prints is no finding
        models = [model for model in _models(given.file, compiled=True) or () if model._graph_ is not None]
    if not models:
        return 2
    try:
        found = [model.lint(ignore=given.ignore, select=given.select) for model in models]
    except AnabranchError as error:
        print(f"anabranch: {error.plain()}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps([{"model": each.model, "findings": each.records()} for each in found], indent=1))
    else:
        _say("\n".join(each.text() for each in found))
    return 1 if any(each.of("error") for each in found) else 0


def check(arguments: list[str]) -> int:
    """Print what scripts need that is not here; 1 where something is missing, 2 where there is no such file."""
    import argparse
    import json
    from dataclasses import asdict

    parser = argparse.ArgumentParser("anabranch check")
    parser.add_argument("paths", nargs="+", metavar="SCRIPT|FOLDER", help="a script, a notebook or a folder of them")
    parser.add_argument("--fix", action="store_true", help="rewrite imports, and nothing else")
    parser.add_argument("--json", action="store_true", help="print JSON")
    try:
        given = parser.parse_args(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    from anabranch.stand_in import checking, rewriting

    wrong = [path for path in given.paths if not os.access(path, os.R_OK)]
    if wrong:
        print(f"anabranch: there is no {wrong[0]} that can be read", file=sys.stderr)
        return 2
    paths = checking.files(given.paths)
    if given.fix:
        for path in paths:
            if (text := rewriting.rewritten(path)) is not None:
                path.write_text(text, "utf-8")
                print(f"{path}: imports rewritten", file=sys.stderr)
            print("".join(f"{line}\n" for line in rewriting.left(path)), end="", file=sys.stderr)
    found = [each for path in paths for each in checking.check(path)]
    if given.json:
        print(json.dumps([asdict(each) for each in found], indent=1))
    else:
        _say("\n".join([*(each.text() for each in found), checking.summed(paths, found)]))
    return 1 if any(each.kind != "former" for each in found) else 0


def inspect(arguments: list[str]) -> int:
    """Print what a file holds."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(USAGE, end="", file=sys.stderr)
        return 2
    from anabranch.saving import contents

    return _printed(lambda: contents.described(arguments[0]))


def convert(arguments: list[str]) -> int:
    """Write the weights of a file in another format."""
    import argparse

    parser = argparse.ArgumentParser("anabranch convert")
    parser.add_argument("source", metavar="A")
    parser.add_argument("target", metavar="B")
    parser.add_argument("--model", metavar="FILE.keras", help="whose model has the weights, where paths need one")
    parser.add_argument("--max-shard-size", type=float, metavar="GB", help="of each of several files")
    try:
        given = parser.parse_args(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    from anabranch.saving import converting

    return _printed(lambda: converting.convert(given.source, given.target, given.model, given.max_shard_size))


def _printed(made: Callable[[], str]) -> int:
    """Print a text, or the error that is in its place."""
    from anabranch._errors import AnabranchError

    try:
        _say(made())
    except AnabranchError as error:
        print(f"anabranch: {error.plain()}", file=sys.stderr)
        return 1
    return 0


def doctor(arguments: list[str]) -> int:
    """Print what this installation runs on."""
    import importlib.metadata
    import platform

    import anabranch
    from anabranch import config, datasets, runtime

    print(f"anabranch    {anabranch.__version__}")
    print(f"python       {platform.python_version()} on {platform.platform()}")
    for package in ("torch", "numpy", "safetensors", "rich", "torchmetrics"):
        try:
            print(f"{package:<12} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{package:<12} not installed")
    print(f"device       {runtime.describe_device()}")
    print(f"threads      {runtime.threads()} of {os.cpu_count()} cores")
    print(f"data folder  {config.data_folder()}")
    for name, there in datasets.downloaded().items():
        print(f"  {name:<14} {'there' if there else 'not there; downloaded on first use'}")
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": run, "demo": demo, "summary": summary, "view": view, "lint": lint, "check": check, "inspect": inspect,
    "convert": convert, "doctor": doctor,
}  # fmt: skip
