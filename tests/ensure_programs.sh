#!/bin/sh
# Some tests open pages in a real Chromium and run the documentation's examples with curl and Node.js. What is
# missing is installed on Debian and Ubuntu where that needs no password; elsewhere this says how, and leaves it to
# those tests to fail. CHROME and CHROMEDRIVER name the two programs where they are not on the PATH.
set -u

found() {
    for name in "$@"; do
        [ -z "$name" ] || ! command -v "$name" >/dev/null 2>&1 || return 0
    done
    return 1
}

# Prints Debian's names of the packages that are missing.
missing() {
    found "${CHROME:-}" chromium chromium-browser google-chrome google-chrome-stable || echo chromium
    found "${CHROMEDRIVER:-}" chromedriver || echo chromium-driver
    found node || echo nodejs
    found curl || echo curl
}

packages=$(missing)
[ -n "$packages" ] || exit 0

as_root=
[ "$(id -u)" = 0 ] || as_root="sudo -n"
if command -v apt-get >/dev/null 2>&1 && $as_root true 2>/dev/null; then
    # Ubuntu has Chromium only as a snap, which apt-get cannot install in a container.
    echo "tests: installing" $packages "with apt-get"
    {
        $as_root apt-get update -qq &&
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
                $packages fonts-noto-cjk
    } >/dev/null 2>&1
    packages=$(missing)
    [ -n "$packages" ] || exit 0
fi
echo "tests: not found:" $packages "(Debian's names), so tests that need them fail; install them:" \
    "Debian: apt-get install" $packages "· Ubuntu: snap install chromium, apt-get install nodejs curl" \
    "· macOS: brew install node, brew install --cask google-chrome chromedriver" >&2
exit 0
