#!/usr/bin/env bash
# Run the first lines of next.md on one machine with two GPUs, within 25 minutes:
#
#     bash benchmarks/next_gpu.sh OUT SECONDS
#
# GPU 0: the cloning comparison in scans, the cells of a stage at the same time; then writing beside stepping, and 512
# envs in scans. GPU 1: retrieval policies beside a longer refinement of the small world; once the chosen blend stands in
# OUT/blend (a number, from the log in OUT/refine), its evaluation on test maps in three processes. Logs and results lie
# in OUT. Nothing begins after SECONDS. Packages that the machine lacks are to be on PYTHONPATH, LI_ENV_COMMIT is to be set.
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
compared() {
    python3 benchmarks/cloning_comparison.py --device cuda --scans --keep "$out/cloning" --encoders 6 --processes \
        --game-workers 6 --max-seconds "$(left 250)" "$@"
}
evaluated() { # evaluated NAME PARTS
    local name=$1; shift
    noted "world_$name" li_env evaluate world --split test --device cuda --workers 10 --weights "$out/weights" \
        --max-seconds "$(left 60)" --out "$out/world_$name" --parts "$@"
}

first_gpu() {
    export CUDA_VISIBLE_DEVICES=0
    noted own_data compared --arms freedoom "freedoom, labelled" --data --out "$out/none.json" &
    local own=$!
    while [ ! -f "$out/cloning/episodes/chosen.json" ] && kill -0 $own 2> /dev/null; do sleep 1; done
    noted game_data compared --arms freedoom_game --data --out "$out/none.json"
    local cells=()
    for seed in 0 1 2; do
        noted "game_$seed" compared --cells "freedoom_game:$seed" --out "$out/game_$seed.json" &
        cells+=($!)
    done
    wait $own
    for seed in 0 1 2; do
        noted "own_$seed" compared --cells "freedoom:$seed" "freedoom, labelled:$seed" --out "$out/own_$seed.json" &
        cells+=($!)
    done
    wait "${cells[@]}"
    noted cloning compared --out "$out/cloning_comparison.json"
    noted collection python3 benchmarks/dataset_collection.py --device cuda --cells 512:2048 64:256 --repeats 3 \
        --encoders 12 --processes --max-seconds "$(left 150)" --out "$out/dataset_collection_h200.json"
    noted grounded python3 benchmarks/freedoom_throughput.py --device cuda --worlds 512 --presets all off --grounded \
        --no-checks --max-seconds "$(left 40)" --out "$out/freedoom_grounded_h200.json"
}

second_gpu() {
    export CUDA_VISIBLE_DEVICES=1
    noted policies python3 benchmarks/freedoom_policies.py --device cuda --split validation --seeds 16 --batch 64 \
        --repeats 1 --out "$out/policies.json" &
    noted refine li_env train world --config benchmarks/freedoom_second_edition/refine.yaml --out "$out/refine" \
        --device cuda
    while [ ! -f "$out/blend" ]; do sleep 1; [ "$(left 300)" -gt 5 ] || return; done
    noted blend python3 benchmarks/freedoom_second_edition/blend.py "$out/refine" "$(cat "$out/blend")" \
        --out "$out/weights"
    evaluated a walks next paths walls autoencoder &
    evaluated b agents loops fidelity &
    evaluated c steps collapse actions
    wait
    noted world python3 benchmarks/world_table.py --join "$out/world_a" "$out/world_b" "$out/world_c" --out "$out/world"
}

first_gpu &
second_gpu &
wait
echo "end at $(now) s"
