"""Turns the quickstart's manifest into one that may lie anywhere and ends soon: the fewest trials and few items.

    python short_search.py MANIFEST OUTPUT
"""

import sys
from pathlib import Path

import yaml

manifest, output = map(Path, sys.argv[1:])
resource = yaml.safe_load(manifest.read_text(encoding="utf-8"))
spec = resource["spec"]
for checkpoint in spec["pool"]["checkpoints"]:
    folder = manifest.resolve().parent / checkpoint["uri"].removeprefix("file://")
    checkpoint["uri"] = f"file://{folder.resolve()}"
spec["budget"]["maxTrials"] = 100
spec["search"]["finalists"] = 1
container = spec["evaluation"]["template"]["spec"]["containers"][0]
container["command"] += ["--items", "50"]
output.write_text(yaml.safe_dump(resource, sort_keys=False), encoding="utf-8")
