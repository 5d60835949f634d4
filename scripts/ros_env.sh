# Source this file: . scripts/ros_env.sh
#
# Gives a shell (sh, bash, zsh) the environment that scripts/setup.sh made and recorded: ROS 2, this
# package's messages and modules, and segment_node, replay_camera and enet-ros on the PATH.

if [ -n "${BASH_SOURCE:-}" ]; then
    _enet_root=$(cd "$(dirname "${BASH_SOURCE}")/.." && pwd)
elif [ -n "${ZSH_VERSION:-}" ]; then
    _enet_root=$(cd "$(dirname "$(eval 'printf %s "${(%):-%x}"')")/.." && pwd)
else  # a plain sh does not say which file it reads
    _enet_root=${ENET_ROS_ROOT:-$PWD}
fi

if [ -z "${ENET_ROS_UNBUILT:-}" ] && [ ! -e "$_enet_root/.colcon/built" ]; then
    echo "ros_env.sh: nothing is set up in $_enet_root; run 'make setup' there first" >&2
    unset _enet_root
    return 1 2>/dev/null || exit 1
fi

_enet_venv=$_enet_root/.venv
_enet_prefix=$_enet_root/.colcon/install/enet_ros

if [ "$(cat "$_enet_root/.colcon/platform")" = ros ]; then
    . "$_enet_root/.colcon/ros_environment.sh"
else  # ROS 2 wheels: the virtual environment is the distribution
    _enet_libs=$_enet_venv/lib
    for _enet_folder in "$_enet_venv"/lib/python3.11/site-packages/ros_*.libs; do
        _enet_libs=$_enet_libs:$_enet_folder
    done
    export LD_LIBRARY_PATH="$_enet_libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    export AMENT_PREFIX_PATH="$_enet_venv${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"
    export CMAKE_PREFIX_PATH="$_enet_venv${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}"
    export ROS_DISTRO="$(sed -n 's/^# distribution: //p' "$_enet_root/constraints/bare.txt")"
    export ROS_VERSION=2 ROS_PYTHON_VERSION=3
    # Else importing a ROS wheel re-executes the interpreter to set LD_LIBRARY_PATH.
    export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
fi

# lib/python3.11/site-packages, or local/lib/python3.12/dist-packages on Debian's Python. A pattern
# that matches nothing would end zsh here.
while IFS= read -r _enet_folder; do
    [ -z "$_enet_folder" ] || export PYTHONPATH="$_enet_folder${PYTHONPATH:+:$PYTHONPATH}"
done <<FOLDERS
$(find "$_enet_prefix/lib" "$_enet_prefix/local/lib" -maxdepth 2 -path '*/python3*/*-packages' 2> /dev/null)
FOLDERS
export LD_LIBRARY_PATH="$_enet_prefix/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
[ ! -d "$_enet_prefix" ] || export AMENT_PREFIX_PATH="$_enet_prefix:$AMENT_PREFIX_PATH"
export VIRTUAL_ENV="$_enet_venv"
export PATH="$_enet_prefix/lib/enet_ros:$_enet_venv/bin:$PATH"
# Shared memory for whole frames; the file says why. A profile of one's own stays, and so does a choice
# of transports, which Fast DDS would ignore beside the profile.
if [ -z "${FASTDDS_DEFAULT_PROFILES_FILE:-}${FASTRTPS_DEFAULT_PROFILES_FILE:-}\
${FASTDDS_BUILTIN_TRANSPORTS:-}" ]; then
    case $ROS_DISTRO in
        humble|jazzy) export FASTRTPS_DEFAULT_PROFILES_FILE="$_enet_root/config/fastdds.xml" ;;
        *) export FASTDDS_DEFAULT_PROFILES_FILE="$_enet_root/config/fastdds.xml" ;;
    esac
fi

# Completion of enet-ros by the tab key, in a shell in which a person types.
case $-${BASH_VERSION:+b}${ZSH_VERSION:+b} in
    *i*b) ! command -v register-python-argcomplete > /dev/null ||
        eval "$(register-python-argcomplete enet-ros)" ;;
esac

unset _enet_root _enet_venv _enet_prefix _enet_libs _enet_folder
