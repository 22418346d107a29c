"""Fuzzing of the readers of files guided by coverage: atheris keeps what reaches new lines and mutates it further."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import atheris

WATCHED = ["anabranch.saving", "anabranch.registry", "anabranch.models.architecture", "anabranch.models.registry", "zipfile"]


def run(inputs: int, seed: int, out: Path | None) -> int:
    """Read so many inputs; the first byte says which reader gets the rest."""
    with atheris.instrument_imports(include=WATCHED):
        import zipfile  # noqa: F401

        import anabranch.models.architecture
        import anabranch.models.registry
        import anabranch.registry
        import anabranch.saving.archive
        import anabranch.saving.hdf5
        import anabranch.saving.keras_file
        import anabranch.saving.safetensors_format  # noqa: F401
    from fuzz import files

    names = list(files.READERS)
    running = files.Run(out)

    def one(data: bytes) -> None:
        if data:
            running.one(names[data[0] % len(names)], data[1:])
        if running.count >= inputs:
            code = files.finish(running, seed, "guided by coverage")
            sys.stdout.flush()
            os._exit(code)

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if not data or rng.random() < 0.05:
            name = rng.choices(names, [reader.share for reader in files.READERS.values()])[0]
            data = bytes([names.index(name)]) + rng.choice(running.files[name])
        rest = data[1:]
        if rng.random() < 0.2:
            rest = atheris.Mutate(rest, max_size - 1)
        else:
            rest = files.READERS[names[data[0] % len(names)]].mutate(rng, rest)
        return (data[:1] + rest)[:max_size]

    options = [
        sys.argv[0],
        f"-seed={seed % 2**31 or 1}",
        "-max_len=60000",
        "-rss_limit_mb=0",
        "-print_final_stats=0",
        "-verbosity=0",
        "-timeout=0",
        "-len_control=0",
    ]
    atheris.Setup(options, one, custom_mutator=mutated)
    atheris.Fuzz()
    return 0
