#!/bin/sh
# A small client of the gateway for scripts: ask.sh TEXT prints the answer. Wants curl and jq, $LLM_BASE_URL and
# $LLM_API_KEY. Exit code 0, or 1 with the gateway's code on stderr.
set -eu

body=$(jq -nc --arg text "$1" '{messages: [{role: "user", content: $text}]}')
answer=$(mktemp)
trap 'rm -f "$answer" "$answer.head"' EXIT
left=3
while :; do
    left=$((left - 1))
    # The key goes in by stdin: what stands on a command line, everybody on the machine can read.
    status=$(printf 'header = "Authorization: Bearer %s"\n' "$LLM_API_KEY" |
        curl --config - -sS --max-time 10 -o "$answer" -D "$answer.head" -w '%{http_code}' \
            -H 'Content-Type: application/json' -d "$body" "$LLM_BASE_URL/llm/auto" || true)
    case $status in
    200)
        jq -r .response "$answer"
        exit 0
        ;;
    429 | 500 | 502 | 000) ;;
    *) left=0 ;;
    esac
    if [ "$left" -eq 0 ]; then
        jq -r .error.code "$answer" >&2 2>/dev/null || echo "no answer" >&2
        exit 1
    fi
    sleep "$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]*\).*/\1/p' "$answer.head" | grep . || echo 1)"
done
