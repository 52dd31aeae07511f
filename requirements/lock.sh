#!/usr/bin/env bash
# Renew the hashed pins (no index addresses are written).
set -eu
cd "$(dirname "$0")/.."
common=(--generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --quiet)
uv pip compile pyproject.toml --extra export --extra excel --group build "${common[@]}" -o requirements/run.txt
uv pip compile pyproject.toml --extra dicom --extra excel --extra export --extra serve --extra zoo --group build --group dev --group docs -c requirements/run.txt --override requirements/overrides.txt "${common[@]}" -o requirements/dev.txt
uv pip compile pyproject.toml --extra serve -c requirements/run.txt "${common[@]}" -o requirements/serve.txt
# NNCF takes older versions of numpy on newer Pythons, so these pins are resolved for themselves.
uv pip compile pyproject.toml --extra openvino --extra quantize "${common[@]}" -o requirements/openvino.txt
uv pip compile pyproject.toml --extra tracking -c requirements/run.txt "${common[@]}" -o requirements/tracking.txt
uv pip compile pyproject.toml --extra ray -c requirements/run.txt "${common[@]}" -o requirements/ray.txt
uv pip compile --group pyproject.toml:docs -c requirements/dev.txt "${common[@]}" -o requirements/docs.txt
uv pip compile pyproject.toml --extra nnunet -c requirements/run.txt "${common[@]}" -o requirements/nnunet.txt
echo 'uv' | uv pip compile - "${common[@]}" -o requirements/uv.txt
