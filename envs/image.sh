#!/bin/sh
# image.sh build|sif|check|digest: the container of adscale; called by `make image` and others.
#   build   the image, from the Dockerfile, with docker, podman or buildah
#   sif     that image as a file for Apptainer
#   check   the self-test of nsys inside that file
#   digest  the SHA-256 of that file; runs nothing
# Variables: BASE_IMAGE, LOCK, IMAGE, SIF, ENGINE, BUILD_ARGS, BUILD_COMMAND, SOURCE; they are
# described in docs/container.md.
set -eu

image=${IMAGE:-localhost/adscale}
sif=${SIF:-build/adscale.sif}

fail() {
    echo "image: $1" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

find_engine() {
    for engine in ${ENGINE:-docker podman buildah}; do
        if has "$engine"; then return; fi
    done
    fail "no ${ENGINE:-docker, podman or buildah} here to build with; install one: apt-get install -y podman"
}

find_apptainer() {
    for apptainer in apptainer singularity; do
        if has "$apptainer"; then return; fi
    done
    fail "no apptainer or singularity here; install it: https://apptainer.org/docs/admin/main/installation.html"
}

build() {
    find_engine
    lock=${LOCK:-envs/container.txt}
    case $lock in
        envs/*) [ -f "$lock" ] || fail "there is no lock file $lock; see envs/container*.txt" ;;
        *) fail "LOCK=$lock is not in envs/, and the build sees no others; put it there" ;;
    esac
    version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' adscale/__init__.py)
    # an address may hold a password, and this one ends in the image
    origin=$(git config --get remote.origin.url 2>/dev/null | sed 's#//[^/@]*@#//#') || origin=
    set -- --build-arg "LOCK=$lock" --build-arg "VERSION=$version" \
        --build-arg "SOURCE=${SOURCE:-${origin:-unknown}}"
    [ -z "${BASE_IMAGE:-}" ] || set -- "$@" --build-arg "BASE_IMAGE=$BASE_IMAGE"
    if [ -n "${BUILD_COMMAND:-}" ]; then
        # shellcheck disable=SC2086 # both are lists of words
        $BUILD_COMMAND "$image" "$@" ${BUILD_ARGS:-} . || fail "$BUILD_COMMAND could not build $image; see above"
    else
        case $engine in
            buildah) begin="bud --layers" ;;
            *) begin=build ;;
        esac
        # shellcheck disable=SC2086
        $engine $begin -t "$image" "$@" ${BUILD_ARGS:-} . || fail "$engine could not build $image; see above"
    fi
    echo "image: $image is $(image_digest)"
}

image_digest() {
    case $engine in
        buildah) buildah inspect --type image --format '{{.FromImageDigest}}' "$image" ;;
        podman) podman image inspect --format '{{.Digest}}' "$image" ;;
        *) docker image inspect --format '{{.Id}}' "$image" ;;
    esac
}

convert() {
    find_engine
    find_apptainer
    mkdir -p "$(dirname "$sif")"
    folder=$(cd "$(dirname "$sif")" && pwd -P)
    # on the disk of the .sif: the image is unpacked once and archived once, three times its size
    temporary=$(mktemp -d "$folder/.image.XXXXXX")
    trap 'rm -rf "$temporary"' EXIT
    trap 'exit 1' HUP INT TERM
    case $engine in
        docker) kind=docker-archive && docker save -o "$temporary/image.tar" "$image" ;;
        podman) kind=oci-archive && podman save -q --format oci-archive -o "$temporary/image.tar" "$image" ;;
        *) kind=oci-archive && buildah push -q "$image" "oci-archive:$temporary/image.tar" ;;
    esac || fail "$engine has no image $image that it could save; make it: make image"
    set --
    # weak and fast: what is in it is libraries, and it is read more often than it is sent
    if "$apptainer" build --help 2>/dev/null | grep -q -e --mksquashfs-args; then
        set -- "--mksquashfs-args=-comp zstd -Xcompression-level 1"
    fi
    APPTAINER_TMPDIR=$temporary SINGULARITY_TMPDIR=$temporary \
        "$apptainer" build --disable-cache "$@" "$temporary/new.sif" "$kind:$temporary/image.tar" ||
        fail "$apptainer could not make $sif; see above (disk full?)"
    mv "$temporary/new.sif" "$folder/$(basename "$sif")"
    digest
}

check() {
    find_apptainer
    [ -f "$sif" ] || fail "there is no $sif; make it: make image"
    # nothing of the host's settings and home folder: what is tested is the image
    "$apptainer" exec --cleanenv --no-home --bind "$PWD:/checkout:ro" --pwd / \
        --env PYTHONPATH=/checkout "$sif" python -B /checkout/envs/self_test.py
}

digest() {
    [ -f "$sif" ] || fail "there is no $sif; make it: make image"
    echo "image: $sif is sha256:$(sha256sum "$sif" | cut -d ' ' -f 1)"
}

main() {
    case ${1:-} in
        build) build ;;
        sif) convert ;;
        check) check ;;
        digest) digest ;;
        *) fail "usage: image.sh build|sif|check|digest" ;;
    esac
}

main "$@"; exit # on one line: an edit of this file while it runs for minutes does no harm
