#!/usr/bin/env bash
# Make .venv-tools: pip-audit and pip-tools, which have packages of their own and leave .venv untouched.
# Does nothing when the environment is up to date.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pins=constraints/tools.txt
stamp=.venv-tools/pins
wanted=$(sha256sum < "$pins")
[ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || exit 0
echo 'tools: installing pip-audit and pip-tools into .venv-tools' >&2
rm -rf .venv-tools
"$(command -v python3.11 || echo python3)" -m venv .venv-tools
.venv-tools/bin/python -m pip install --disable-pip-version-check --requirement "$pins" \
    > .venv-tools/pip.log 2>&1 || {
    tail -n 5 .venv-tools/pip.log >&2
    echo 'tools: pip could not install them; the messages are in .venv-tools/pip.log' >&2
    exit 1
}
echo "$wanted" > "$stamp"
