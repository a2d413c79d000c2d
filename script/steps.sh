#!/usr/bin/env bash
# For scripts that run others, which end with "N passed, N failed", and add these up: to be sourced.
#
#   count, must, finish         one command after another
#   step, alone, finish_steps   several at a time, each with a limit and a log (.ci/run, script/torture)

passed=0
failed=0

# Sets p and f to the totals in the last line of a text. A status of failure without a test that failed, and totals without
# a test that passed, are one failure. Fails when there are no totals.
read_totals() { # STATUS TEXT
    local found=1
    p=0 f=1
    if [[ $(grep -v '^make' <<<"$2" | tail -n 1) =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then # make has the last word
        p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} found=0
    fi
    [ "$f" -gt 0 ] || { [ "$1" -eq 0 ] && [ "$p" -gt 0 ]; } || f=1
    return $found
}

# Runs COMMAND, adds its totals and prints them; shows what was skipped, and all the rest when something failed.
count() { # TITLE COMMAND...
    local title=$1 out status began=$SECONDS p f
    shift
    out=$("$@" 2>&1)
    status=$?
    read_totals $status "$out" || out+=$'\n'"not ok - $* ended with status $status and without totals"
    awk -v failed="$f" '/^ok / && !/^ok [0-9]+ - # SKIP/ { next } failed || /^ok / { print }' <<<"$out"
    printf '%-40s %5d passed, %d failed %6d s\n' "$title" "$p" "$f" $((SECONDS - began))
    passed=$((passed + p))
    failed=$((failed + f))
}

# Runs COMMAND, which has no totals; shows what it says only when it fails.
must() { # TITLE COMMAND...
    local title=$1 out
    shift
    out=$("$@" 2>&1) && return
    printf '%s\nnot ok - %s\n' "$out" "$title"
    failed=$((failed + 1))
    return 1
}

finish() { # [NAME]
    echo "${1:+$1: }$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# ---- several at a time ----

lanes=2        # how many run at a time
limit=1500     # seconds for each
needs_totals=0 # whether a step without totals has failed

begin_steps() { # LOGS [NAME...]: a directory; with names only the steps that begin so are run
    logs=$1
    shift
    wanted=("$@")
    mkdir -p "$logs"
    rm -f "$logs/table"
}

is_wanted() { # NAME
    local prefix
    [ ${#wanted[@]} -gt 0 ] || return 0
    for prefix in "${wanted[@]}"; do
        [[ $1 != "$prefix"* ]] || return 0
    done
    return 1
}

# Runs COMMAND as a step when there is a lane for it.
step() { # NAME COMMAND...
    is_wanted "$1" || return 0
    while [ "$(jobs -rp | wc -l)" -ge "$lanes" ]; do
        wait -n
    done
    run_step "$@" &
}

# The same when no other step runs.
alone() { # NAME COMMAND...
    is_wanted "$1" || return 0
    wait
    run_step "$@"
}

# COMMAND may be an exported function. It is in a process group of its own, so that one that hangs does not take the rest
# with it. The first time in the table is the clock's, the second the processors'.
run_step() { # NAME COMMAND...
    local name=$1 log=$logs/$1.log status start=$SECONDS p f verdict=passed TIMEFORMAT='%U %S' cpu
    shift
    { time timeout -k 10 "$limit" bash -c '"$@"' step "$@" >"$log" 2>&1 </dev/null; } 2>"$log.cpu"
    status=$?
    cpu=$(awk '{ printf "%d", $1 + $2 + 0.5 }' "$log.cpu") && rm -f "$log.cpu"
    read_totals $status "$(tail -n 20 "$log")" || [ "$status" -ne 0 ] || [ "${needs_totals:-0}" = 1 ] || f=0
    [ "$f" -eq 0 ] || verdict=FAILED
    printf '%-26s %-7s %4d s %4d s   %5d passed, %d failed\n' "$name" $verdict $((SECONDS - start)) "$cpu" "$p" "$f" |
        tee -a "$logs/table"
    [ $verdict = passed ] || printf -- '--- %s (status %s)\n%s\n---\n' "$log" "$status" "$(tail -n 80 "$log" | sed 's/^/    /')"
}

# The table of all, and the sum of tests and steps.
finish_steps() {
    wait
    printf '\n'
    touch "$logs/table" # nothing ran
    cat "$logs/table"
    printf '\n%d minutes\n' $(((SECONDS + 59) / 60))
    awk '{ passed += $(NF - 3) + ($2 == "passed"); failed += $(NF - 1) }
        END { printf "%d passed, %d failed\n", passed, failed + (NR == 0); exit !(NR > 0 && failed == 0) }' "$logs/table"
}
