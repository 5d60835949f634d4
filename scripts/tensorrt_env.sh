#!/usr/bin/env bash
# Make .venv-tensorrt, for test/support/tensorrt_builder.py and test/support/triton_kernels.py:
# torch-tensorrt, the real TensorRT-RTX builder, and Triton with its compiler. None needs a GPU.
# Does nothing when the environment is up to date.
#
# PYTHON names another interpreter than python3.11. Exit codes beside 0:
#   1  the environment is broken
#   3  it cannot be had here: a tool is missing or the registry does not answer
#   4  it cannot be had here: the registry has no such package
set -euo pipefail

UNAVAILABLE=3
NOT_IN_REGISTRY=4

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pins=$root/constraints/tensorrt.txt
target=$root/.venv-tensorrt

unavailable() {
  echo "tensorrt_env: $*" >&2
  exit "$UNAVAILABLE"
}

# Install packages at their pins. The registry answers and has no such package if pip says so and
# has no trouble with the connection.
install() {
  local log=$target/pip.log
  "$target/bin/pip" install --disable-pip-version-check --timeout 30 --retries 1 \
    --constraint "$pins" "$@" > "$log" 2>&1 && return
  tail -n 5 "$log" >&2
  if grep -q 'No matching distribution found' "$log" &&
    ! grep -qiE 'connection|timed out|temporary failure|proxy|SSL' "$log"; then
    echo "tensorrt_env: the registry does not have $*" >&2
    exit "$NOT_IN_REGISTRY"
  fi
  unavailable "pip cannot install $*; the messages are in $log"
}

# Print the site-packages of the main environment if it has the torch wanted here (190 MB saved)
# and what else the builder imports.
shared_torch() {
  local site=$root/.venv/lib/python$1/site-packages name
  for name in numpy packaging psutil safetensors; do
    [[ -d $site/$name ]] || return 0
  done
  if compgen -G "$site/torch-$(torch_version)*.dist-info" > /dev/null; then
    echo "$site"
  fi
}

torch_version() {
  sed -n 's/^torch==//p' "$pins"
}

# The '+cpu' build, or pip would fetch the CUDA one and its gigabytes of libraries.
install_torch() {
  local packages=("torch==$(torch_version)+cpu" numpy packaging psutil safetensors)
  (install "${packages[@]}") 2> /dev/null ||
    install --extra-index-url https://download.pytorch.org/whl/cpu "${packages[@]}"
}

# torch_tensorrt's own libraries link to a CUDA torch. Without them it falls back to Python.
set_libraries_aside() {
  local lib=$1/torch_tensorrt/lib
  mkdir -p "$lib/aside"
  mv "$lib"/*.so "$lib/aside/"
}

# torch_tensorrt imports tensorrt_rtx, which the registry has only as a package that wants a plugin
# beside it. The bindings are enough.
name_bindings() {
  mkdir -p "$1/tensorrt_rtx"
  printf 'from tensorrt_rtx_bindings import %s\n' '*' __version__ > "$1/tensorrt_rtx/__init__.py"
}

build() {
  local python=$1 site=$2 shared=$3
  "$python" -m venv --clear "$target" || unavailable "$python cannot make a virtual environment"
  if [[ -n $shared ]]; then
    echo "$shared" > "$site/zz_main_environment.pth"  # its packages come after this one's own
  else
    install_torch
  fi
  # No dependencies, since they name a TensorRT-RTX whose packages bring what is not wanted here.
  install --no-deps torch-tensorrt-rtx tensorrt-rtx-cu13-bindings tensorrt-rtx-cu13-libs dllist \
    triton
  set_libraries_aside "$site"
  name_bindings "$site"
  "$target/bin/python" -c 'import tensorrt_rtx; tensorrt_rtx.Builder'
}

main() {
  local python version shared inputs stamp=$target/.stamp
  python=${PYTHON:-$(command -v python3.11 || true)}
  [[ -n $python ]] || unavailable 'python3.11 is not installed'
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') ||
    unavailable "$python does not run"
  exec 9< "${BASH_SOURCE[0]}"  # a lock: two test runs may come here at once
  flock 9
  shared=$(shared_torch "$version")
  inputs=$(cat "${BASH_SOURCE[0]}" "$pins" <(echo "$root $version $shared") | sha256sum)
  if [[ -f $stamp && $(< "$stamp") == "$inputs" ]]; then
    return
  fi
  rm -f "$stamp"
  build "$python" "$target/lib/python$version/site-packages" "$shared"
  echo "$inputs" > "$stamp"  # last, so that an interrupted build is not taken for a whole one
}

main
