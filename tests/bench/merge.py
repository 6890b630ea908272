"""Times `merger` beside mergekit, plain copies and rclone on generated pools, in one run; prints Markdown.

    python merge.py WORK

WORK is an empty folder with room for 20 GB. `merger` and `mergekit-yaml` are taken from PATH; VERSITYGW and RCLONE name the S3 server and
the client. Every number is the median of three runs, of one where that takes more than a minute, with all inputs in the page cache. mergekit reads the same files in the same order.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import yaml

RUNS = 3
# Seconds beyond which one run is enough.
LONG = 60
HIDDEN, FEED_FORWARD, VOCABULARY = 1024, 2816, 32768
NAMES = [f"model-{index:02}" for index in range(16)]


def shapes(layers: int) -> dict[str, tuple[int, ...]]:
    """A Llama's tensors."""
    found = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN), "model.norm.weight": (HIDDEN,)}
    for layer in range(layers):
        place = f"model.layers.{layer}."
        found |= {f"{place}self_attn.{part}_proj.weight": (HIDDEN, HIDDEN) for part in "qkvo"}
        found |= {f"{place}mlp.{part}_proj.weight": (FEED_FORWARD, HIDDEN) for part in ("gate", "up")}
        found |= {f"{place}mlp.down_proj.weight": (HIDDEN, FEED_FORWARD)}
        found |= {f"{place}{part}_layernorm.weight": (HIDDEN,) for part in ("input", "post_attention")}
    return found


def write_model(folder: Path, layers: int, seed: int) -> int:
    """One file of bf16 numbers like weights; returns its bytes."""
    folder.mkdir(parents=True)
    numbers = numpy.random.default_rng(seed)
    header, begin = {}, 0
    for name, shape in shapes(layers).items():
        end = begin + 2 * int(numpy.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    # The upper halves of f32 numbers are bf16; a block of them is written at other places of each tensor.
    block = (numbers.normal(0, 0.02, 1 << 22).astype(numpy.float32).view(numpy.uint32) >> 16).astype(numpy.uint16).tobytes()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        left = begin
        while left:
            start = 2 * int(numbers.integers(0, 1 << 20))
            piece = block[start:][:left]
            file.write(piece)
            left -= len(piece)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "vocab_size": VOCABULARY,
              "intermediate_size": FEED_FORWARD, "num_hidden_layers": layers, "num_attention_heads": 16,
              "num_key_value_heads": 16, "torch_dtype": "bfloat16", "tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return begin


def recipe(folder: Path, method: str, names: list[str], dtype: str = "float32") -> Path:
    """A mergekit YAML that both programs read."""
    own = {"weight": round(1 / len(names), 3)} | ({"density": 0.5} if method in ("ties", "dare_ties") else {})
    config: dict = {"merge_method": method, "dtype": dtype, "out_dtype": "bfloat16"}
    config["models"] = [{"model": str(folder / name)} | ({"parameters": own} if method != "slerp" else {}) for name in names]
    if method == "slerp":
        config |= {"base_model": str(folder / names[0]), "parameters": {"t": 0.4}}
    elif method != "linear":
        config["base_model"] = str(folder / "base")
    path = folder / f"{method}-{len(names)}-{dtype}.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def peak_of(child: subprocess.Popen) -> float:
    """Watches a child to its end; its peak memory in MiB. What the system says afterwards counts this program's memory too."""
    peak = 0.0
    while child.poll() is None:
        try:
            with open(f"/proc/{child.pid}/status", encoding="ascii") as status:
                found = [line.split()[1] for line in status if line.startswith("VmHWM")]
            peak = max([peak, *(int(kibibytes) / 1024 for kibibytes in found)])
        except OSError:
            pass
        time.sleep(0.005)
    return peak


def timed(*command: str, before: object = None) -> tuple[float, float]:
    """Seconds and peak memory in MiB, the medians of several runs."""
    seconds, peaks = [], []
    for _ in range(RUNS):
        if callable(before):
            before()
        begun = time.monotonic()
        with tempfile.TemporaryFile() as complaint:
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=complaint)
            peaks.append(peak_of(child))
            seconds.append(time.monotonic() - begun)
            if child.returncode:
                complaint.seek(0)
                sys.exit(f"{' '.join(command)} ended with {child.returncode}:\n{complaint.read().decode()}")
        if seconds[-1] > LONG:
            break
    return statistics.median(seconds), statistics.median(peaks)


