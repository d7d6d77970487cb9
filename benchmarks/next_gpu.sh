#!/usr/bin/env bash
# Run the first lines of next.md on one machine with one GPU and 16 cores, within 28 minutes:
#
#     bash benchmarks/next_gpu.sh OUT SECONDS [PACKED]
#
# Measurements that want the machine for themselves come first. Then two trainings share it, the one in the game, which
# needs cores, with the lower priority; PACKED is the folder of archives that it goes on from. Logs and results lie in
# OUT; a training that SECONDS cut off goes on when the same command is given again. Packages that the machine lacks are
# to be on PYTHONPATH before this begins, LI_ENV_COMMIT is to be set. What has to come back: OUT/*.json, OUT/*.log, and of
# OUT/open and OUT/detour every result.json, curve.json, log.jsonl, agent.json and policy.safetensors (3 MB each); bring it
# often, because a machine can be lost.
set -u
out=$(mkdir -p "$1" && cd "$1" && pwd) began=$(date +%s) seconds=$2 packed=${3:-}
cd "$(dirname "$0")/.." || exit 1
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True

now() { echo $(($(date +%s) - began)); }
left() { local rest=$((seconds - $1 - $(now))); echo $((rest > 5 ? rest : 5)); }
noted() { # noted NAME COMMAND: run it with a log of its own
    local name=$1; shift
    "$@" > "$out/$name.log" 2>&1
    echo "$name: status $? at $(now) s"
}
trained() { # trained NAME PRIORITY RESERVE WORDS...
    local name=$1 priority=$2 reserve=$3; shift 3
    noted "ppo_$name" nice -n "$priority" python3 benchmarks/ppo_training.py --device cuda --keep "$out/$name" \
        --seeds 5 --jobs 5 --steps 300000 --snapshots 6 --max-episode-steps 32 --game-workers 3 --game-engines 70 \
        --max-seconds "$(left 10)" --evaluation-seconds "$reserve" --pack "$out/packed_$name" "$@"
}
noted throughput python3 benchmarks/freedoom_throughput.py --device cuda --worlds 1 8 32 128 512 1024 --presets all off \
    --ppo 512 --no-checks --max-seconds 330 --out "$out/freedoom_throughput_h200.json"
noted collection python3 benchmarks/dataset_collection.py --device cuda --cells 512:4096 --repeats 2 \
    --encoders 15 --processes --max-seconds 200 --out "$out/dataset_collection_h200.json"
trained open 0 150 --tasks open --arms all &
trained detour 10 150 --tasks detour --arms game ${packed:+--unpack "$packed"} &
wait
noted report python3 benchmarks/ppo_report.py --keep "$out/open" --unfinished --out "$out/ppo_open_300k_h200"
echo "end at $(now) s"
