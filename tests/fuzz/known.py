"""Known differences from Keras, each with its reason. The texts in ``known/`` have them in the form of what the fuzzer prints:

    the reason
    pattern of what was called: pattern of the way in which it differs
      here:  pattern that begins what Anabranch gives
      Keras: pattern that begins what Keras gives
      among: pattern that is found in the script
      with:  pattern that is found in the versions that show it, such as "torch 2.13.0, numpy 2.4.6"
        a script that shows the difference; the test runs it, so that no entry is stale

Any of the indented lines may be missing. Patterns are regular expressions; in them, the names below stand for what they name.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

from fuzz.beside import Difference

NAMES = {
    "<elementwise>": "(Activation|ReLU|LeakyReLU|ELU|PReLU|Softmax|Dropout|SpatialDropout.D|GaussianNoise|GaussianDropout|"
    "ActivityRegularization|Masking|Rescaling|UnitNormalization|RMSNormalization|LayerNormalization|GroupNormalization|"
    "BatchNormalization|Random.*|Global.*|(Max|Average)Pooling.D|UpSampling2D|Normalization|Dot|Average)",
    "<moving>": "(ZeroPadding.D|Cropping.D|UpSampling.D|RepeatVector|Add|Subtract|Multiply|Maximum|Minimum|Concatenate|Average|"
    "Dot|Flatten|Reshape|Permute)",
    "<merging>": "(Add|Average|Maximum|Minimum|Subtract|Multiply)",
    "<integer>": "(u?int(8|16|32|64)|bool)",
    "<number>": r"(?m)keras[.]ops[.].*[(\[, ](x\d?=|y=|a=|values=|weights=)?(True|-?\d[\d.e*]*)[,)\]]",  # among the operands
}

INSTALLED = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy"))


class Known:
    """A difference that is meant, or that is Keras's mistake."""

    def __init__(self, text: str) -> None:
        self.reason, head, *rest = text.splitlines()
        self.subject, _, self.what = _named(head).rpartition(": ")
        self.conditions = {line[2:7].rstrip(":"): _named(line[9:]) for line in rest if not line.startswith("    ")}
        self.shown = [line[4:] for line in rest if line.startswith("    ")]
        self.holds = re.search(self.conditions.get("with", ""), INSTALLED) is not None
        """Whether the versions that are installed show it."""

    def fits(self, found: Difference) -> bool:
        """Return whether the entry speaks of a difference."""
        return (
            self.holds
            and re.fullmatch(self.subject, found.subject) is not None
            and re.fullmatch(self.what, found.what) is not None
            and re.match(self.conditions.get("here", ""), found.ours) is not None
            and re.match(self.conditions.get("Keras", ""), found.theirs) is not None
            and re.search(self.conditions.get("among", ""), "\n".join(found.lines)) is not None
        )


def _named(pattern: str) -> str:
    for name, meant in NAMES.items():
        pattern = pattern.replace(name, meant)
    return pattern


def known(found: Difference) -> Known | None:
    """Return the entry that speaks of a difference."""
    return next((each for each in KNOWN if each.fits(found)), None)


FILES = ("keras", "functions", "layers", "graphs", "training")
KNOWN = [
    Known(text) for name in FILES for text in (Path(__file__).with_name("known") / f"{name}.txt").read_text().split("\n\n")
]
