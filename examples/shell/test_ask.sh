#!/bin/sh
# How a script is tested: sh examples/shell/test_ask.sh. Wants mock-server, curl and jq in the PATH.
set -eu
cd "$(dirname "$0")"
for program in mock-server curl jq; do
    command -v "$program" >/dev/null || { echo "$program is not in the PATH: install it first" >&2 && exit 1; }
done

folder=$(mktemp -d)
mkfifo "$folder/alive"
mock-server serve --world instant --port 0 --stop-with-stdin <"$folder/alive" >"$folder/ready" &
exec 9>"$folder/alive" # the mock ends when this closes, however this script ends
trap 'exec 9>&-; wait; rm -rf "$folder"' EXIT
until url=$(sed -n 's/^mock-server ready on //p' "$folder/ready") && [ -n "$url" ]; do
    kill -0 $! || exit 1
    sleep 0.1
done
export LLM_API_KEY=sk-test-unlimited

failed=0
# begin NAME: a test id of the test's own, in the base URL.
begin() {
    name=$1
    test=$(echo "$1" | tr -c 'a-z0-9\n' '-')
    export LLM_BASE_URL="$url/__test__/$test/v1"
}
# control PATH [CURL OPTION…]: ask the mock's control plane for this test.
control() {
    path=$1
    shift
    curl -sS --fail-with-body -H "X-Mock-Test: $test" -H 'Content-Type: application/json' "$url/__mock__/$path" "$@"
}
# expect WANTED SEEN
expect() {
    if [ "$1" = "$2" ]; then
        echo "ok - $name"
    else
        echo "not ok - $name: wanted $1, was $2"
        failed=1
    fi
}

begin "the answer is printed"
control answers -d '{"replies": [{"text": "Sunny."}]}' >/dev/null
expect "Sunny." "$(./ask.sh 'How is the weather?')"

begin "a 502 is tried again"
control faults -d '{"code": 502, "times": 2, "headers": {"Retry-After": "0"}}' >/dev/null
./ask.sh hello >/dev/null
expect 3 "$(control requests/count | jq .count)"

begin "a lost connection is tried again"
control faults -d '{"fault": "reset", "times": 1}' >/dev/null
./ask.sh hello >/dev/null 2>&1
expect 2 "$(control requests/count | jq .count)"

begin "a wrong key is not tried again"
said=$(LLM_API_KEY=sk-test-revoked ./ask.sh hello 2>&1) && said="a good end"
expect "INVALID_API_KEY 1" "$said $(control requests/count | jq .count)"

exit "$failed"
