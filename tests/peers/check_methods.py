"""Merges a small pool by every method with mergekit and with `merger`, in float32, and compares every element.

    python check_methods.py WORK

WORK is an empty folder. `merger` and `mergekit-yaml` are taken from PATH; both read the same file. The pool has no equal differences,
so that both trim the same elements. Deterministic methods agree to a few units of float32; an element that f32 rounding moves across a
border (of a trim, of a sign, of a threshold) may differ, but no more than one in ten thousand. The methods that drop at random draw other
numbers: theirs and ours are each held against the formula and the odds. Exits 1 with one sentence at the first disagreement.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy
import torch
import yaml
from safetensors.torch import save_file

from models import run, tensors

LAYERS = 4
SHAPES = {"self_attn.q_proj.weight": (50, 50), "mlp.up_proj.weight": (71, 50), "mlp.down_proj.weight": (50, 71),
          "input_layernorm.weight": (50,)}
# Elements of a method that may lie on the other side of a border, as a share of all.
FLIPPED = 1e-4
# Relative to the largest number in the tensor.
TOLERANCE = 2e-6

WEIGHTS = [0.5, -0.3, 0.8]
FILTERED = [{"filter": "mlp", "value": 0.4}, {"value": 0.9}]
GRADIENT = [0.2, 0.5, 0.9]


def models(*parameters: dict | None) -> list[dict]:
    names = ["a", "b", "c"]
    return [{"model": name, "parameters": own} if own else {"model": name} for name, own in zip(names, parameters)]


def weighted(**more: object) -> list[dict]:
    return models(*({"weight": weight, **more} for weight in WEIGHTS))


def sliced(*slices: tuple[str, int, int, dict | None]) -> list[dict]:
    return [{"sources": [{"model": model, "layer_range": [start, end], **({"parameters": own} if own else {})}]}
            for model, start, end, own in slices]


# Name, method, the rest of the file. Where numbers are drawn, what is expected stands in `check_random`.
CASES: list[tuple[str, str, dict]] = [
    ("linear", "linear", {"models": weighted(), "parameters": {"normalize": False}}),
    ("linear, normalised, by layers and names", "linear",
     {"models": models({"weight": GRADIENT}, {"weight": FILTERED}, {"weight": 1.0})}),
    ("slerp", "slerp", {"models": models(None, None), "base_model": "a", "parameters": {"t": FILTERED}}),
    ("nuslerp", "nuslerp", {"models": models({"weight": 0.3}, {"weight": 0.5})}),
    ("nuslerp on a base", "nuslerp", {"models": models({"weight": 0.3}, {"weight": 0.5}), "base_model": "base"}),
    ("nuslerp by rows", "nuslerp",
     {"models": models({"weight": 0.3}, {"weight": 0.5}), "parameters": {"nuslerp_flatten": False}}),
    ("multislerp", "multislerp", {"models": models({"weight": 0.2}, {"weight": 0.3}, {"weight": 0.5})}),
    ("multislerp on a base", "multislerp",
     {"models": models({"weight": 0.2}, {"weight": 0.3}, {"weight": 0.9}), "base_model": "base"}),
    ("karcher", "karcher", {"models": models(None, None, None)}),
    ("task_arithmetic", "task_arithmetic",
     {"models": weighted(), "base_model": "base", "parameters": {"lambda": 0.7}}),
    ("task_arithmetic, normalised", "task_arithmetic",
     {"models": weighted(), "base_model": "base", "parameters": {"normalize": True}}),
    ("ties", "ties", {"models": weighted(density=0.4), "base_model": "base"}),
    ("ties, a density for each", "ties",
     {"models": models({"weight": 0.5, "density": 0.3}, {"weight": 0.3, "density": FILTERED}, {"weight": 0.8}),
      "base_model": "base", "parameters": {"normalize": False, "lambda": 1.3, "density": 0.6}}),
    ("ties, rescaled", "ties",
     {"models": weighted(density=0.4), "base_model": "base", "parameters": {"rescale": True}}),
    ("breadcrumbs", "breadcrumbs", {"models": weighted(density=0.6, gamma=0.1), "base_model": "base"}),
    ("breadcrumbs_ties", "breadcrumbs_ties", {"models": weighted(density=0.6, gamma=0.1), "base_model": "base"}),
    ("model_stock", "model_stock", {"models": models(None, None, None), "base_model": "base"}),
    ("model_stock by rows", "model_stock",
     {"models": models(None, None, None), "base_model": "base", "parameters": {"filter_wise": True}}),
    ("nearswap", "nearswap", {"models": models(None, None)[1:], "base_model": "a", "parameters": {"t": 0.01}}),
    ("sce", "sce", {"models": models(None, None, None), "base_model": "base"}),
    ("sce, the most varying", "sce",
     {"models": models(None, None, None), "base_model": "base", "parameters": {"select_topk": 0.5}}),
    ("arcee_fusion", "arcee_fusion", {"models": models(None, None), "base_model": "a"}),
    ("ram", "ram", {"models": models(None, None, None), "base_model": "base", "parameters": {"epsilon": 0.02}}),
    ("ramplus_tl", "ramplus_tl",
     {"models": models(None, None, None), "base_model": "base", "parameters": {"epsilon": 0.02, "r": 0.5, "alpha": 0.4}}),
    ("passthrough", "passthrough", {"models": models({"scale": FILTERED})}),
    ("passthrough, layers stacked", "passthrough",
     {"slices": sliced(("a", 0, 3, None), ("b", 1, 4, {"scale": 0.5}), ("c", 2, 4, None))}),
]
RANDOM: list[tuple[str, str, dict]] = [
    ("dare_linear", "dare_linear", {"models": models({"weight": 0.7, "density": 0.6}), "base_model": "base"}),
    ("dare_ties", "dare_ties", {"models": models({"weight": 0.7, "density": 0.6}), "base_model": "base"}),
    ("della", "della", {"models": models({"weight": 0.7, "density": 0.6, "epsilon": 0.2}), "base_model": "base"}),
    ("della_linear", "della_linear",
     {"models": models({"weight": 0.7, "density": 0.6, "epsilon": 0.2}), "base_model": "base"}),
]


def make_pool(folder: Path) -> None:
    """Four small Llamas of random weights; the first three are the base and a difference of their own."""
    shapes = {f"model.layers.{layer}.{name}": shape for layer in range(LAYERS) for name, shape in SHAPES.items()}
    for part in ("k_proj", "v_proj", "o_proj"):
        shapes |= {f"model.layers.{layer}.self_attn.{part}.weight": (50, 50) for layer in range(LAYERS)}
    shapes |= {f"model.layers.{layer}.mlp.gate_proj.weight": (71, 50) for layer in range(LAYERS)}
    shapes |= {f"model.layers.{layer}.post_attention_layernorm.weight": (50,) for layer in range(LAYERS)}
    shapes |= {"model.embed_tokens.weight": (101, 50), "model.norm.weight": (50,), "lm_head.weight": (101, 50)}
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 50, "intermediate_size": 71,
              "num_hidden_layers": LAYERS, "num_attention_heads": 5, "num_key_value_heads": 5, "vocab_size": 101,
              "torch_dtype": "float32", "tie_word_embeddings": False}
    numbers = numpy.random.default_rng(0)
    base = {name: numbers.normal(0, 0.2, shape) for name, shape in shapes.items()}
    for name, spread in {"base": 0.0, "a": 0.05, "b": 0.08, "c": 0.11}.items():
        place = folder / name
        place.mkdir(parents=True)
        model = {tensor: torch.tensor(values + numbers.normal(0, spread, values.shape) if spread else values,
                                      dtype=torch.float32) for tensor, values in base.items()}
        save_file(model, place / "model.safetensors", metadata={"format": "pt"})
        (place / "config.json").write_text(json.dumps(config), encoding="utf-8")


def located(value: object, pool: Path) -> object:
    """The part of a file with models under their paths."""
    if isinstance(value, list):
        return [located(entry, pool) for entry in value]
    if isinstance(value, dict):
        return {key: str(pool / entry) if key in ("model", "base_model") else located(entry, pool)
                for key, entry in value.items()}
    return value


def merged(work: Path, label: str, method: str, rest: dict) -> tuple[dict, dict]:
    """Their model and ours."""
    stem = "".join(letter if letter.isalnum() else "-" for letter in label)
    file = work / f"{stem}.yaml"
    config = {"merge_method": method, "dtype": "float32", **located(rest, work / "pool")}
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    theirs, ours = work / f"{stem}-mergekit", work / f"{stem}-merger"
    run("mergekit-yaml", "--quiet", "--allow-crimes", str(file), str(theirs))
    run("merger", "merge", "--recipe", str(file), "--output", f"file://{ours}")
    return tensors(theirs), tensors(ours)


def check_equal(label: str, theirs: dict, ours: dict) -> None:
    if theirs.keys() != ours.keys():
        sys.exit(f"{label}: only one of the two models has {sorted(theirs.keys() ^ ours.keys())}")
    total = flipped = 0
    furthest = 0.0
    for name, their in theirs.items():
        our = ours[name]
        if (their.dtype, their.shape) != (our.dtype, our.shape):
            sys.exit(f"{label}: {name} is {their.dtype} {tuple(their.shape)} by mergekit, {our.dtype} {tuple(our.shape)} by merger")
        largest = max(their.abs().max().item(), our.abs().max().item())
        apart = ((their.double() - our.double()).abs() / largest).flatten()
        # Not `>`: a NaN counts too.
        far = ~(apart <= TOLERANCE)
        total += apart.numel()
        flipped += int(far.sum())
        furthest = max(furthest, float(apart[~far].max()) if (~far).any() else 0.0)
    has_border = any(word in label for word in ("ties", "breadcrumbs", "sce", "fusion", "ram"))
    is_finite = all(bool(tensor.isfinite().all()) for tensor in ours.values())
    if flipped > (FLIPPED * total if has_border else 0) or not is_finite:
        sys.exit(f"{label}: {flipped} of {total} elements differ by more than {TOLERANCE} of their tensor's largest")
    print(f"{label}: {total} elements within {furthest:.1e} of the largest, {flipped} across a border")


def kept(work: Path, model: dict, weight: float) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """For all elements of 2-dimensional tensors: the differences, what became of them, and each one's rank in its row, 0 to 1."""
    base, other = tensors(work / "pool" / "base"), tensors(work / "pool" / "a")
    deltas, results, ranks = [], [], []
    for name, tensor in model.items():
        if tensor.dim() == 2:
            delta = (other[name].double() - base[name].double()).numpy()
            deltas.append(delta.flatten())
            results.append(((tensor.double() - base[name].double()).numpy() / weight).flatten())
            order = numpy.argsort(numpy.argsort(numpy.abs(delta), axis=1), axis=1)
            ranks.append((order / (delta.shape[1] - 1)).flatten())
    return numpy.concatenate(deltas), numpy.concatenate(results), numpy.concatenate(ranks)


