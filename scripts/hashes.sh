#!/usr/bin/env bash
# Write constraints/bare.hashes.txt anew: every package that the bare machine installs to run the
# node, at the pin of constraints/bare.txt, with the hash of each of its files. Takes about six minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=constraints/bare.hashes.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

scripts/tools_env.sh
version=$(sed -n 's/^torch==//p' constraints/bare.txt)

# Print a hash of torch from one source: pip's configuration, the registry alone, the CPU index.
hash_of_torch() {  # $1: version, then a command that runs pip, and options
    local wanted=$1
    shift
    "$@" install --dry-run --ignore-installed --no-deps --quiet --report - "torch===$wanted" \
        2>> "$work/pip.log" |
        .venv-tools/bin/python -c '
import json, sys
for package in json.load(sys.stdin)["install"]:
    print(package["download_info"]["archive_info"]["hashes"]["sha256"])'
}

pip=(.venv-tools/bin/python -m pip --disable-pip-version-check)
plain=(env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null "${pip[@]}")
{
    hash_of_torch "$version+cpu" "${pip[@]}" ||
        echo "hashes: this machine's pip finds no torch $version+cpu" >&2
    hash_of_torch "$version" "${plain[@]}" ||
        echo "hashes: the registry has no torch $version" >&2
    hash_of_torch "$version+cpu" "${plain[@]}" --index-url https://download.pytorch.org/whl/cpu ||
        echo "hashes: PyTorch's CPU index does not answer; its hashes of this version stay" >&2
    sed -n "s/^torch==$version //p" "$target" 2>/dev/null | grep -o '[0-9a-f]\{64\}' || true
} | sort -u > "$work/torch"
[ -s "$work/torch" ] || { cat "$work/pip.log" >&2; echo 'hashes: torch has none' >&2; exit 1; }

scripts/setup.sh --runtime > "$work/runtime.in"
.venv-tools/bin/pip-compile --generate-hashes --allow-unsafe --strip-extras --no-header --quiet \
    --no-annotate --no-emit-options --constraint constraints/bare.txt \
    --output-file "$work/compiled.txt" "$work/runtime.in"
{
    cat <<'TEXT'
# What the bare machine installs to run the node, with the sha256 of every file that a package has
# at this version. make hashes writes this file from constraints/bare.txt; scripts/setup.sh uses it.
# The hashes of torch are of its wheels for Linux x86_64 and CPython 3.11: with CUDA, as PyPI has
# it, and without, from a disk or an index of such wheels.
#
# To install from it by hand: pip install --require-hashes --no-deps -r constraints/bare.hashes.txt
TEXT
    sed -e ':line' -e '/\\$/{N;s/\\\n *//;b line' -e '}' "$work/compiled.txt" |
        grep -v -e '^torch==' -e '^#' -e '^$' -e '^--'
    echo "torch==$version $(sed 's/^/--hash=sha256:/' "$work/torch" | tr '\n' ' ')" | sed 's/ $//'
} > "$work/hashes.txt"
mv "$work/hashes.txt" "$target"
echo "hashes: $(grep -c == "$target") packages in $target"
