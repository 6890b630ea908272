"""Checks that transformers loads a checkpoint and computes the same logits as quickstart-evaluate, in f32.

    quickstart-evaluate --model-dir MODEL --results-dir OUT --stage search --logits LOGITS.json
    python check_transformers.py MODEL LOGITS.json

Exits 1 with one sentence when they differ by 1e-4 or more, when a weight of the model is missing or unused, or when the tokenizer
disagrees about an item. Writes nothing.
"""

import argparse
import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare transformers' logits with quickstart-evaluate's.")
    parser.add_argument("model", help="folder of the checkpoint")
    parser.add_argument("logits", help="the file written by quickstart-evaluate --logits")
    arguments = parser.parse_args()

    with open(arguments.logits, encoding="utf-8") as file:
        ours = json.load(file)
    model, loading = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32, output_loading_info=True)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if loading[problem]:
            sys.exit(f"{arguments.model}: transformers reports {problem.replace('_', ' ')}: {sorted(map(str, loading[problem]))}")

    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    for ids in ours["input_ids"]:
        text = tokenizer.decode(ids, skip_special_tokens=True)
        again = tokenizer(text)["input_ids"]
        if again != [token for token in ids if token not in (tokenizer.eos_token_id, tokenizer.pad_token_id)]:
            sys.exit(f"{arguments.model}: the tokenizer reads {text!r} as {again}, but the evaluator used {ids}")

    with torch.no_grad():
        theirs = model.eval()(torch.tensor(ours["input_ids"])).logits
    expected = torch.tensor(ours["logits"], dtype=torch.float32)
    if theirs.shape != expected.shape:
        sys.exit(f"{arguments.model}: transformers' logits have shape {tuple(theirs.shape)}, the evaluator's {tuple(expected.shape)}")
    difference = (theirs - expected).abs().max().item()
    # Not `>=`: a NaN must fail too.
    if not difference < TOLERANCE:
        sys.exit(f"{arguments.model}: logits differ by up to {difference:.2e}, expected less than {TOLERANCE:.0e}")
    print(f"{arguments.model}: {expected.numel()} logits agree within {difference:.2e} (largest {expected.abs().max().item():.1f})")


if __name__ == "__main__":
    main()
