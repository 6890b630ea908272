"""What the comparisons share: running the two programs and reading models."""

import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file


def run(*command: str) -> None:
    """Ends with what the program said unless it succeeds."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode} on {command[-2:]}:\n{done.stdout}{done.stderr}")


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a model's files."""
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}