def check_random(label: str, work: Path, rest: dict, theirs: dict, ours: dict) -> None:
    own = rest["models"][0]["parameters"]
    weight = own["weight"] if label != "della" else 1.0  # normalised: divided by the one weight
    for who, model in (("mergekit", theirs), ("merger", ours)):
        delta, result, rank = kept(work, model, weight)
        epsilon = own.get("epsilon", 0.0)
        chance = own["density"] - epsilon + 2 * epsilon * rank
        is_kept = numpy.abs(result) > 1e-9
        for low, high in ((0, 1), (0, 0.25), (0.75, 1)):
            part = (rank >= low) & (rank <= high)
            expected, spread = chance[part].sum(), math.sqrt((chance[part] * (1 - chance[part])).sum())
            if abs(is_kept[part].sum() - expected) > 5 * spread:
                sys.exit(f"{label} by {who}: kept {is_kept[part].sum()} of ranks {low} to {high}, expected {expected:.0f} ± {spread:.0f}")
        factor = result[is_kept] / delta[is_kept]
        if who == "merger":
            # As in the papers: divided by the probability of being kept.
            wrong = numpy.abs(factor * chance[is_kept] - 1) > 1e-3 + 1e-6 / numpy.abs(delta[is_kept])
            if wrong.any():
                sys.exit(f"{label}: {wrong.sum()} kept differences aren't divided by their probability")
        print(f"{label} by {who}: kept {is_kept.mean():.4f}, factors {factor.min():.3f} to {factor.max():.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare merger with mergekit, method by method.")
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    make_pool(work / "pool")
    for label, method, rest in CASES:
        if arguments.only in label:
            check_equal(label, *merged(work, label, method, rest))
    for label, method, rest in RANDOM:
        if arguments.only in label:
            check_random(label, work, rest, *merged(work, label, method, rest))


if __name__ == "__main__":
    main()
