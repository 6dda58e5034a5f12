#!/usr/bin/env bash
# Outputs marked update(): a job that fails is not tried again by the next call.
#
# update() keeps an output while its job runs, and puts it back where the job fails, so that what was made
# before is not lost. One would guess that the next call tries the job again, as it does with plain outputs.
# It does not: the failed call has recorded the job with its new parameters, the file is there, and the next
# call says that there is nothing to be done, with exit code 0. The file is still that of the old parameters.
# Who uses update() must take note of a failure himself, and give it to the rule as an input.
#
# Seen: snakemake 9.27.1, Python 3.11. Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
cd "$folder"

cat > Snakefile <<'SNAKEFILE'
rule all:
    input:
        "updated.txt",
        "plain.txt",


rule updated:
    output:
        update("updated.txt"),
    params:
        word=config["word"],
    shell:
        "echo {params.word} > {output}; [ {params.word} != fails ]"


rule plain:
    output:
        "plain.txt",
    params:
        word=config["word"],
    shell:
        "echo {params.word} > {output}; [ {params.word} != fails ]"
SNAKEFILE

call() {
    code=0
    venv/bin/snakemake "$1.txt" --cores 1 --quiet all --config "word=$2" >/dev/null 2>&1 || code=$?
    echo "$1, word=$2: exit code $code, file: $(cat "$1.txt" 2>/dev/null || echo none)" | tee -a said
}

for output in updated plain; do
    for word in works fails fails; do
        call "$output" "$word"
    done
done
diff said - <<'SAID'
updated, word=works: exit code 0, file: works
updated, word=fails: exit code 1, file: works
updated, word=fails: exit code 0, file: works
plain, word=works: exit code 0, file: works
plain, word=fails: exit code 1, file: none
plain, word=fails: exit code 1, file: none
SAID
