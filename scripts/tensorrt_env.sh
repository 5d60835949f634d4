#!/usr/bin/env bash
# Build .venv-tensorrt: torch-tensorrt with stubs for the driver's libraries, for the dry run of
# test/support/tensorrt_dry_run/dry_run.py on a machine without a GPU. Does nothing when it is up to date.
#
# Exit code 3 says that it cannot be built here (a tool or a package cannot be had), 1 that it is
# broken. PYTHON names another interpreter than python3.11.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tooling=$root/test/support/tensorrt_dry_run
target=$root/.venv-tensorrt
torch=2.13.0  # the one version torch-tensorrt 2.13.0 accepts

unavailable() {
  echo "tensorrt_env: $*" >&2
  exit 3
}

# Print the site-packages of the main environment if it has the torch wanted here (190 MB saved)
# and what else enet_ros/network/frame_graph.py imports.
shared_torch() {
  local site=$root/.venv/lib/python$1/site-packages
  if [[ -d $site/numpy && -d $site/safetensors ]] &&
    compgen -G "$site/torch-$torch*.dist-info" > /dev/null; then
    echo "$site"
  fi
}

install() {
  "$target/bin/pip" install -qq --timeout 30 --retries 1 "$@"
}

# The '+cpu' build, or pip would fetch the CUDA one and its gigabytes of libraries.
install_torch() {
  local wanted=("torch==$torch+cpu" numpy safetensors)
  install "${wanted[@]}" 2> /dev/null ||
    install --extra-index-url https://download.pytorch.org/whl/cpu "${wanted[@]}" ||
    unavailable "pip cannot install torch $torch for the CPU"
}

build_stubs() {
  local stubs=$target/lib/tensorrt_stubs name
  mkdir -p "$stubs"
  for name in nvinfer nvinfer_plugin nvonnxparser; do
    g++ -shared -fPIC -O1 "-D${name^^}" "-Wl,-soname,lib$name.so.11" \
      -o "$stubs/lib$name.so.11" "$tooling/stubs.cpp"
  done
}

# torch_tensorrt's own libraries link to a CUDA torch. Without them it falls back to Python.
set_libraries_aside() {
  local lib=$1/torch_tensorrt/lib
  mkdir -p "$lib/aside"
  mv "$lib"/*.so "$lib/aside/"
}

build() {
  local python=$1 site=$2 shared=$3
  "$python" -m venv --clear "$target" || unavailable "$python cannot make a virtual environment"
  if [[ -n $shared ]]; then
    echo "$shared" > "$site/zz_main_environment.pth"  # its packages come after this one's own
  else
    install_torch
  fi
  install --no-deps -r "$tooling/requirements.txt" ||
    unavailable 'pip cannot install test/support/tensorrt_dry_run/requirements.txt'
  set_libraries_aside "$site"
  build_stubs
  PYTHONPATH=$tooling "$target/bin/python" -c 'import tensorrt'
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
  inputs=$(cat "${BASH_SOURCE[0]}" "$tooling/requirements.txt" "$tooling/stubs.cpp" \
    <(echo "$root $version $shared") | sha256sum)
  if [[ -f $stamp && $(< "$stamp") == "$inputs" ]]; then
    return
  fi
  command -v g++ > /dev/null || unavailable 'g++ is not installed'
  rm -f "$stamp"
  build "$python" "$target/lib/python$version/site-packages" "$shared"
  echo "$inputs" > "$stamp"  # last, so that an interrupted build is not taken for a whole one
}

main
