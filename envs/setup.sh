#!/bin/sh
# setup.sh host|dev PYTHON TORCH_INDEX: makes .venv and installs the locked requirements.
# Called by make; does only what is missing, and names what the system lacks.
set -eu

what=$1
python=$2
torch_index=$3
venv=.venv

fail() {
    echo "setup: $1" >&2
    exit 1
}

if ! command -v "$python" >/dev/null 2>&1; then
    fail "no $python here; install it: apt-get install -y python3 python3-venv"
fi
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
    fail "$("$python" --version) cannot be used; name a Python 3.11 to 3.13: make PYTHON=python3.12 …"
fi
if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    fail "$python lacks the module venv; install it: apt-get install -y python$version-venv"
fi

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$venv" # half made, or of a Python that is gone
    "$python" -m venv "$venv"
fi

install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet "$@" ||
        fail "pip could not install $*; its message is above (network? disk? proxy?)"
}

if [ "$what" = host ]; then
    echo "setup: installing requirements into $venv (some minutes the first time)"
    # torch first: timm needs one, and pip must not choose it
    if [ -n "$torch_index" ]; then
        install -r envs/torch.txt -c envs/host.txt --index-url "$torch_index"
    else
        install -r envs/torch.txt -c envs/host.txt
    fi
    install -r envs/host.txt
else
    install -r envs/dev.txt
fi
touch "$venv/.$what"
