#!/bin/sh
# Lays into the directory DIR, which exists, what SCRIPT beside this one makes there, such as certificates.sh.
#
#   spec/support/kept.sh SCRIPT DIR
#
# That takes a hundred processes, and dozens of describe blocks ask for it. It is made once and kept in build/kept,
# until SCRIPT or openssl changes. Where several make it at a time, the first that is ready is kept.
set -eu
script=${0%/*}/$1
dir=$2
sum=$({ cat "$script" && openssl version; } | cksum)
kept=build/kept/$1-${sum%% *}

if [ -e "$kept/whole" ]; then
    cp -RP "$kept/files/." "$dir"
    exit
fi
new=$kept.$$
trap 'rm -rf "$new"' EXIT
mkdir -p "$new/files"
"$script" "$new/files"
cp -RP "$new/files/." "$dir"
if mkdir "$kept" 2>/dev/null; then
    mv "$new/files" "$kept/files"
    : >"$kept/whole"
fi
