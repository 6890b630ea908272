#!/usr/bin/env bash
# Keeps what belongs to one test cluster until standard input ends, which happens when the process that owns the cluster
# ends for whatever reason; then ends the cluster's processes and removes its control groups and its folder.
#
# keep.sh FOLDER             keeps a folder
# keep.sh FOLDER PAUSE       also keeps namespaces for a node, with the program PAUSE as their first process
# keep.sh FOLDER --abandoned removes what a keeper that was killed has left
set -uo pipefail

folder=$1 first=${2:-}
name=${folder##*/}
here=$(dirname "$(readlink -f "$0")")

# The roots of control groups: one in version 2, one for each controller in version 1.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    roots=(/sys/fs/cgroup)
else
    mapfile -t roots < <(find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d)
fi

remove_control_groups() {
    local root groups=()
    for root in "${roots[@]}"; do
        [ ! -d "$root/$name" ] || groups+=("$root/$name")
    done
    [ ${#groups[@]} -eq 0 ] || find "${groups[@]}" -depth -type d -exec rmdir {} +
}

remove_folder() {
    if [ -e "$folder/keep-logs" ]; then
        find "$folder" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf {} +
    else
        rm -rf "$folder"
    fi
}

# A process that was killed may need a moment to leave its control group, or write a last file.
tidy() {
    local attempt
    for attempt in {1..50}; do
        if remove_control_groups && remove_folder; then
            return 0
        fi
        [ "$attempt" -eq 50 ] || sleep 0.2
    done
    return 1
}

keep() {
    local root sandbox process
    if [ "$first" = --abandoned ]; then
        tidy
        return
    fi

    if [ -n "$first" ]; then
        for root in "${roots[@]}"; do
            mkdir "$root/$name"
        done
        setpriv --pdeathsig KILL unshare --mount --net --pid --fork --kill-child --propagation private \
            "$here/inside.sh" "$folder" "$first" </dev/null >&2 &
        sandbox=$!
    fi

    cat >/dev/null

    if [ -n "$first" ]; then
        # With the first process of a process namespace the kernel ends all others, and waits for them. It may be gone already
        # and its number somebody else's, or not be known yet: then it goes with its parent.
        process=$(cat "$folder/first-process" 2>/dev/null)
        if [ -n "$process" ] && grep --quiet "^PPid:[[:space:]]*$sandbox\$" "/proc/$process/status"; then
            kill -KILL "$process"
        else
            kill -KILL "$sandbox"
        fi
        wait
    fi
    tidy
}

# Read to its end before anything runs: the file may be edited while a cluster stands.
keep
exit
