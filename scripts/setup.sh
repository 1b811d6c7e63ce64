#!/usr/bin/env bash
# Set up everything that the platform needs, in .venv beside this repository. Safe to run again, and fast when nothing
# has changed.  Usage: scripts/setup.sh [all|dev]     (dev: also what the tests and checks need)
set -euo pipefail

extra="${1:-all}"
case "$extra" in all | dev) ;; *)
    echo "usage: scripts/setup.sh [all|dev]" >&2
    exit 2
    ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=.venv
torch=torch==2.13.0
torch_cpu_index=https://download.pytorch.org/whl/cpu

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

fingerprint() { # of all that decides what gets installed
    cat pyproject.toml constraints.txt scripts/setup.sh | "$venv/bin/python" -c \
        'import hashlib, os, sys; print(hashlib.sha256(sys.stdin.buffer.read() + os.getcwd().encode() + sys.version.encode()).hexdigest())'
}

current() { # whether an earlier run installed what this one would; dev includes all
    [ -x "$venv/bin/agent-memory" ] || return 1
    local wanted stamp
    wanted=$(fingerprint) || return 1
    for stamp in "$venv/.setup-$extra" "$venv/.setup-dev"; do
        if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then return 0; fi
    done
    return 1
}

find_browser() { # for tests/browser; where it cannot be had, they are skipped
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        if command -v "$name" >/dev/null; then return; fi
    done
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Installing Chromium for the browser tests"
        if { timeout 60 apt-get update && timeout 300 apt-get install -y --no-install-recommends chromium; } >/dev/null 2>&1; then
            return
        fi
    fi
    say "No Chromium: the browser tests will be skipped (Debian and Ubuntu: apt install chromium)"
}

# Only one set-up at a time: `make demo` and `make test` may start together on a fresh clone.
mkdir -p "$venv"
exec 9>"$venv/.setup.lock"
if command -v flock >/dev/null && ! flock -n 9; then
    say "Waiting for another set-up to end"
    flock 9
fi

if ! current; then
    python=$(find_python) || fail "Python 3.11 or newer was not found. Install it, or name it: PYTHON=/path/to/python3.12 $0"
    if ! "$venv/bin/python" -c '' 2>/dev/null; then
        say "Creating $venv with $("$python" --version)"
        "$python" -m venv "$venv" || fail "could not create $venv (on Debian and Ubuntu: apt install python3-venv)"
    fi
    pip=("$venv/bin/python" -m pip --disable-pip-version-check)
    [ -t 2 ] || pip+=(--quiet)

    # torch first and alone: left to the resolver, it would be the newest one with gigabytes of CUDA libraries.
    if ! "$venv/bin/python" -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '${torch#*==}')" 2>/dev/null; then
        say "Installing $torch (a minute or two)"
        installed=
        if [ "$(uname -s)" = Linux ] && "$venv/bin/python" -c \
            "import urllib.request; urllib.request.urlopen('$torch_cpu_index/torch/', timeout=5)" 2>/dev/null; then
            "${pip[@]}" install --index-url "$torch_cpu_index" "$torch" && installed=yes
        fi
        [ -n "$installed" ] || "${pip[@]}" install -c constraints.txt "$torch"
    fi
    say "Installing the platform (.[$extra], a few minutes the first time)"
    "${pip[@]}" install -c constraints.txt -e ".[$extra]"
    if [ "$extra" = dev ]; then find_browser; fi
    fingerprint >"$venv/.setup-$extra"
fi

# Quick when it has been done; the file lives in MODEL_CACHE_DIR, which may have been emptied meanwhile.
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}"
if ! "$venv/bin/python" -m app.providers.onnx_export >/dev/null; then
    fail "the embedding model could not be exported (see above)"
fi
