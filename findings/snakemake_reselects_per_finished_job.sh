#!/usr/bin/env bash
# Snakemake 9.27.1: while jobs are ready that have to wait (here for a resource of which one job
# takes all), each finished job leaves behind one more choice among them per second, with the
# solver of the scheduler started anew each time, until nothing is ready any more. `--verbose`
# shows a choice as "Ready jobs". With 30 jobs of a second each, one at a time:
#
#   choices while the 5th job runs    about 5
#   choices while the 25th job runs   about 25
#
# so that a workflow of many short steps spends ever more of a core in its main process, beside
# what the jobs themselves do: what is measured in a job is disturbed by it. The delay between two
# choices is the timespan of `--max-jobs-per-timespan` (default 100/1s), which cannot be switched
# off; with 1000/3s there are a third as many choices, and Snakemake ends up to 3 s later, since it
# waits for its timers. `--scheduler greedy` starts no solver.
#
# Needs Python 3.11 or later and a network; takes some three minutes. Prints what was seen, and
# fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet snakemake==9.27.1 pulp==3.3.2
cat >Snakefile <<'END'
rule all:
    input: expand("r{i}", i=range(30))
rule run:
    output: "r{i}"
    resources: quiet=100
    shell: "sleep 1; touch {output}"
END

# choices FILE: how often Snakemake chose while each job ran, in order
choices() {
    awk '/^Finished jobid/ {printf "%d ", n; n = 0} /^Ready jobs:/ {n++}' "$1"
}
# between WORDS FIRST LAST: the sum of words FIRST to LAST
between() {
    echo "$1" | tr ' ' '\n' | sed -n "$2,$3p" | awk '{s += $1} END {print s}'
}

run() { # NAME OPTION …
    name=$1
    shift
    rm -rf r[0-9]* .snakemake
    venv/bin/snakemake -c 2 --resources quiet=100 --verbose "$@" >"$name.log" 2>&1
    choices "$name.log"
}

default=$(run default)
longer=$(run longer --max-jobs-per-timespan 1000/3s)
echo "default, choices while each of 30 jobs ran:  $default"
echo "timespan of 3 s:                             $longer"

early=$(between "$default" 2 6)
late=$(between "$default" 23 27)
rare=$(between "$longer" 23 27)
[ "$late" -gt $((2 * early)) ] || { echo "the number no longer grows with finished jobs"; exit 1; }
[ "$rare" -lt "$late" ] || { echo "a longer timespan makes no difference"; exit 1; }
