"""What ten architectures cost by ``model.cost()``, beside what torch counts and allocates, as JSON and as a table for the docs.

``python bench/costs.py [--write]`` writes ``results/DATE-costs.json``, and the table into ``docs/seeing.md``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "bench")]
PAGE = ROOT / "docs" / "seeing.md"
BEGIN, END = "<!-- costs -->\n", "<!-- end of costs -->\n"
BATCH = 2
PUBLISHED = {
    "resnet50": "25,557,032 parameters, 4.09 G (torchvision)",
    "mobilenet": "569 M (Howard et al. 2017, table 4); 315 positions (Araujo et al. 2019, table 1)",
    "toy_resnet": "223,242 parameters (Keras)",
}


def measured(name: str) -> dict[str, Any]:
    """Return what one architecture costs, counted and measured."""
    import torch
    from architectures import ARCHITECTURES
    from measured_memory import peak_memory
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    import anabranch

    model = ARCHITECTURES[name](anabranch)
    sample, found, module = model.cost(), model.cost(batch=BATCH), model.to_torch()
    data = [torch.ones((BATCH, *x.shape[1:])).to(getattr(torch, x.dtype)) for x in model.inputs]
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module.eval()(*data)  # of attention, torch counts the products of this form alone on a CPU
    fields = [row.receptive_field for row in sample.rows if row.receptive_field and None not in row.receptive_field]
    return {
        "params": sample.params,
        "trainable params": sample.trainable_params,
        "macs": sample.macs,
        "macs by torch": counter.get_total_flops() // 2 // BATCH,
        "receptive field": max(map(list, fields), default=[]),
        "peak inference": found.peak_inference,
        "peak inference by torch": peak_memory(module, data, False),
        "peak training": found.peak_training,
        "peak training by torch": peak_memory(module, data, True),
        "published": PUBLISHED.get(name, ""),
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the table in Markdown."""
    from anabranch._tables import number_text

    lines = [
        "| architecture | trained parameters | MACs | by torch | receptive field | peak, inference: counted / by torch | "
        "peak, training: counted / by torch | published |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for name, row in rows.items():
        peaks = [
            f"{row[f'peak {kind}'] / 2**20:.1f} / {row[f'peak {kind} by torch'] / 2**20:.1f} MB"
            for kind in ("inference", "training")
        ]
        field = " × ".join(map(str, row["receptive field"])) if len(row["receptive field"]) > 1 else "–"
        cells = [
            name,
            f"{row['trainable params']:,}",
            number_text(row["macs"]),
            number_text(row["macs by torch"]),
            field,
            *peaks,
        ]
        lines.append("| " + " | ".join([*cells, row["published"]]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write, print."""
    from architectures import ARCHITECTURES
    from machine import describe

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(ARCHITECTURES), metavar="NAME")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / f"{datetime.date.today()}-costs.json")
    parser.add_argument("--write", action="store_true", help="put the table into docs/seeing.md")
    given = parser.parse_args()
    rows = {name: measured(name) for name in given.only}
    results = {"machine": describe(1), "setting": {"batch of the peaks": BATCH, "dtype": "float32"}, "rows": rows}
    given.out.write_text(json.dumps(results, indent=1) + "\n")
    made = table(rows)
    if given.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + made + END + rest.partition(END)[2])
    print(made)


if __name__ == "__main__":
    main()
