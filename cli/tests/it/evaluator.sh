#!/bin/sh
# Scores a merge by how near its one tensor is to each objective's target.
#
# SEEN_DIR    a folder where every evaluation leaves its trial's name
# TRIALS_DIR  the state's trials: an evaluation of a trial that has its result already is a fault, noted in SEEN_DIR
# DELAY       any text: takes 0 to 40 ms longer, at random
# SABOTAGE    shell commands to run first
set -eu
trial=$(basename "$(dirname "$MERGESEARCH_MODEL_DIR")")
echo "$trial $MERGESEARCH_STAGE" >> "$SEEN_DIR/evaluations"
if [ -e "$TRIALS_DIR/$trial/result.json" ]; then echo "$trial" >> "$SEEN_DIR/repeated"; fi
if [ -n "$DELAY" ]; then sleep "0.0$(($(od -An -N1 -tu1 /dev/urandom) % 5))"; fi
eval "$SABOTAGE"
header=$(od -An -tu8 -N8 "$MERGESEARCH_MODEL_DIR/model.safetensors" | tr -d ' ')
values=$(od -An -v -tf4 -j $((8 + header)) "$MERGESEARCH_MODEL_DIR/model.safetensors" | tr -s ' \n' ' ')
mkdir -p "$MERGESEARCH_RESULTS_DIR/model"
awk -v values="$values" -v stage="$MERGESEARCH_STAGE" -v folder="$MERGESEARCH_RESULTS_DIR/model" '
function near(a, b, c, d) { return exp(-4 * ((w[1]-a)^2 + (w[2]-b)^2 + (w[3]-c)^2 + (w[4]-d)^2)) }
function task(name, score,   i, file) {
    file = folder "/samples_" name "_2026-01-01.jsonl"
    for (i = 0; i < 20; i++) printf "{\"doc_id\": %d, \"filter\": \"none\", \"acc\": %.9f}\n", i, score * (1 - i / 400) > file
    close(file)
    return sprintf("\"%s\": {\"acc,none\": %.9f, \"acc_stderr,none\": 0.005}", name, score)
}
BEGIN {
    split(values, w, " ")
    shift = (stage == "test") ? 0.01 : 0
    print "{\"results\": {" task("left", near(0.6, 0.4, shift, 0)) ", " task("right", near(0, 0.4, 0.6, shift)) ", " task("old", near(0.25, 0.25, 0.25, 0.25)) "}}" > (folder "/results_2026-01-01.json")
}'
