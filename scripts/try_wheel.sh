#!/usr/bin/env bash
# Builds wheel and sdist, installs the wheel into clean environments, and runs the quick start there, outside the checkout.
#
#     scripts/try_wheel.sh [PYTHON ...]     # default python3; one environment for each
#
# With CONSTRAINTS=FILE these versions are installed, else the newest ones.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
largest=10000000 # bytes of a wheel
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
[ $# -gt 0 ] || set -- python3
export PIP_DISABLE_PIP_VERSION_CHECK=1 BAYES_OBSCALING_CACHE="$place/cache"
unset PYTHONPATH

"$1" -m venv "$place/build"
"$place/build/bin/pip" install --quiet build
"$place/build/bin/python" -m build --outdir "$place/dist" "$root" >"$place/build.log" 2>&1 || {
  cat "$place/build.log"
  exit 1
}
for file in "$place"/dist/*; do
  echo "$(basename "$file"): $(stat -c %s "$file") bytes"
done
wheel="$(echo "$place"/dist/*.whl)"
[ "$(stat -c %s "$wheel")" -le "$largest" ] || {
  echo "The wheel is larger than $largest bytes."
  exit 1
}

cd "$place"
cat >mine.csv <<'END'
model,family,params,tokens,benchmark,score
acme-1b,acme,1e9,1e12,mmlu,0.31
acme-1b,acme,1e9,1e12,hellaswag,0.55
acme-7b,acme,7e9,2e12,mmlu,0.47
acme-7b,acme,7e9,2e12,hellaswag,0.76
END
for python in "$@"; do
  "$python" -m venv env
  env/bin/pip install --quiet ${CONSTRAINTS:+--constraint "$CONSTRAINTS"} "$wheel"
  began=$SECONDS
  env/bin/bayes-obscaling --version
  env/bin/bayes-obscaling tasks >tasks
  env/bin/bayes-obscaling models --table frontier >models
  env/bin/bayes-obscaling check mine.csv
  env/bin/bayes-obscaling forecast --fit base-llms-paper --task gsm8k_cot --family Llama-2 --flops 3e24
  env/bin/bayes-obscaling forecast --task gsm8k_cot --cutoff-flops 8.4e22 --cohort paper --factors 1 \
    --chains 2 --draws 100 --save-fit fit.nc --output forecast.csv >forecast
  env/bin/bayes-obscaling forecast --fit fit.nc --family Llama-2 --flops 3e24 --plot forecast.png
  echo "$("$python" --version): $(wc -l <tasks) lines of tasks, $(wc -l <models) of models, $(wc -l <forecast.csv) of" \
    "forecasts, $((SECONDS - began)) s"
  rm -rf env fit.nc forecast.csv
done
