#!/usr/bin/env bash
# Rules that a Python loop of a Snakefile declares: what stands in `shell:` is filled in when the job runs.
#
# One would guess that each rule keeps the value that the loop's variable had when the rule was declared, as
# its output and its params do. In `shell:` the variable is looked up in the Snakefile when the job runs, so
# every rule has the value of the last turn: here both files say "second" first. No warning, exit code 0.
# What differs between the rules must be a parameter: `{params.word}` is right.
#
# Seen: snakemake 9.27.1, Python 3.11. Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
cd "$folder"

cat > Snakefile <<'SNAKEFILE'
NAMES = ["first", "second"]


rule all:
    input:
        expand("{name}.txt", name=NAMES),


for NAME in NAMES:

    rule:
        name:
            f"write_{NAME}"
        output:
            f"{NAME}.txt",
        params:
            word=NAME,
        shell:
            "echo {NAME} {params.word} > {output}"
SNAKEFILE
venv/bin/snakemake --cores 1 --quiet all

head first.txt second.txt
[ "$(cat first.txt)" = "second first" ]
[ "$(cat second.txt)" = "second second" ]
