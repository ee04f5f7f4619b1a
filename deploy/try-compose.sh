#!/usr/bin/env bash
# Runs docker-compose.yml for real on a Debian 12 machine that has no container engine and no image registry: four nodes
# on a ring and the monitor, from nothing to "all finished", and away again.
#
#   deploy/try-compose.sh            as root; needs Debian's packages and pip's index, 6 GB of disk, about ten minutes
#   BASE_IMAGE=python:3.11-slim deploy/try-compose.sh      with an engine that can pull: no base is made
#
#   GOSSIP_BUILD=no deploy/try-compose.sh                  with an engine that has the image of an earlier run
#
# An engine that answers already is used and left alone. Otherwise one is started by hand: its files in a temporary
# folder, no bridge of its own, no iptables rule and no sysctl touched (the ring is an internal network, and the build
# uses the host's). At the end, also after an error, the containers, volumes and the engine started here are gone.
# Settings of this machine's pip that a build inside a container cannot see are carried in: wheels of PIP_FIND_LINKS,
# the certificate of PIP_CERT.
set -euo pipefail
cd "$(dirname "$0")/.."

WORK=$(mktemp -d "${TMPDIR:-/tmp}/gossip-compose.XXXXXX")
export GOSSIP_IMAGE=${GOSSIP_IMAGE:-gossip-node:try} COMPOSE_PROJECT_NAME=gossip-try DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-0}
NODES=(n0 n1 n2 n3)
HEALTHY_WITHIN=600  # seconds; 75 were needed on two busy cores, over 240 on two with ten processes waiting for each
DONE_WITHIN=900     # seconds for all rounds
ENGINE_PID=""       # of the engine that we started

main() {
  trap clean_up EXIT
  install_packages
  start_engine
  if [ "${GOSSIP_BUILD:-yes}" = yes ]; then make_base; build_image; fi
  run_compose
  say "image size: $(docker image inspect --format '{{.Size}}' "$GOSSIP_IMAGE" | awk '{printf "%.2f GB", $1 / 1e9}')"
  say "all four nodes finished"
}

say() { echo "try-compose: $*" >&2; }
fail() { say "$*"; exit 1; }

compose() { if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi; }

install_packages() {
  local missing=()
  command -v dockerd >/dev/null || docker info >/dev/null 2>&1 || missing+=(docker.io)
  command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1 || missing+=(docker-compose)
  [ -n "${BASE_IMAGE:-}" ] || command -v debootstrap >/dev/null || missing+=(debootstrap)
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" = 0 ] || fail "not root, and ${missing[*]} must be installed"
  say "installing ${missing[*]}"
  apt-get update -q >"$WORK/apt.log" 2>&1 || fail "apt-get update failed: $(tail -3 "$WORK/apt.log")"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >>"$WORK/apt.log" 2>&1 ||
    fail "apt-get install failed: $(tail -3 "$WORK/apt.log")"
}

start_engine() {
  if docker info >/dev/null 2>&1; then
    say "using the engine that answers: $(docker version --format '{{.Server.Version}}')"
    return
  fi
  [ "$(id -u)" = 0 ] || fail "no engine answers, and only root can start one"
  export DOCKER_HOST="unix://$WORK/docker.sock"
  dockerd --host "$DOCKER_HOST" --data-root "$WORK/data" --exec-root "$WORK/exec" --pidfile "$WORK/docker.pid" \
    --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false >"$WORK/dockerd.log" 2>&1 &
  ENGINE_PID=$!
  for _ in $(seq 60); do
    docker info >/dev/null 2>&1 && break
    kill -0 "$ENGINE_PID" 2>/dev/null || fail "dockerd ended: $(tail -5 "$WORK/dockerd.log")"
    sleep 0.5
  done
  say "engine $(docker version --format '{{.Server.Version}}') with $(docker info --format '{{.Driver}}'), process $ENGINE_PID"
}

