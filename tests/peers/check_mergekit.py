"""Merges the quickstart pool with mergekit and with `merger`, and compares every element.

    python check_mergekit.py POOL WORK [EXPORTED.yaml]

POOL is the folder of the checkpoints, WORK an empty folder, EXPORTED a recipe that `mergesearch export` wrote. `merger` and
`mergekit-yaml` are taken from PATH; both read the same file. Exits 1 with one sentence at the first difference of more than one
bf16 unit. Where weighted terms nearly cancel, mergekit's rounding error in f32 comes on top, and such elements are counted.
"""

import argparse
import sys
from pathlib import Path

import torch
import yaml

from models import run, tensors

# mergekit multiplies and adds in f32; each of its operations is off by at most half of this, relative to the operand.
F32_UNIT = 2.0**-23


def linear(pool: Path) -> dict:
    """All sixteen, with weights of both signs that sum to 1."""
    names = sorted(folder.name for folder in pool.iterdir() if folder.name != "ancestor" and folder.is_dir())
    raw = [0.31 - 0.057 * index if index % 3 else 0.11 * index for index in range(len(names))]
    weights = [weight / sum(raw) for weight in raw]
    models = [{"model": str(pool / name), "parameters": {"weight": weight}} for name, weight in zip(names, weights)]
    return {"merge_method": "linear", "models": models, "parameters": {"normalize": False}}


def task_arithmetic(pool: Path) -> dict:
    """Three task vectors on the ancestor, two layers apart from the rest."""
    weights = {"sft-1": 0.6, "sft-3": [0.2, 0.5, 0.9], "pref-2": [{"filter": "mlp", "value": 0.7}, {"value": -0.25}]}
    models = [{"model": str(pool / name), "parameters": {"weight": weight}} for name, weight in weights.items()]
    base = str(pool / "ancestor")
    return {"merge_method": "task_arithmetic", "base_model": base, "models": models, "parameters": {"lambda": 0.8}}


def slerp(pool: Path) -> dict:
    """Two models, the attention at another angle than the rest."""
    base, other = str(pool / "sft-2"), str(pool / "pref-5")
    t = [{"filter": "self_attn", "value": 0.3}, {"value": 0.65}]
    return {"merge_method": "slerp", "base_model": base, "models": [{"model": base}, {"model": other}], "parameters": {"t": t}}


def unit(values: torch.Tensor) -> torch.Tensor:
    """The distance from a bf16 number to the next larger one in magnitude, in f64."""
    exponents = torch.frexp(values.abs().to(torch.float64)).exponent.clamp(min=-125)
    return torch.ldexp(torch.ones_like(values, dtype=torch.float64), exponents - 8)


def rounding_error(name: str, sources: dict[str, dict[str, torch.Tensor]]) -> torch.Tensor:
    """What f32 arithmetic may be off by: a few units of the sum of the absolute terms, weights taken as at most 2."""
    magnitude = sum(source[name].abs().to(torch.float64) for source in sources.values())
    return 2 * F32_UNIT * (len(sources) + 4) * magnitude


def compare(label: str, config: dict, theirs: Path, ours: Path) -> None:
    left, right = tensors(theirs), tensors(ours)
    if left.keys() != right.keys():
        sys.exit(f"{label}: only one of the two models has {sorted(left.keys() ^ right.keys())}")
    folders = {model["model"] for model in config["models"]} | {config[key] for key in ["base_model"] if key in config}
    sources = {folder: tensors(Path(folder)) for folder in folders}
    total = equal = cancelled = 0
    for name, their in left.items():
        our = right[name]
        if (their.dtype, their.shape) != (our.dtype, our.shape) or their.dtype != torch.bfloat16:
            sys.exit(f"{label}: {name} is {their.dtype} {tuple(their.shape)} by mergekit, {our.dtype} {tuple(our.shape)} by merger")
        difference = (their.to(torch.float64) - our.to(torch.float64)).abs()
        one_unit = torch.maximum(unit(their), unit(our))
        allowed = one_unit + rounding_error(name, sources)
        # Not `>`: a NaN must fail too.
        wrong = ~(difference <= allowed)
        if wrong.any():
            place = int(wrong.flatten().nonzero()[0])
            values = (their.flatten()[place].item(), our.flatten()[place].item())
            sys.exit(f"{label}: {name}[{place}] is {values[0]} by mergekit, {values[1]} by merger, expected within one bf16 unit")
        total += difference.numel()
        equal += int((difference == 0).sum())
        cancelled += int((difference > one_unit).sum())
    print(f"{label}: {total} elements, {100 * equal / total:.3f} % equal, {total - equal - cancelled} one unit apart, "
          f"{cancelled} further, within mergekit's rounding error")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare merger with mergekit.")
    parser.add_argument("pool", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("exported", type=Path, nargs="?")
    arguments = parser.parse_args()
    pool, work = arguments.pool.resolve(), arguments.work.resolve()

    configs = {make.__name__: make(pool) for make in (linear, task_arithmetic, slerp)}
    for config in configs.values():
        config |= {"dtype": "float32", "out_dtype": "bfloat16"}
    files = {}
    for label, config in configs.items():
        files[label] = work / f"{label}.yaml"
        files[label].write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    if arguments.exported:
        files["exported"] = arguments.exported
        configs["exported"] = yaml.safe_load(arguments.exported.read_text(encoding="utf-8"))

    for label, file in files.items():
        theirs, ours = work / f"{label}-mergekit", work / f"{label}-merger"
        run("mergekit-yaml", "--quiet", str(file), str(theirs))
        run("merger", "merge", "--recipe", str(file), "--output", f"file://{ours}")
        compare(label, configs[label], theirs, ours)


if __name__ == "__main__":
    main()
