"""Why a wrong value is accepted: rules, the first of which that fits gives the reason. What none fits, the tests report."""

from __future__ import annotations

import re
from typing import NamedTuple

from nonsense.declared import declared
from nonsense.values import WRONG

NONE = ("None",)
TEXTS = ("'a'", "'.'", "'a' with NUL and newline", "b'a'")
FLAGS = ("True", "0", "bool_(True)")
INTEGERS = ("-1", "0", "int64(-3)", "-2**63 - 1", "2**70", "True")
FLOATS = ("1.5", "nan", "inf", "float32(-1.5)", "array(nan)", "bool_(True)")
NUMBERS = (*INTEGERS, *FLOATS)
EMPTY = ("[]", "{}", "zeros(0)")
ARRAYS = ("zeros(0)", "ones of rank 6", "a meta tensor", "a sparse tensor", "a symbol", "1j", "[[1], [2, 3]]")
CALLED = ("a class", "a layer", "a function of nothing")


class Rule(NamedTuple):
    """A reason for accepting.

    Args:
        reason: why.
        values: the values' labels; () for all.
        names: a pattern of ``name(argument)``.
        declared: a pattern of the words that the argument's annotation or field says; such a rule is for values that these
            take. None: whatever is declared; "": what is declared in no words that could be checked.
    """

    reason: str
    values: tuple[str, ...] = ()
    names: str = ".*"
    declared: str | None = None

    def fits(self, name: str, argument: str, value: str) -> bool:
        """Return whether the rule speaks of a case."""
        if (self.values and value not in self.values) or not re.fullmatch(self.names, f"{name}({argument})"):
            return False
        if self.declared is None:
            return True
        kind = declared(name, argument)
        if not self.declared:
            return not kind.words
        return bool(kind.words) and re.search(self.declared, kind.words) is not None and kind.fits(WRONG[value]())


