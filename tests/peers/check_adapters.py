"""Compares LoRA adapters laid over their base by `merger` with what PEFT makes of them.

    python check_adapters.py WORK

WORK is an empty folder; `merger` is taken from PATH. Models are tiny and random, adapters of every kind that is applied.
"""

import argparse
import sys
from pathlib import Path

import torch
import yaml
from models import run, tensors
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

# Of the largest number of a tensor: PEFT computes in float32, we round once.
LIMIT = 1e-6
LLAMA = LlamaConfig(vocab_size=97, hidden_size=24, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, tie_word_embeddings=False)
GPT2 = GPT2Config(vocab_size=89, n_positions=16, n_embd=24, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    "plain": (LLAMA, {"target_modules": ALL}),
    "rank-stabilised": (LLAMA, {"target_modules": ["q_proj"], "use_rslora": True}),
    "patterns": (LLAMA, {"target_modules": ALL, "rank_pattern": {"up_proj": 2, r"layers\.1\.self_attn\..*": 7},
                         "alpha_pattern": {"down_proj": 3, r"model\.layers\.0\..*": 5}}),
    "dora": (LLAMA, {"target_modules": ["q_proj", "up_proj"], "use_dora": True}),
    "embedding": (LLAMA, {"target_modules": ["embed_tokens", "v_proj"]}),
    "head": (LLAMA, {"target_modules": ["v_proj"], "modules_to_save": ["lm_head"]}),
    "conv1d": (GPT2, {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}),
}


def randomize(model: torch.nn.Module) -> None:
    """Gives everything that is trained other numbers, as training would."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))


def check(work: Path, name: str) -> str:
    torch.manual_seed(len(name))
    config, options = CASES[name]
    model = (LlamaForCausalLM if config is LLAMA else GPT2LMHeadModel)(config)
    folder = work / name
    model.save_pretrained(folder / "base")
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=12, **options))
    randomize(adapted)
    adapted.save_pretrained(folder / "adapter")
    expected = adapted.merge_and_unload().state_dict()
    checkpoint = lambda part: {"name": part, "uri": f"file://{folder / part}"}
    recipe = {"method": "linear", "checkpoints": [checkpoint("adapter")], "base": checkpoint("base"), "dtype": "float32",
              "groups": [{"weights": [1.0]}]}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    run("merger", "merge", "--recipe", str(folder / "recipe.yaml"), "--output", f"file://{folder / 'merged'}")
    merged = tensors(folder / "merged")
    base = tensors(folder / "base")
    if merged.keys() != base.keys():
        sys.exit(f"{name}: expected the base's tensors, got {sorted(merged)}")
    worst, changed = 0.0, 0
    for tensor, ours in merged.items():
        theirs = expected[tensor]
        worst = max(worst, ((ours - theirs).abs().max() / theirs.abs().max()).item())
        changed += not torch.equal(ours, base[tensor])
    if not changed or worst > LIMIT:
        sys.exit(f"{name}: {changed} tensors differ from the base, expected some; PEFT is {worst:.1e} away, expected {LIMIT:.0e} at most")
    return f"{name}: {changed} of {len(merged)} tensors adapted, at most {worst:.1e} from PEFT"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare adapters with PEFT.")
    parser.add_argument("work", type=Path)
    work = parser.parse_args().work.resolve()
    for name in CASES:
        print(check(work, name), flush=True)


if __name__ == "__main__":
    main()
