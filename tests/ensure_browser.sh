#!/bin/sh
# The report's tests open it in a real Chromium. Where none is installed, install it on Debian and Ubuntu
# when that needs no password; otherwise say how, and leave it to those tests to fail.
# CHROME and CHROMEDRIVER name the two programs where they are not on the PATH.
set -u

found() {
    for name in "$@"; do
        [ -z "$name" ] || ! command -v "$name" >/dev/null 2>&1 || return 0
    done
    return 1
}

both_are_there() {
    found "${CHROME:-}" chromium chromium-browser google-chrome google-chrome-stable || return 1
    found "${CHROMEDRIVER:-}" chromedriver
}

both_are_there && exit 0

as_root=
[ "$(id -u)" = 0 ] || as_root="sudo -n"
if command -v apt-get >/dev/null 2>&1 && $as_root true 2>/dev/null; then
    # Debian has both programs as packages; Ubuntu has them only as a snap, which apt-get cannot install in a container.
    echo "tests: installing chromium and chromium-driver with apt-get"
    {
        $as_root apt-get update -qq &&
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
                chromium chromium-driver fonts-noto-cjk
    } >/dev/null 2>&1
    both_are_there && exit 0
fi
echo "tests: no Chromium with chromedriver on the PATH, so the browser tests may fail; install both:" \
    "Debian: apt-get install chromium chromium-driver · Ubuntu: snap install chromium · macOS: brew install --cask google-chrome chromedriver" >&2
exit 0
