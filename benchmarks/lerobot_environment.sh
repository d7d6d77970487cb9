#!/bin/sh
# Make an environment with lerobot beside the project's own, for dataset_loaders.py and LI_ENV_LEROBOT:
#
#     sh benchmarks/lerobot_environment.sh 0.6.1 FOLDER [PYTHON]   # whole, needs Python 3.12 (PYTHON), 5.2 GB
#     sh benchmarks/lerobot_environment.sh 0.4.4 FOLDER [PYTHON]   # a folder beside PYTHON, which has torch 2.13: 265 MB
#
# The command is then FOLDER/python. Both pins are those that were seen to work.
set -eu
version=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
case $version in
0.6.1)
    "${3:-python3.12}" -m venv "$folder/venv"
    python=$folder/venv/bin/python
    "$python" -m pip install --quiet "lerobot[dataset]==0.6.1"
    packages=$("$python" -c "import sysconfig; print(sysconfig.get_paths()['purelib'])")
    libraries=$packages
    ;;
0.4.4)
    python=$(command -v "${3:-.venv/bin/python}")
    python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python")
    packages=$folder/packages
    "$python" -m pip install --quiet --no-compile --no-deps --target "$packages" lerobot==0.4.4 torchvision==0.28.0 \
        torchcodec==0.13.0 "datasets>=4,<4.2" pyarrow pandas pytz six dill xxhash multiprocess fsspec aiohttp jsonlines \
        attrs draccus==0.10.0 mergedeep pyyaml-include typing-inspect toml termcolor deepdiff orderly-set \
        aiohappyeyeballs aiosignal frozenlist multidict yarl propcache
    libraries=$("$python" -c "import sysconfig; print(sysconfig.get_paths()['purelib'])")
    ;;
*)
    echo "lerobot $version: allowed are 0.6.1 and 0.4.4" >&2
    exit 2
    ;;
esac
# torchcodec looks for FFmpeg's libraries under their plain names; those of the av wheel have others.
mkdir -p "$folder/ffmpeg"
for name in avcodec avformat avutil avdevice avfilter swscale swresample; do
    for file in "$libraries"/av.libs/lib$name-*.so.*; do
        number=$(basename "$file" | sed 's/.*\.so\.\([0-9]*\).*/\1/')
        ln -sf "$file" "$folder/ffmpeg/lib$name.so.$number"
    done
done
[ "$version" = 0.4.4 ] && path=$packages || path=
cat >"$folder/python" <<LAUNCHER
#!/bin/sh
export PYTHONPATH="$path" HF_HUB_OFFLINE=1 LD_LIBRARY_PATH="$folder/ffmpeg:$libraries/av.libs"
exec "$python" "\$@"
LAUNCHER
chmod +x "$folder/python"
echo "$folder/python"
