#!/usr/bin/env bash
# Ask the database of known vulnerabilities about every package of the bare machine.
#
# Exit codes: 0 every package was looked up and none is known to be vulnerable; 1 some are; 3 the
# database cannot be reached, or does not know the packages, so nothing can be said. A package that
# was not looked up is never passed over in silence.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

UNAVAILABLE=3
pins=${1:-constraints/bare.txt}
report=$(mktemp)
log=$(mktemp)
trap 'rm -f "$report" "$log"' EXIT

scripts/tools_env.sh || exit "$UNAVAILABLE"
code=0
timeout 600 .venv-tools/bin/pip-audit --requirement "$pins" --no-deps --disable-pip --timeout 15 \
    --progress-spinner off --format json --output "$report" > "$log" 2>&1 || code=$?
.venv-tools/bin/python - "$report" "$log" "$code" <<'PYTHON'
import json, sys
from pathlib import Path

UNAVAILABLE = 3
report, log, code = Path(sys.argv[1]), Path(sys.argv[2]).read_text(), sys.argv[3]
try:
    packages = json.loads(report.read_text())['dependencies']
except (ValueError, KeyError):
    last = (log.strip().splitlines() or ['no message'])[-1]
    print(f'audit: the database of vulnerabilities cannot be reached, so nothing is known '
          f'(pip-audit ended with code {code}: {last[:300]})', file=sys.stderr)
    sys.exit(UNAVAILABLE)
skipped = [package for package in packages if 'skip_reason' in package]
bad = [package for package in packages if package.get('vulns')]
for package in bad:
    for vuln in package['vulns']:
        fixed = ', '.join(vuln['fix_versions']) or 'no version'
        print(f"audit: {package['name']} {package['version']}: {vuln['id']}, fixed in {fixed}")
print(f'audit: {len(packages) - len(skipped)} of {len(packages)} packages were looked up, '
      f'{len(bad)} of them are known to be vulnerable')
if bad:
    sys.exit(1)
if skipped or not packages:
    print(f'audit: the database gave no answer about {len(skipped)} packages, such as '
          f"{skipped[0]['name'] if skipped else 'all'}, so nothing is known about them: it cannot "
          'be reached from here, or only a mirror without it', file=sys.stderr)
    sys.exit(UNAVAILABLE)
PYTHON
