#!/bin/sh
# study.sh SNAKEMAKE [ARG …]: the main job, also after a study that was killed.
#
# Snakemake locks its working directory with files, which a kill leaves behind. The lock here is
# one of the operating system and ends with the process: whoever holds it knows that no other
# study of ours runs in this directory, and may remove those files. Snakemake itself holds it: what
# called it may be killed and leave it working. Its jobs do not inherit the file.
set -eu

snakemake=$1
shift
case " $* " in
*" --configf"*) # what Snakemake says of a file that is not in UTF-8 is a traceback
    PYTHONPATH=$(dirname "$0")/..${PYTHONPATH:+:$PYTHONPATH} \
        "$(dirname "$snakemake")/python" -m adscale.yaml_text "$@"
    ;;
esac
# a file in a folder that cannot be written is told by the shell, and without a remedy
if ! (mkdir -p .snakemake && : >>.snakemake/study.lock) 2>/dev/null; then
    echo "study: $PWD/.snakemake cannot be written; see to its permissions, or free the disk" >&2
    exit 1
fi
exec 9>.snakemake/study.lock
taken=0
flock --nonblock --conflict-exit-code 75 9 2>/dev/null || taken=$?
if [ $taken = 75 ]; then
    echo "study: another study runs in this directory; wait for it to end" >&2
    exit 1
elif [ $taken != 0 ]; then # Snakemake's own lock is left, and it says what to do about an old one
    echo "study: the file system of $PWD has no locks; start no second study in it" >&2
elif [ -n "$(ls .snakemake/locks 2>/dev/null)" ]; then
    "$snakemake" "$@" --unlock 9>&-
fi
exec "$snakemake" "$@"
