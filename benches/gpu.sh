#!/bin/sh
# Measures everything about a device in one run: tests, every kernel against the reference, the device's limits, throughput with kernels
# chosen by rules and by measurement, and PyTorch and ncnn for comparison if they are installed.
# Usage: benches/gpu.sh [DEVICE]     DEVICE as for `residua --device`
# Writes benches/runs/<date>-<device>.csv (throughput) and benches/runs/<date>-<device>/ (everything else, one file per step).
# Settings, by environment:
#   MODELS, BATCHES     lists, with commas                          MIN_TIME     seconds per case
#   STEPS               steps to run, by name (default: all)        VERIFY       models to verify, separated by spaces
#   PROFILE             release or dev                              SHORT=1      small sizes everywhere, for software adapters
#   NCNN_GPU            ncnn's number of the device (default 0)     PYTHON       the Python that has torch or ncnn (default python3)
set -u
cd "$(dirname "$0")/.."
short=${SHORT:-} device=${1:-auto} profile=${PROFILE:-release} python=${PYTHON:-python3}
if [ -n "$short" ]; then
    : "${MODELS:=resnet18}" "${BATCHES:=1}" "${MIN_TIME:=0}" "${VERIFY:=builtin}"
else
    : "${MODELS:=resnet18,resnet50,resnext50_32x4d,densenet121,cifar_resnet20a}" "${BATCHES:=1,8,64}" "${MIN_TIME:=3}"
    : "${VERIFY:=builtin resnet18 resnet50 resnext50_32x4d densenet121}"
fi
folder=$([ "$profile" = dev ] && echo debug || echo "$profile")
cargo build --locked --profile "$profile" --bins || exit 2
bin=target/$folder
slug=$("$bin/residua" devices --device "$device" | sed -n "s/^\* [0-9a-z]* *//p" | head -n 1 | cut -d"(" -f1 | tr -cs "A-Za-z0-9\n" - | sed "s/-*\$//")
name=benches/runs/$(date +%F)-${slug:-$device}
out=$name
mkdir -p "$out"
failed=0

wanted() {
    case " ${STEPS:-$1} " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# step NAME COMMAND...: runs it if it is wanted, keeps what it prints, and goes on if it fails.
step() {
    step=$1
    shift
    wanted "${step%%-*}" || return 0
    echo "== $step: $*" >&2
    "$@" >"$out/$step.txt" 2>"$out/$step.err" || { echo "== $step FAILED, see $out/$step.err" >&2; failed=1; }
}

# throughput KERNELS OPTION: both precisions, appended to the CSV.
throughput() {
    for precision in f32 f16; do
        step "bench-$1-$precision" "$bin/residua-bench" -m "$MODELS" --batch "$BATCHES" --min-time "$MIN_TIME" --device "$device" \
            --precision "$precision" --stream --format csv "$2"
        [ -s "$out/bench-$1-$precision.txt" ] || continue
        if [ -s "$name.csv" ]; then tail -n +2 "$out/bench-$1-$precision.txt"; else cat "$out/bench-$1-$precision.txt"; fi >>"$name.csv"
        rm "$out/bench-$1-$precision.txt"
    done
}

step devices "$bin/residua" devices
step doctor "$bin/residua" doctor --device "$device"
step tests cargo test --locked
for model in $VERIFY; do
    # A small crop: the reference is slow, and every kernel runs in both precisions.
    what=$([ "$model" = builtin ] && echo "-m builtin" || echo "--synthetic $model --crop 64")
    # shellcheck disable=SC2086
    step "verify-$model" "$bin/residua" verify $what --device "$device"
done
step probe cargo bench --locked --profile "$profile" --bench probe -- ${short:+short} "$device"
step kernels cargo bench --locked --profile "$profile" --bench kernels -- ${short:+--quick 'resnet18/.*b1 f32.*/broadcast'}
if wanted bench; then rm -f "$name.csv"; fi
throughput rules --no-tune
throughput tuned --tune
step profile "$bin/residua" profile -m builtin --device "$device" -o "$out/profile.json" --svg "$out/profile.svg"

if "$python" -c 'import torch, torchvision; assert torch.cuda.is_available()' 2>/dev/null; then
    step torch "$python" benches/torch_peer.py "$MODELS" "$BATCHES" "$MIN_TIME"
else
    wanted torch && echo "== torch: no PyTorch with CUDA and torchvision, not compared" >&2
fi
if "$python" -c 'import ncnn, numpy; assert ncnn.get_gpu_count() > 0' 2>/dev/null; then
    step ncnn "$python" benches/ncnn_peer.py "$MODELS" "$BATCHES" "$MIN_TIME" "${NCNN_GPU:-0}"
    step ncnn-f16 "$python" benches/ncnn_peer.py "$MODELS" "$BATCHES" "$MIN_TIME" "${NCNN_GPU:-0}" --f16
else
    wanted ncnn && echo "== ncnn: no Python package ncnn with a Vulkan device, not compared" >&2
fi
echo "== written: $name.csv $out/" >&2
exit $failed