RULES = (
    # What the declaration of an argument takes
    Rule("None is declared: the default, or none", NONE, declared="None"),
    Rule("a flag: 0 and 1 and NumPy's booleans are taken for one", FLAGS, declared="True or False"),
    Rule("a number within the declared bounds, or any where there are none", NUMBERS, declared="number|integer"),
    Rule("any string is a name, a path or a text", TEXTS, declared="string|path|bytes"),
    Rule("none of several", EMPTY, declared="list|dict|iterated|tensor"),
    Rule("an array, of whatever rank and values: NaN, infinity and complex numbers are data", declared="tensor"),
    Rule(
        "classes and layers are called as functions are; what a function takes is seen when it is called",
        CALLED,
        declared="function|class|Layer|Operation",
    ),
    Rule(
        "a dict, list or set of whatever is in it",
        (
            "{'a': 1}",
            "['a']",
            "[None]",
            "[[1], [2, 3]]",
            "a used generator",
            "a list in itself",
            "an array of objects",
            "an array of strings",
        ),
        declared="list|dict|iterated",
    ),
    # What is of any type by its nature
    Rule("None is the default, or means none, as in Keras", NONE),
    Rule("an empty one holds none of several", EMPTY, declared=""),
    Rule(
        "a name, a path or a text of the user's",
        TEXTS,
        r".*\((name|monitor|separator|filename|package|prefix|object_path"
        r"|new_name|embeddings_metadata|source|path|field|dtype|log_dir|backup_dir|to_file)\)",
    ),
    Rule("settings that are flags", FLAGS, r".*\((trainable|run_eagerly|use_bias|record_history|sparse|ragged)\)"),
    Rule("1 is a way of reporting", ("True",), r".*\(verbose\)"),
    Rule(
        "a seed, a rate or a count that is a number",
        NUMBERS,
        r".*\((seed|learning_rate|profile_batch|remat|set_seed|value"
        r"|initializer)\)",
        "",
    ),
    Rule(
        "operands: numbers are tensors without axes, and arithmetic goes on with NaN and infinity",
        (*NUMBERS, *ARRAYS),
        r"(ops|activations|symbolic operator|optimizers\.schedules|losses|metrics|layers|regularizers|constraints|Variable"
        r"|random|quantizers|initializers|distillation|Model|Sequential|utils\.(normalize|to_categorical)).*",
        "",
    ),
    Rule(
        "an object is what it is already; a function is one by itself",
        CALLED,
        r".*\.((de)?serialize|deserialize_keras_object|serialize_keras_object|get|get_registered_name|register_cost|compile"
        r"|add_weight|add_variable|add_optimizer_variables|add_variable_from_reference|swap_activation|…=)\(.*\)",
    ),
    Rule(
        "a layer is a function of a tensor",
        CALLED,
        r".*\(\w*(activation|constraint|regularizer|initializer|function|fn)\)",
    ),
    Rule("a symbolic number, known when the graph runs", ("a symbol",), r"(ops|layers)\..* of a symbol.*|ops\..*"),
    Rule("bytes are a row of integers", ("b'a'",), r"ops\..*"),
    Rule("images of whatever numbers", ("an array of objects",), r".*\.standardize\(x\)"),
    Rule(
        "selectors: classes and layers, and patterns which may fit nothing",
        (*CALLED, *TEXTS, "['a']"),
        r"Model\.(select|tap|between)\(.*\)",
    ),
    Rule("nests and leaves of any kind", (), r"tree\..*"),
    Rule("asked of anything", (), r"((utils|backend)\.is_keras_tensor|ops\.is_tensor|Model\.bind_inputs)\(.*\)"),
    Rule("plain data are their own JSON", (), r"(utils|saving)\.(de)?serialize_keras_object\(.*\)"),
    Rule("data are whatever the caller packs", (), r"utils\.(un)?pack_x_y_sample_weight\(.*\)"),
    Rule(
        "handed on to what the user writes: hooks, losses, metrics, masks, calls of their own",
        (),
        r"(callbacks\.(CallbackList|Callback\.set_model|Callback\.set_params)|Model\.(compute_loss|compute_metrics|call)"
        r"|layers\.Layer\.compute_mask|Model\(\) of its own call|distillation\..*\.validate_(outputs|model_compatibility)"
        r"|distillation\.Distiller\.compile|callbacks\.Callback\.set_(model|params)|Sequential\(\)|Model\(\)).*",
    ),
    Rule(
        "what the user's functions return is taken for numbers, shapes and settings where it is some",
        (*NUMBERS, *ARRAYS, "[None]", "{'a': 1}", "['a']", "a list in itself"),
        r"the user's .*",
    ),
    Rule("data that fit would refuse are a finding", (), r"Model\.lint\([xy]\)"),
    Rule("a model of a graph is built already", (), r"Model\.build\(input_shape\)"),
    Rule("a model's own attribute, read as true or false", (), r"Model\.…=\(stop_training\)"),
    Rule("data for calibration, which nothing reads yet", (), r"quantizers\.(GPTQ|AWQ)Config\((dataset|tokenizer)\)"),
    Rule(
        "a loss that has no scale goes on as it is; networks that scale nothing return what they are given",
        (),
        r"(.*\.scale_loss\(loss\)|applications\..*preprocess_input\(x\))",
    ),
    Rule("read where what is asked depends on it", (), r"metrics\.get\(output_shape\)"),
    Rule("a tensor gives its dtype and device, as in torch", ("a sparse tensor",), r".*\.to\(dtype\)"),
    Rule("an input without a mask", ("[None]",), r".*\((\w+_)?mask\)"),
    Rule("outputs without a target or weight", ("[None]",), r".*\((y|sample_weight|loss|metrics|weighted_metrics)\)"),
    Rule("tables learn from texts and batches of any kind", (), r"(layers\.\w+|utils\.FeatureSpace)\.adapt\((data|dataset)\)"),
    Rule("shapes of several inputs, and sizes that are not known", ("[None]", "[[1], [2, 3]]"), r".*\((input_)?shape\)"),
    Rule(
        "a dict is taken for its parts",
        ("{'a': 1}",),
        r".*(add_object\(weights|add_weights\(weights|\(vocabulary"
        r"|add_loss\(loss).*",
    ),
    Rule("labels and weights of samples go through as they are", ("an array of strings",), r".*\.flow\((y|sample_weight)\)"),
    Rule("arrays are gone over along their first axis", ARRAYS, r"utils\.(prefetch\(items|pad_sequences\(sequences)\)"),
    Rule("an iterable of weights, used up, holds none", ("a used generator",), r".*\((weights|var_list)\)"),
    Rule("names of devices, as an array of them", ("an array of strings",), r"distribution\.\w+\(devices\)"),
    Rule("an initializer for each of several weights", ("[None]",), r".*\(initializer\)"),
    Rule("inputs that are symbolic, as they should be", ("a symbol",), r".*\(input_tensors\)"),
    Rule("a folder is made, and any name serves", ("in a missing folder", "no suffix")),
)


def reason(name: str, argument: str, value: str) -> str | None:
    """Return why a case is accepted, or None."""
    return next((rule.reason for rule in RULES if rule.fits(name, argument, value)), None)


def listed(accepted: list[tuple[str, str, str]]) -> str:
    """Return the list for review: for each reason how many cases it has, then arguments by the values that they accept."""
    groups: dict[str, dict[str, set[str]]] = {}
    for name, argument, value in accepted:
        groups.setdefault(reason(name, argument, value) or "NO REASON", {}).setdefault(argument, set()).add(value)
    counts = {words: sum(reason(*case) == words for case in accepted) for words in groups}
    lines: list[str] = []
    for words in dict.fromkeys([*(rule.reason for rule in RULES), *groups]):
        if words in groups:
            lines += ["", f"# {words} ({counts[words]})"]
            lines += [f"{argument}: {', '.join(sorted(values))}" for argument, values in sorted(groups[words].items())]
    return "\n".join(lines).lstrip()
