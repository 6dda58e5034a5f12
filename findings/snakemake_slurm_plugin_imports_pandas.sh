#!/usr/bin/env bash
# Importing Snakemake's command line loads every installed executor plugin, and that of SLURM loads pandas.
#
# One would guess that a workflow whose own code avoids pandas starts without it. With
# snakemake-executor-plugin-slurm installed, each call pays for pandas (half a second to a second), a dry run
# without SLURM and each job's own Snakemake included. So a test that a Snakefile parses without pandas must
# take pandas away after `snakemake.cli` was imported, and a host that submits nothing is better without the
# plugin.
#
# Seen: snakemake 9.27.1, snakemake-executor-plugin-slurm 2.8.0, Python 3.11. Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
loaded='import sys; import snakemake.cli; print("pandas" in sys.modules)'

alone=$("$folder/venv/bin/python" -c "$loaded")
"$folder/venv/bin/pip" install --quiet snakemake-executor-plugin-slurm==2.8.0
beside=$("$folder/venv/bin/python" -c "$loaded")

echo "pandas is loaded by snakemake.cli alone: $alone; with the SLURM plugin installed: $beside"
[ "$alone" = False ]
[ "$beside" = True ]
