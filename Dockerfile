# The environment in which adscale measures: Python with locked packages, and Nsight Systems.
# The code is not in it: it comes from the checkout at run time. docs/container.md has the rest.
#
#   BASE_IMAGE  what it stands on: Debian or Ubuntu. To pin it, name its digest:
#               nvidia/cuda@sha256:…
#   LOCK        the packages: envs/container.txt (CUDA 12.4), envs/container-cpu.txt, or your own
#   PYTHON      the Python of the base image, which is installed where it is missing
#   NSYS_…      the package of Nsight Systems and its repository; not used where the base image
#               has `nsys` on PATH
ARG BASE_IMAGE=nvidia/cuda:12.4.1-runtime-ubuntu22.04
ARG PYTHON=python3

FROM ${BASE_IMAGE} AS python
ARG PYTHON
RUN set -eu; export DEBIAN_FRONTEND=noninteractive; \
    packages="bash ca-certificates"; \
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || packages="$packages $PYTHON $PYTHON-venv"; \
    apt-get update -q; \
    apt-get install -y -q --no-install-recommends $packages; \
    apt-get clean; rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log

FROM python AS nsys
ARG PYTHON
# A version of Nsight Systems has a package of its own, which keeps it from being replaced.
ARG NSYS_PACKAGE=nsight-systems-cli-2024.6.1
ARG NSYS_REPOSITORY=https://developer.download.nvidia.com/devtools/repos/ubuntu2204/amd64
RUN set -eu; export DEBIAN_FRONTEND=noninteractive; \
    if command -v nsys; then nsys --version; exit 0; fi; \
    key=/etc/apt/keyrings/nvidia-devtools.asc; list=/etc/apt/sources.list.d/nvidia-devtools.list; \
    mkdir -p /etc/apt/keyrings; \
    "$PYTHON" -c 'import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])' \
        "$NSYS_REPOSITORY/nvidia.pub" "$key"; \
    chmod 644 "$key"; \
    echo "deb [signed-by=$key] $NSYS_REPOSITORY/ /" >"$list"; \
    apt-get update -q; \
    apt-get install -y -q --no-install-recommends "$NSYS_PACKAGE"; \
    apt-get clean; rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log; \
    if ! command -v nsys; then \
        program=$(find /opt/nvidia -path '*/target-linux-x64/nsys' | sort | tail -n 1); \
        ln -s "${program:?$NSYS_PACKAGE brought no nsys}" /usr/local/bin/nsys; \
    fi; \
    nsys --version

FROM nsys AS environment
ARG PYTHON
ARG LOCK=envs/container.txt
COPY ${LOCK} /opt/adscale/requirements.txt
RUN set -eu; \
    "$PYTHON" -m venv /opt/adscale; \
    /opt/adscale/bin/python -m pip install --no-cache-dir --disable-pip-version-check --quiet \
        --require-hashes -r /opt/adscale/requirements.txt
# A package in the home folder of whoever runs it must not take the place of one of these.
ENV PATH=/opt/adscale/bin:$PATH PYTHONNOUSERSITE=1

# The code is only lent to the test, and all that goes on is the line that says what nsys recorded,
# always of the same age: an edit of the code, and the image, with its digest, stays what it is.
FROM environment AS tested
RUN --mount=type=bind,source=.,target=/checkout set -eu; \
    PYTHONPATH=/checkout python -B /checkout/envs/self_test.py >/opt/adscale/self-test.txt; \
    cat /opt/adscale/self-test.txt; touch -d @0 /opt/adscale/self-test.txt

FROM environment
COPY --from=tested /opt/adscale/self-test.txt /opt/adscale/self-test.txt
RUN useradd --uid 10001 --create-home adscale
USER adscale
ARG BASE_IMAGE
ARG VERSION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="adscale" \
    org.opencontainers.image.description="Environment in which adscale measures" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.source="${SOURCE}" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.base.name="${BASE_IMAGE}"
CMD ["bash"]
