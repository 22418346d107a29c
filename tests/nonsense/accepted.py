"""Why a wrong value is accepted: rules, the first of which that fits gives the reason. What none fits, the test reports."""

from __future__ import annotations

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """A reason for accepting.

    Args:
        reason: why.
        names: a pattern of ``name(argument)``.
        values: the values' labels; () for all.
    """

    reason: str
    names: str
    values: tuple[str, ...] = ()

    def fits(self, name: str, argument: str, value: str) -> bool:
        """Return whether the rule speaks of a case."""
        return (not self.values or value in self.values) and re.fullmatch(self.names, f"{name}({argument})") is not None


NUMBERS = ("True", "-1", "0", "1.5", "nan", "inf")
DATA = "data are whatever the caller packs"

RULES = (
    Rule("None is the default, or means none", r".*", ("None",)),
    Rule("a boolean; 0 is taken for False", r".*", ("True", "0")),
    Rule("a count, size, axis, index, bound, rate or seed may be 0", r".*", ("0",)),
    Rule("names are any string", r".*\((name|monitor|separator|filename|package|aggregation)\)", ("'a'",)),
    Rule(
        "operands of functions: numbers are tensors without axes",
        r"(ops|activations|symbolic operator|optimizers\.schedules).*",
        NUMBERS,
    ),
    Rule("any number is an initial value", r"Variable\(initializer\)", NUMBERS),
    Rule("a float, which 2**70 is too", r".*", ("2**70", "1.5")),
    Rule("a limit or an amount may be infinite", r"(ops|activations|random|optimizers\.schedules|losses|metrics).*", ("inf",)),
    Rule("axes, shifts, offsets and seeds count from the end or may be below 0", r".*", ("-1",)),
    Rule("an empty list or dict is none", r".*", ("{}", "[]")),
    Rule("empty arrays have empty results", r".*", ("zeros(0)",)),
    Rule("any rank serves", r".*", ("ones of rank 6",)),
    Rule("data for calibration, which nothing reads yet", r"quantizers\.(GPTQ|AWQ)Config\((dataset|tokenizer)\)"),
    Rule(
        "missing values are values: sums, means and comparisons give NaN",
        r"(losses|metrics|layers|random|initializers|quantizers).*",
        ("nan", "inf"),
    ),
    Rule("plain data are their own JSON", r"(utils|saving)\.(de)?serialize_keras_object\((obj|config)\)"),
    Rule(DATA, r"utils\.(un)?pack_x_y_sample_weight\(.*\)"),
    Rule("asked of anything", r"utils\.is_keras_tensor\(x\)"),
    Rule("what is shown, and names of values", r"utils\.Progbar\((unit_name|state(ful|less)_metrics)\)", ("'a'", "['a']")),
    Rule("the bar then moves at the end alone", r"utils\.Progbar\(interval\)", ("inf",)),
    Rule("what can be iterated over is fetched", r"utils\.prefetch\(items\)"),
    Rule("only handed on to callbacks", r"callbacks\.CallbackList\(model\)"),
    Rule(
        "a loss of the caller's own may use them; this one does not",
        r"Model\.compute_loss\((x|training)\)|Model\.compute_metrics\((x|sample_weight)\)",
    ),
    Rule("a loss that has no scale goes on as it is", r"optimizers\.Optimizer\.scale_loss\(loss\)"),
    Rule("stored for the user's own methods", r"callbacks\.Callback\.set_(model|params)\((model|params)\)"),
    Rule("a selector may fit nothing", r"Model\.select\(selector\)", ("'a'", "['a']")),
    Rule("a pattern of names", r".*\.exclude_from_weight_decay\(var_names\)", ("['a']",)),
    Rule("put before names", r".*\(prefix\)", ("'a'",)),
    Rule("metrics may be arrays, a number for each class", r"the user's Metric\.result\(returned\)"),
    Rule("a loss that is not finite stays so, and its step is skipped", r".*LossScaleOptimizer\.scale_loss\(loss\)"),
    Rule("logs may be arrays", r"the user's Model\..*\(returned\)", ("nan", "inf", "zeros(0)", "ones of rank 6")),
    Rule("a number is taken for an array", r"the user's .*\(returned\)", ("True", "-1", "0", "1.5", "2**70", "nan", "inf")),
    Rule("one batch", r"the user's PyDataset\(__len__\)", ("True",)),
    Rule("its folder is made", r"callbacks\.ModelCheckpoint\(filepath\)", ("in a missing folder",)),
    Rule("any name serves", r"(callbacks\.CSVLogger|Model\.to_torch)\((filename|source)\)", ("no suffix",)),
    Rule("the mask goes on as it is", r"layers\.Layer\.compute_mask\(.*\)"),
    Rule("used where both axes are given", r"initializers\.compute_fans\(.*_axes\)"),
    Rule("anything may be asked about", r"(ops\.is_tensor|Model\.bind_inputs)\(.*\)"),
    Rule("a model of a graph is built already", r"Model\.build\(input_shape\)"),
    Rule("read as true or false", r"(Model\.call\(training\)|Model\.…=\(stop_training\))"),
    Rule("bytes are a row of integers to torch", r"ops\..*\((indices_or_sections|pad_width)\)", ("b'a'",)),
    Rule(
        "a path",
        r"Model\.(to_torch\(source|view\(path)\)|callbacks\.(BackupAndRestore\(backup_dir|TensorBoard\(log_dir)\)"
        r"|utils\.plot_model\(to_file\)",
        ("'a'",),
    ),
    Rule("a path", r"visualization\.plot_image_gallery\(path\)", ("'a'", "b'a'")),
    Rule(
        "names of devices and axes are described, whether there are such or not",
        r"distribution\.(DataParallel\(devices|DeviceMesh\((axis_names|devices)|initialize\(job_addresses)\)",
        ("'a'", "['a']"),
    ),
    Rule("data that fit would refuse are a finding", r"Model\.lint\([xy]\)"),
    Rule("a name of the user's", r"callbacks\.(RemoteMonitor|TensorBoard)\((path|field|embeddings_metadata)\)", ("'a'",)),
    Rule("a name in the file", r"KerasFileEditor\.(rename_object\(new_name|add_object\(object_path)\)", ("'a'",)),
    Rule("all weights fit into one shard", r"(saving|Model)\.save_weights\(max_shard_size\)", ("inf",)),
    Rule("refused when the values are made", r"layers\.Layer\.add_weight\(dtype\)", ("'a'",)),
    Rule("read where the metric depends on it", r"metrics\.get\(output_shape\)"),
    Rule("an initializer that draws nothing has no use for it", r"initializers\..*\(rng\)"),
    Rule("NumPy's numbers are numbers", r".*", ("float32(-1.5)", "int64(-3)", "bool_(True)")),
    Rule("operands may be complex", r"(ops|activations|symbolic operator|tree).*", ("1j",)),
    Rule(
        "names are any string",
        r".*\((name|monitor|separator|filename|package|aggregation)\)",
        ("'a' with NUL and newline", "'.'"),
    ),
    Rule("nests and leaves of any kind", r"tree\..*"),
    Rule("any function or class serves", r"utils\.get_registered_name\(obj\)"),
    Rule(
        "accepted, and not reviewed yet",
        r".*",
        (
            "-2**63 - 1",
            "1j",
            "{'a': 1}",
            "[None]",
            "[[1], [2, 3]]",
            "a list in itself",
            "a used generator",
            "'a' with NUL and newline",
            "'.'",
            "a class",
            "a layer",
            "a symbol",
            "a function of nothing",
            "an array of objects",
            "an array of strings",
            "array(nan)",
            "a meta tensor",
            "a sparse tensor",
        ),
    ),
    Rule(
        "accepted, and not reviewed yet",
        r"(distillation|export|wrappers|preprocessing|applications|legacy|utils\.(FeatureSpace|Progbar)|edit\.quantize"
        r"|layers\.(Dense|Embedding|EinsumDense|TextVectorization|StringLookup|IntegerLookup|Discretization)\."
        r"|Variable\.assign|callbacks\.(Wandb|MLflow)).*",
    ),
)


def reason(name: str, argument: str, value: str) -> str | None:
    """Return why a case is accepted, or None."""
    return next((rule.reason for rule in RULES if rule.fits(name, argument, value)), None)


def listed(accepted: list[tuple[str, str, str]]) -> str:
    """Return the reviewed list: for each reason, arguments by the values that they accept, with the names."""
    groups: dict[str, dict[tuple[str, str], list[str]]] = {}
    for name, argument, value in accepted:
        found = groups.setdefault(reason(name, argument, value) or "NO REASON", {})
        found.setdefault((value, argument), []).append(name)
    lines: list[str] = []
    for words in dict.fromkeys([*(rule.reason for rule in RULES), *groups]):
        if words in groups:
            lines += ["", f"# {words}"]
            lines += [
                f"{argument}={value}: {', '.join(sorted(names))}" for (value, argument), names in sorted(groups[words].items())
            ]
    return "\n".join(lines).lstrip()
