#!/usr/bin/env bash
# Write the bill of materials of the pins (CycloneDX JSON) and the list of their licences, and look for known holes.
# usage: requirements/bill.sh OUT [PYTHON]   OUT: a folder; PYTHON: of an environment with the pins (default: .venv)
# It needs `uv`, which fetches the three tools for the moment. The same pins give the same bytes.
set -eu
cd "$(dirname "$0")/.."
out=$1 python=${2:-.venv/bin/python}
mkdir -p "$out"
export PYTHONWARNINGS=ignore
for pins in run ray; do
  uvx --from cyclonedx-bom==7.5.0 cyclonedx-py requirements --output-reproducible --short-PURLs --of JSON \
    -o "$out/sbom-$pins.json" "requirements/$pins.txt"
done
names=$(sed -n 's/^\([A-Za-z0-9_.-]*\)==.*/\1/p' requirements/run.txt)
# Names, versions and licences alone: addresses of projects change without notice. Blanks that align columns are left out.
uvx pip-licenses==5.5.5 --python="$python" --format=csv --order=name --from=mixed --with-system --packages $names \
  | tail -n +2 | sed 's/^"\(.*\)","\(.*\)","\(.*\)"$/| \1 | \2 | \3 |/' \
  | { echo '| Name | Version | Licence |'; echo '|---|---|---|'; cat; } > "$out/licences.md"
uvx pip-audit==2.10.1 --require-hashes --disable-pip -r requirements/run.txt || echo "pip-audit: see above" >&2
