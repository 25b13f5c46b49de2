#!/bin/sh
# Everything that is to be known of a GPU, in one run: tests, every kernel against the reference, throughput, PyTorch beside it.
# Usage: benches/gpu.sh [DEVICE]    raw results go to benches/runs/<date>-<device>/
# Settings, by environment: MODELS, BATCHES, MIN_TIME (seconds a case), PROFILE (release or dev), TESTS (empty: none).
set -u
cd "$(dirname "$0")/.."
device=${1:-auto} models=${MODELS:-resnet18,resnet50,resnext50_32x4d,densenet121} batches=${BATCHES:-1,8,64}
seconds=${MIN_TIME:-3} profile=${PROFILE:-release}
folder=$([ "$profile" = dev ] && echo debug || echo "$profile")
cargo build --locked --profile "$profile" --bins || exit 2
bin=target/$folder
failed=0
out=benches/runs/$(date +%F)-$(echo "$device" | tr -c 'A-Za-z0-9\n' -)
mkdir -p "$out"

# step NAME COMMAND...: runs it, keeps what it prints, and goes on if it fails.
step() {
    name=$1
    shift
    echo "== $name: $*" >&2
    "$@" >"$out/$name.txt" 2>"$out/$name.err" || { echo "== $name FAILED, see $out/$name.err" >&2; failed=1; }
}

step devices "$bin/residua" devices
step doctor "$bin/residua" doctor
if [ -n "${TESTS-all}" ]; then
    step tests cargo test --locked
fi
for model in builtin; do
    step "verify-$model" "$bin/residua" verify -m "$model" --device "$device"
done
for precision in f32 f16; do
    step "bench-$precision" "$bin/residua-bench" -m "$models" --batch "$batches" --min-time "$seconds" --device "$device" \
        --precision "$precision" --format json
done
if python3 -c 'import torch, torchvision; assert torch.cuda.is_available()' 2>/dev/null; then
    step torch python3 benches/torch_peer.py "$models" "$batches" "$seconds"
else
    echo "== no PyTorch with CUDA and torchvision: not compared" >&2
fi
exit $failed