def emptied(folder: Path) -> object:
    return lambda: shutil.rmtree(folder, ignore_errors=True)


def merger(recipe_file: Path, output: str, *more: str) -> list[str]:
    return ["merger", "merge", "--overwrite", "--recipe", str(recipe_file), "--output", output, *more]


def beside_mergekit(work: Path) -> None:
    print("| method | K | `merger` | mergekit | ratio | `merger`, memory | mergekit, memory |\n|---|---|---|---|---|---|---|")
    rows = [("linear", 8), ("linear", 16), ("slerp", 2), ("ties", 8), ("ties", 16), ("dare_ties", 8), ("dare_ties", 16)]
    for method, count in rows:
        file = recipe(work, method, NAMES[:count])
        ours, our_peak = timed(*merger(file, f"file://{work}/ours"))
        theirs, their_peak = timed("mergekit-yaml", "--quiet", str(file), str(work / "theirs"), before=emptied(work / "theirs"))
        shutil.rmtree(work / "theirs", ignore_errors=True)
        print(f"| {method} | {count} | {ours:.2f} s | {theirs:.1f} s | {theirs / ours:.0f} x | {our_peak:.0f} MiB | {their_peak:.0f} MiB |",
              flush=True)


def beside_the_limit(work: Path) -> None:
    print("\n| what | K | seconds | of the copy | of the copy kept safe |\n|---|---|---|---|---|")
    for count in (8, 16):
        files = " ".join(str(work / name / "model.safetensors") for name in NAMES[:count])
        first = work / NAMES[0] / "model.safetensors"
        plain = f"cat {files} >/dev/null; cat {first} >{work}/copy"
        loose, _ = timed("sh", "-c", plain)
        safe, _ = timed("sh", "-c", f"{plain}; sync {work}/copy")
        ours, _ = timed(*merger(recipe(work, "linear", NAMES[:count]), f"file://{work}/ours"))
        print(f"| read all, write one (`cat`) | {count} | {loose:.2f} | 1 | |")
        print(f"| the same, and `sync` the file | {count} | {safe:.2f} | | 1 |")
        print(f"| `merger`, linear | {count} | {ours:.2f} | {ours / loose:.2f} | {ours / safe:.2f} |", flush=True)
    (work / "copy").unlink()


def population(work: Path) -> None:
    print("\n| what | seconds | of one merge |\n|---|---|---|")
    file = recipe(work, "linear", NAMES[:8])
    # In memory: what a population writes, twelve models, is left out of the comparison as far as it can be.
    place = Path("/dev/shm/mergesearch-bench") if os.path.isdir("/dev/shm") else work / "population"
    before = emptied(place)
    one, _ = timed(*merger(file, f"file://{place}/0"), before=before)
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    pairs: list[str] = []
    for index in range(12):
        for model_index, model in enumerate(config["models"]):
            model["parameters"]["weight"] = 0.05 + ((model_index * 5 + index * 7) % 11) / 40
        path = work / f"population-{index}.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        pairs += ["--recipe", str(path), "--output", f"file://{place}/{index}"]
    twelve, peak = timed("merger", "merge", "--overwrite", *pairs, before=before)
    copy = f"for i in 1 2 3 4 5 6 7 8 9 10 11 12; do mkdir -p {place}/$i; cat {work}/{NAMES[0]}/model.safetensors >{place}/$i/copy; done"
    writes, _ = timed("sh", "-c", copy, before=before)
    emptied(place)()
    print(f"| one merge, linear, K = 8 | {one:.2f} | 1 |")
    print(f"| 12 merges in one read ({peak:.0f} MiB) | {twelve:.2f} | {twelve / one:.1f} |")
    print(f"| writing 12 files as large (`cat`) | {writes:.2f} | {writes / one:.1f} |")
    print(f"| 12 merges less those writes | {twelve - writes:.2f} | {(twelve - writes) / one:.1f} |", flush=True)


