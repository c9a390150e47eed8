# Sourced by every command here: finds a Python >= 3.11 (installs Debian's if there is none) and
# runs one module of stack/ with it. Usage: . boot.sh; sendmill_run MODULE "$@"

sendmill_here=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")

sendmill_python() {
    local p
    for p in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
        if command -v "$p" >/dev/null 2>&1 &&
            "$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$p"
            return 0
        fi
    done
    return 1
}

sendmill_run() {
    local module=$1 python sudo=
    shift
    if ! python=$(sendmill_python); then
        [ "$(id -u)" = 0 ] || sudo=sudo
        echo "installing python3" >&2
        { $sudo apt-get -q update && $sudo env DEBIAN_FRONTEND=noninteractive \
            apt-get -q -y install --no-install-recommends python3 python3-venv; } >&2 || exit 69
        python=$(sendmill_python) || { echo "no Python >= 3.11 found" >&2; exit 69; }
    fi
    PYTHONPATH=$sendmill_here PYTHONDONTWRITEBYTECODE=1 exec "$python" -P -m "stack.$module" "$@"
}
