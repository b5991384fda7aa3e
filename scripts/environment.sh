# Sourced by the other scripts: makes the virtual environment in .venv, once and after changes.
# prepare EXTRAS... installs the project with these optional dependencies.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$root/.venv"

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.10 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "Python 3.10 or later is needed and was not found. Set PYTHON to one." >&2
    return 1
}

prepare() {
    local extras stamp python
    extras=$(IFS=,; echo "$*")
    stamp="$venv/.installed-${extras:-plain}"
    if [ -x "$venv/bin/python" ] && [ "$stamp" -nt "$root/pyproject.toml" ]; then
        return
    fi
    if [ -x "$venv/bin/pip" ]; then
        echo "Adding to $venv what is missing${extras:+ for $extras} ..." >&2
    else
        echo "Setting up $venv (once, a minute or two: TensorFlow is large) ..." >&2
        python=$(find_python)
        if ! "$python" -m venv "$venv" >&2; then
            echo "Python's venv module is missing. On Debian: sudo apt install python3-venv" >&2
            return 1
        fi
    fi
    if ! "$venv/bin/python" -m pip install --disable-pip-version-check \
        --editable "$root${extras:+[$extras]}" >"$venv/setup.log" 2>&1; then
        cat "$venv/setup.log" >&2
        return 1
    fi
    touch "$stamp"
}
