"""Compares joined vocabularies with mergekit's, row by row of the same token.

    python check_vocabularies.py WORK

WORK is an empty folder; `merger` and `mergekit-yaml` are taken from PATH. Models are tiny and random; the second has the first's words
in another order, and some more.
"""

import argparse
import sys
from pathlib import Path

import torch
import yaml
from models import run, tensors
from tokenizers import AddedToken, Tokenizer, models
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

# Of the largest number of a tensor: mergekit computes in float32, we round once.
LIMIT = 1e-6
WORDS = {
    "a": (["<unk>", "one", "two", "three", "four"], ["<end>"]),
    "b": (["<unk>", "four", "three", "five", "two", "one"], ["<end>", "<tool>"]),
    "base": (["<unk>", "one", "two", "five"], []),
}
CASES = {
    "linear, union": {"merge_method": "linear", "tokenizer": {"source": "union"}},
    "linear, union, padded": {"merge_method": "linear", "tokenizer": {"source": "union", "pad_to_multiple_of": 16}},
    "linear, of the second": {"merge_method": "linear", "tokenizer": {"source": "b"}},
    "task_arithmetic, union": {"merge_method": "task_arithmetic", "base_model": "base", "tokenizer": {"source": "union"}},
    "task_arithmetic, of the base": {"merge_method": "task_arithmetic", "base_model": "base", "tokenizer": {"source": "base"}},
}


def write(folder: Path, name: str) -> None:
    words, added = WORDS[name]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in added])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder / name)
    torch.manual_seed(len(words))
    config = LlamaConfig(vocab_size=len(words) + len(added), hidden_size=24, intermediate_size=56, num_hidden_layers=1,
                         num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False, bos_token_id=0, eos_token_id=0)
    LlamaForCausalLM(config).save_pretrained(folder / name)


def check(work: Path, place: int, name: str) -> str:
    folder = work / str(place)
    folder.mkdir()
    config = {"models": [{"model": str(work / model), "parameters": {"weight": weight}} for model, weight in (("a", 0.7), ("b", 0.4))],
              "dtype": "float32", "parameters": {"normalize": False}} | CASES[name]
    if "base_model" in config:
        config["base_model"] = str(work / config["base_model"])
    if config["tokenizer"]["source"] in ("a", "b"):
        config["tokenizer"] = config["tokenizer"] | {"source": str(work / config["tokenizer"]["source"])}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    run("merger", "merge", "--recipe", str(folder / "config.yaml"), "--output", f"file://{folder / 'ours'}")
    run("mergekit-yaml", "--quiet", str(folder / "config.yaml"), str(folder / "theirs"))
    ours, theirs = tensors(folder / "ours"), tensors(folder / "theirs")
    vocabularies = [AutoTokenizer.from_pretrained(folder / side).get_vocab() for side in ("ours", "theirs")]
    if vocabularies[0].keys() != vocabularies[1].keys() or ours.keys() != theirs.keys():
        sys.exit(f"{name}: tokens or tensors differ: {sorted(vocabularies[0])}, {sorted(vocabularies[1])}")
    worst = 0.0
    for tensor, own in ours.items():
        other = theirs[tensor]
        if own.shape != other.shape:
            sys.exit(f"{name}: {tensor} has shape {own.shape}, mergekit's {other.shape}")
        if "embed" in tensor or "lm_head" in tensor:
            order = sorted(vocabularies[0])
            left = own[[vocabularies[0][token] for token in order]]
            right = other[[vocabularies[1][token] for token in order]]
            own, other = left, right
        worst = max(worst, ((own - other).abs().max() / other.abs().max()).item())
    if worst > LIMIT:
        sys.exit(f"{name}: {worst:.1e} from mergekit, expected {LIMIT:.0e} at most")
    return f"{name}: {len(vocabularies[0])} tokens, at most {worst:.1e} from mergekit"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare joined vocabularies with mergekit.")
    parser.add_argument("work", type=Path)
    work = parser.parse_args().work.resolve()
    for name in WORDS:
        write(work, name)
    for place, name in enumerate(CASES):
        print(check(work, place, name), flush=True)


if __name__ == "__main__":
    main()