make_base() {
  [ -z "${BASE_IMAGE:-}" ] || return 0
  export BASE_IMAGE=gossip-base:bookworm
  docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 && return
  say "making the base image from Debian 12 (its Python is 3.11)"
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$WORK/base" \
    >"$WORK/debootstrap.log" 2>&1 || fail "debootstrap failed: $(tail -3 "$WORK/debootstrap.log")"
  rm -rf "$WORK"/base/var/cache/apt/* "$WORK"/base/var/lib/apt/lists/* "$WORK"/base/usr/share/{doc,man,locale}/*
  tar -C "$WORK/base" -c . | docker import - "$BASE_IMAGE" >/dev/null
  rm -rf "$WORK/base"
}

build_image() {
  local context=$WORK/context began=$SECONDS
  mkdir -p "$context/wheels"
  cp -r Dockerfile .dockerignore pyproject.toml README.md LICENSE monitor.py node "$context/"
  for folder in ${PIP_FIND_LINKS:-}; do
    [ -d "$folder" ] && find "$folder" -maxdepth 1 -name '*.whl' -exec cp -t "$context/wheels" {} +
  done
  if [ -n "${PIP_CERT:-}" ]; then
    cp -L "$PIP_CERT" "$context/wheels/certificates.pem"
    printf '[global]\ncert = /wheels/certificates.pem\n' >"$context/wheels/pip.conf"
  fi
  say "building $GOSSIP_IMAGE on $BASE_IMAGE"
  docker build --network host --tag "$GOSSIP_IMAGE" --build-arg BASE_IMAGE="$BASE_IMAGE" \
    --build-arg TORCH_BUILD="${TORCH_BUILD:-cpu}" --build-arg PIP_EXTRA_INDEX_URL="${PIP_EXTRA_INDEX_URL:-}" \
    "$context" >"$WORK/build.log" 2>&1 || fail "the build failed: $(tail -15 "$WORK/build.log")"
  say "built in $((SECONDS - began)) s"
}

state_of() { docker inspect --format "$1" "$(compose ps -q "$2" 2>/dev/null)" 2>/dev/null || true; }

count() {  # count FORMAT VALUE: how many of the nodes have this state
  local node number=0
  for node in "${NODES[@]}"; do [ "$(state_of "$1" "$node")" != "$2" ] || number=$((number + 1)); done
  echo "$number"
}

wait_for() {  # wait_for SECONDS FORMAT VALUE WHAT
  local end=$((SECONDS + $1))
  until [ "$(count "$2" "$3")" = ${#NODES[@]} ]; do
    if [ $SECONDS -ge $end ]; then
      compose ps >&2
      compose logs --no-color --tail=20 >&2
      fail "only $(count "$2" "$3") of ${#NODES[@]} nodes are $4 after $1 s"
    fi
    sleep 2
  done
}

run_compose() {
  local began=$SECONDS node
  compose up -d --no-build >"$WORK/up.log" 2>&1 || fail "compose up failed: $(tail -5 "$WORK/up.log")"
  wait_for $HEALTHY_WITHIN '{{.State.Health.Status}}' healthy healthy
  say "four nodes healthy after $((SECONDS - began)) s"
  compose ps
  check_confinement
  wait_for $DONE_WITHIN '{{.State.Status}}' exited "at their end"
  say "four nodes ended after $((SECONDS - began)) s"
  compose logs --no-color monitor | grep ' rounds .*contraction' | awk 'NR % 8 == 1'
  for node in "${NODES[@]}"; do
    compose logs --no-color --tail=4 "$node"
    [ "$(state_of '{{.State.ExitCode}}' "$node")" = 0 ] || fail "$node ended with $(state_of '{{.State.ExitCode}}' "$node")"
    docker cp "$(compose ps -q "$node"):/runs/$node/result.json" - | tar -xO | sed -n "s/^ *\(\"accuracy\".*\),/$node: \1/p"
    [ "$(state_of '{{.RestartCount}}' "$node")" = 0 ] || fail "$node was restarted $(state_of '{{.RestartCount}}' "$node") times"
  done
}

check_confinement() {  # what docker-compose.yml promises, asked of a running node
  local id
  id=$(compose ps -q n0)
  [ "$(docker exec "$id" id -u)" != 0 ] || fail "the node runs as root"
  ! docker exec "$id" sh -c ': > /opt/gossip/mark' 2>/dev/null || fail "the root file system can be written"
  docker exec "$id" sh -c ': > /tmp/mark && : > /runs/mark && rm /runs/mark' || fail "/tmp or /runs cannot be written"
  [ "$(docker exec "$id" awk '/^CapEff/ {print $2}' /proc/self/status)" = 0000000000000000 ] || fail "it has capabilities"
  ! docker exec "$id" test -e /var/run/docker.sock || fail "it sees the engine's socket"
  say "non-root, read-only, no capabilities, no engine socket"
}

clean_up() {
  local status=$?
  [ -n "${DOCKER_HOST:-}${ENGINE_PID:-}" ] || docker info >/dev/null 2>&1 || { rm -rf "$WORK"; return; }
  compose down --volumes --timeout 20 >/dev/null 2>&1 || true
  if [ -n "$ENGINE_PID" ]; then
    kill "$ENGINE_PID" 2>/dev/null || true  # its containerd goes with it
    wait "$ENGINE_PID" 2>/dev/null || true
    umount "$WORK"/data/overlay2/*/merged "$WORK"/exec/netns/* 2>/dev/null || true
  fi
  if [ "$status" != 0 ] && [ -s "$WORK/build.log" ]; then cp "$WORK/build.log" "${TMPDIR:-/tmp}/gossip-compose-build.log"; fi
  rm -rf "$WORK"
  exit "$status"
}

main "$@"
