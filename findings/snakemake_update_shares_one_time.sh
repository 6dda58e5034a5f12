#!/usr/bin/env bash
# A job sets the time of all its outputs, those of update() that it has not touched among them.
#
# update() says that a job may leave a file as it is. Of a job with two such outputs that rewrites only one,
# both have the same new modification time afterwards, while the contents of the other are those of before.
# So a job that makes many results and skips those that are up to date looks, to whatever goes by times (a
# reader's cache, make, a later rule), as if it had made all of them; what was really made has to be noted in
# the contents, or elsewhere.
#
# Seen: snakemake 9.27.1, Python 3.11. Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1

cd "$folder"
cat > Snakefile <<'SNAKEFILE'
rule counts:
    input: "wanted"
    output: update("a.txt"), update("b.txt")
    shell: "test -e a.txt || echo first > a.txt; date +%N > b.txt"
SNAKEFILE
echo 1 > wanted
venv/bin/snakemake --cores 1 a.txt --quiet all
before=$(stat --format %Y a.txt)
sleep 2.2
echo 2 > wanted
venv/bin/snakemake --cores 1 a.txt --quiet all
after=$(stat --format %Y a.txt)
other=$(stat --format %Y b.txt)
echo "snakemake $(venv/bin/snakemake --version): a.txt holds '$(cat a.txt)', time $before before and $after after, b.txt $other"
test "$(cat a.txt)" = first
test "$after" -ge $((before + 2))
test "$after" = "$other"
