-- The benchmark's one call, and its result as JSON on the last line of wrk's output.
-- Takes after `--`: path, body.

local call

function init(args)
  local path, body = args[1], args[2]
  wrk.headers["Authorization"] = "Bearer sk-test-unlimited"
  wrk.headers["Content-Type"] = "application/json"
  call = wrk.format("POST", path, wrk.headers, body)
end

function request()
  return call
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '{"requests":%d,"bytes":%d,"duration_s":%.6f,"refused":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, failed.status,
    failed.connect + failed.read + failed.write + failed.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
