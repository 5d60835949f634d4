#!/usr/bin/env bash
# Run the tests that need neither ROS nor torch on other Pythons, where those are installed: 3.10 is
# Humble's and 3.12 is Jazzy's. Each gets the pip package in its own environment, .venv-<version>,
# beside NumPy, OpenCV and Pillow as the distribution has them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

TESTS=(test/network/test_class_map.py test/network/test_checkpoint.py test/network/test_quantized.py
       test/perception/test_drivable.py test/perception/test_encodings.py
       test/perception/test_ground.py test/perception/parameters/test_settings.py
       test/perception/test_suspicion.py test/perception/images/test_jpeg.py
       test/scene/test_road_scene.py)
PACKAGES=('openvino' 'safetensors' 'simplejpeg' 'tqdm' 'pyyaml' 'hypothesis' 'pytest'
          'pytest-timeout')

of_distribution() {  # of Ubuntu 22.04 and 24.04, on which Humble and Jazzy are
    case $1 in
    3.10) echo 'numpy==1.21.5 opencv-python-headless==4.5.4.60 pillow==9.0.1' ;;
    3.12) echo 'numpy==1.26.4 opencv-python-headless==4.6.0.66 pillow==10.2.0' ;;
    *) echo 'numpy opencv-python-headless<5 pillow' ;;
    esac
}

find_python() {  # pyenv's shims answer only for a version that is chosen
    local candidate
    for candidate in "python$1" ~/.pyenv/versions/"$1".*/bin/python; do
        if "$candidate" -c 'import venv' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

[ $# -gt 0 ] || set -- 3.10 3.12
for version in "$@"; do
    python=$(find_python "$version") || { echo "python$version: not found, skipped"; continue; }
    folder=.venv-$version
    read -ra own <<< "$(of_distribution "$version")"
    wanted=$(printf '%s\n' "${PACKAGES[@]}" "${own[@]}" | sha256sum)
    if [ "$(cat "$folder/made" 2>/dev/null)" != "$wanted" ]; then
        rm -rf "$folder"
        "$python" -m venv "$folder"
        "$folder/bin/pip" install --quiet --disable-pip-version-check "${PACKAGES[@]}" "${own[@]}" \
            2>/dev/null
        echo "$wanted" > "$folder/made"
    fi
    rm -rf "$folder/source"  # pip leaves its build folder in the source
    mkdir "$folder/source"
    cp -r enet_ros pyproject.toml setup.py README.md LICENSE "$folder/source"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall \
        "$folder/source" 2>/dev/null
    echo "python$version:"
    env -u PYTHONPATH "$folder/bin/pytest" -q -p no:cacheprovider "${TESTS[@]}"
done
