#!/usr/bin/env bash
# Furnishes the new mount, network and process namespaces of a test node, writes the number that its first process has
# outside to FOLDER/first-process, and becomes PAUSE, which holds them.
#
# inside.sh FOLDER PAUSE
set -euo pipefail

folder=$1 pause=$2

# Still the proc file system of outside.
read -r first_process _ </proc/self/stat

mount -t proc proc /proc

# Some programs insist on places of the system: sockets in /run, links to logs in /var/log/containers, plugin sockets in
# /var/lib/kubelet. They get places that vanish with the node. The folder of the cluster may lie below one of them.
mount --bind "$folder" /mnt
mount -t tmpfs run /run
for place in /var/lib /var/log; do
    upper=/run/upper$place work=/run/work$place
    mkdir -p "$upper" "$work"
    mount -t overlay -o "lowerdir=$place,upperdir=$upper,workdir=$work" overlay "$place"
done
mkdir -p "$folder" /run/lock /var/log/containers
mount --bind /mnt "$folder"
umount /mnt

# kubelet wants these settings of the whole machine and changes them; it changes files instead.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    file=/run/settings/$setting
    mkdir -p "${file%/*}"
    cat "/proc/sys/$setting" >"$file"
    mount --bind "$file" "/proc/sys/$setting"
done

# What kubelet mounts must show in pods and, as these namespaces were made private, nowhere else.
mount --make-rshared /

# The node's address, on one end of a pair as some kernels have no dummy interfaces; the default route lets Services be reached.
ip link set lo up
ip link add node type veth peer name nowhere
ip address add 10.90.0.1/24 dev node
ip link set node up
ip link set nowhere up
ip route add default dev node
echo 1 >/proc/sys/net/ipv4/ip_forward

echo "$first_process" >"$folder/first-process.part"
mv "$folder/first-process.part" "$folder/first-process"
exec "$pause"