def flat_memory(work: Path) -> None:
    print("\n| model | seconds | peak memory |\n|---|---|---|")
    large = work / "large"
    size = 0
    for place, layers in ((work, None), (large, 150)):
        if layers:
            size = [write_model(large / name, layers, seed) for seed, name in enumerate(NAMES[:2])][0]
        file = recipe(place, "linear", NAMES[:2])
        size = size or (work / NAMES[0] / "model.safetensors").stat().st_size
        seconds, peak = timed(*merger(file, f"file://{work}/ours"))
        print(f"| 2 of {size / 1e9:.1f} GB | {seconds:.2f} | {peak:.0f} MiB |", flush=True)
        size = 0
    shutil.rmtree(large)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def beside_rclone(work: Path) -> None:
    print("\n| what | seconds | of rclone |\n|---|---|---|")
    port, store = free_port(), work / "store"
    # In memory if there is any, so that rclone doesn't wait for a disk.
    scratch = Path("/dev/shm/mergesearch-bench") if os.path.isdir("/dev/shm") else work / "scratch"
    (store / "pool").mkdir(parents=True)
    for name in NAMES[:8]:
        shutil.copytree(work / name, store / "pool" / name)
    environment = {"ROOT_ACCESS_KEY": "benchmark", "ROOT_SECRET_KEY": "benchmark-secret"}
    server = subprocess.Popen([os.environ["VERSITYGW"], "--port", f"127.0.0.1:{port}", "posix", str(store)],
                              env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.environ |= {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark-secret", "AWS_REGION": "us-east-1",
                   "RCLONE_CONFIG_S_TYPE": "s3", "RCLONE_CONFIG_S_PROVIDER": "Other", "RCLONE_CONFIG_S_ENV_AUTH": "true",
                   "RCLONE_CONFIG_S_ENDPOINT": f"http://127.0.0.1:{port}", "RCLONE_CONFIG_S_REGION": "us-east-1"}
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        config = yaml.safe_load(recipe(work, "linear", NAMES[:8]).read_text(encoding="utf-8"))
        for model, name in zip(config["models"], NAMES):
            model["model"] = f"s3://pool/{name}"
        file = work / "s3.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        rclone = [os.environ["RCLONE"], "copy", "--transfers", "8", "--multi-thread-streams", "8", "--s3-no-check-bucket",
                  "--ignore-times"]
        includes = [part for name in NAMES[:8] for part in ("--include", f"{name}/**")]
        up = work / NAMES[0]
        script = " ".join(rclone + includes + ["s:pool", str(scratch)]) + " && " + " ".join(rclone + [str(up), "s:pool/copied"])
        theirs, _ = timed("bash", "-c", f"set -f; {script}", before=emptied(scratch))
        ours, peak = timed(*merger(file, "s3://pool/merged", "--endpoint-url", f"http://127.0.0.1:{port}"))
        print(f"| rclone, 8 models down into memory, one up | {theirs:.2f} | 1 |")
        print(f"| `merger`, linear, K = 8 ({peak:.0f} MiB) | {ours:.2f} | {ours / theirs:.2f} |", flush=True)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(store)
        shutil.rmtree(scratch, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time merger beside mergekit, copies and rclone.")
    parser.add_argument("work", type=Path)
    work = parser.parse_args().work.resolve()
    # The smallest that is all bf16 and about 400 MB.
    sizes = [write_model(work / name, 13, seed) for seed, name in enumerate([*NAMES, "base"])]
    print(f"Pools of {sizes[0] / 1e6:.0f} MB each, bf16, on local disk and in the page cache. Medians of {RUNS} runs, one where it takes more than a\n"
          "minute; mergekit is told to compute in float32, where it is most exact. Its times include starting Python.\n")
    beside_mergekit(work)
    print("\nThe limit: the same bytes read and written by `cat`. `merger` has its output on the disk before it says so.")
    beside_the_limit(work)
    print("\nA population of 12 while each byte of the pool is read once.")
    population(work)
    print("\nMemory doesn't grow with the model.")
    flat_memory(work)
    print("\nS3: versitygw on this machine, the same bytes by rclone, 8 transfers at once.")
    beside_rclone(work)


if __name__ == "__main__":
    main()
