#!/usr/bin/env bash
# Run the first lines of next.md on one machine with two GPUs and 32 cores, within 28 minutes:
#
#     bash benchmarks/next_gpu.sh OUT SECONDS
#
# Two lanes, each with a GPU and 16 cores of its own. On GPU 0: writing beside stepping, then PPO with goals behind walls
# in the game, which needs cores. On GPU 1: the same training inside, in scans, then whether an evaluation inside can be
# trusted, and how fast PPO's loop is. Logs and results lie in OUT; a training that SECONDS cut off goes on when the same
# command is given again. Packages that the machine lacks are to be on PYTHONPATH before this begins, LI_ENV_COMMIT is to
# be set. What has to come back: OUT/*.json, OUT/*.log, and of OUT/ppo every result.json, log.jsonl, agent.json and
# policy.safetensors (3 MB each); bring it often, because a machine can be lost.
set -u
out=$(mkdir -p "$1" && cd "$1" && pwd) began=$(date +%s) seconds=$2
cd "$(dirname "$0")/.." || exit 1
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True

now() { echo $(($(date +%s) - began)); }
left() { local rest=$((seconds - $1 - $(now))); echo $((rest > 5 ? rest : 5)); }
on() { # on GPU NAME COMMAND: run it on a GPU and its cores, with a log of its own
    local gpu=$1 name=$2; shift 2
    CUDA_VISIBLE_DEVICES=$gpu taskset -c $((16 * gpu))-$((16 * gpu + 15)) "$@" > "$out/$name.log" 2>&1
    echo "$name: status $? at $(now) s"
}
trained() { # trained GPU ARM
    on "$1" "ppo_$2" python3 benchmarks/ppo_training.py --device cuda --keep "$out/ppo" --tasks detour --arms "$2" \
        --seeds 5 --jobs 5 --steps 400000 --scans "$out/scans" --scan-maps 192 --max-episode-steps 32 --game-workers 3 \
        --game-engines 70 --max-seconds "$(left 10)" --evaluation-seconds 240
}
lane_0() {
    on 0 collection python3 benchmarks/dataset_collection.py --device cuda --cells 512:4096 --repeats 2 \
        --encoders 15 --processes --max-seconds 200 --out "$out/dataset_collection_h200.json"
    trained 0 game
}
lane_1() {
    trained 1 all
    on 1 trust timeout "$(left 5)" python3 benchmarks/ppo_trust.py --device cuda --agents "$out"/ppo/detour-all_grounded-full-* \
        --dataset "$out/ppo/episodes/detour.json" --scans "$out/scans/detour" --out "$out/ppo_trust.json"
    on 1 throughput python3 benchmarks/freedoom_throughput.py --device cuda --worlds 512 --presets all --ppo 512 \
        --no-checks --max-seconds "$(left 60)" --out "$out/freedoom_loop_h200.json"
    on 1 report python3 benchmarks/ppo_report.py --keep "$out/ppo" --out "$out/ppo_detour_h200"
}
lane_0 &
lane_1 &
wait
echo "end at $(now) s"
