#!/usr/bin/env bash
# Run the first lines of next.md on one machine with a GPU and 16 cores, within 28 minutes:
#
#     bash benchmarks/next_gpu.sh OUT SECONDS
#
# Alone on the machine: writing beside stepping, and 512 envs with and without scans. Then a refinement of the small
# world beside trainings with PPO in the game, which need cores; and once the chosen blend stands in OUT/blend (a
# number, from the log in OUT/refine), the evaluation of its weights on test maps in three processes. Logs and results
# lie in OUT. Nothing begins after SECONDS. Packages that the machine lacks are to be on PYTHONPATH, LI_ENV_COMMIT is to
# be set.
set -u
out=$(mkdir -p "$1" && cd "$1" && pwd) began=$(date +%s) seconds=$2
cd "$(dirname "$0")/.." || exit 1
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True

now() { echo $(($(date +%s) - began)); }
left() { local rest=$((seconds - $1 - $(now))); echo $((rest > 5 ? rest : 5)); }
li_env() { python3 -c "from li_env.cli import main; main()" "$@"; }
noted() { # noted NAME COMMAND: run it with a log of its own
    local name=$1; shift
    "$@" > "$out/$name.log" 2>&1
    echo "$name: status $? at $(now) s"
}
evaluated() { # evaluated NAME PARTS
    local name=$1; shift
    noted "world_$name" li_env evaluate world --split test --device cuda --workers 6 --weights "$out/weights" \
        --max-seconds "$(left 60)" --out "$out/world_$name" --parts "$@"
}

noted collection python3 benchmarks/dataset_collection.py --device cuda --cells 512:4096 --repeats 2 \
    --encoders 15 --processes --max-seconds 330 --out "$out/dataset_collection_h200.json"
noted grounded python3 benchmarks/freedoom_throughput.py --device cuda --worlds 512 --presets all off --grounded \
    --no-checks --max-seconds 180 --out "$out/freedoom_grounded_h200.json"

noted ppo_game python3 benchmarks/ppo_training.py --device cuda --keep "$out/ppo" --tasks open --arms game --seeds 5 \
    --jobs 5 --max-seconds "$(left 500)" --evaluation-seconds 150 --pack "$out/ppo_packed" &
noted refine li_env train world --config benchmarks/freedoom_second_edition/refine.yaml --out "$out/refine" --device cuda
while [ ! -f "$out/blend" ] && [ "$(left 300)" -gt 5 ]; do sleep 1; done
if [ -f "$out/blend" ]; then
    noted blend python3 benchmarks/freedoom_second_edition/blend.py "$out/refine" "$(cat "$out/blend")" \
        --out "$out/weights"
    parts=()
    evaluated a walks next paths walls autoencoder & parts+=($!)
    evaluated b agents loops fidelity & parts+=($!)
    evaluated c steps collapse actions & parts+=($!)
    wait "${parts[@]}"
    noted world python3 benchmarks/world_table.py --join "$out/world_a" "$out/world_b" "$out/world_c" --out "$out/world"
fi
wait
echo "end at $(now) s"
