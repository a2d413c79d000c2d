#!/bin/sh
# Starts the processes of examples/prefork.lua, since Lua has no fork.
#
#   examples/prefork.sh master WORKERS [host [port [clients]]]     a worker that has served 100 clients is replaced
#   examples/prefork.sh alone PROCESSES HOST PORT [clients]        so many for each process
#
# LUA names the interpreter, EACH another number of clients for a worker.

server=$(dirname "$0")/prefork.lua
lua=${LUA:-lua}
role=$1 n=$2
shift 2

# A worker is started anew until its master has gone.
keep_worker() {
    while [ -S "$2" ] && $lua "$server" worker "$2" "$1" "${EACH:-100}"; do :; done
}

case $role in
master)
    dir=$(mktemp -d)
    $lua "$server" master "$dir/master" "$@" &
    master=$!
    while [ ! -S "$dir/master" ] && kill -0 "$master" 2>/dev/null; do sleep 0.05; done
    for i in $(seq "$n"); do keep_worker "worker $i" "$dir/master" & done
    wait "$master"
    status=$?
    wait
    rm -rf "$dir"
    exit "$status"
    ;;
alone)
    for i in $(seq "$n"); do $lua "$server" alone "process $i" "$@" & done
    wait
    ;;
*)
    echo "say master or alone" >&2
    exit 2
    ;;
esac
