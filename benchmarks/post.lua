-- One kind of call, each request with a number of its own, and the result as JSON on the last line of wrk's output.
-- Takes after `--`: path, body, the ten digits in it that the number replaces, the first number, the step to the next.

local before, after, number, step

function init(args)
  local path, body, digits = args[1], args[2], args[3]
  number, step = tonumber(args[4]), tonumber(args[5])
  wrk.headers["Authorization"] = "Bearer sk-test-unlimited"
  wrk.headers["Content-Type"] = "application/json"
  local call = wrk.format("POST", path, wrk.headers, body)
  local from, to = string.find(call, digits, 1, true)
  before, after = string.sub(call, 1, from - 1), string.sub(call, to + 1)
end

function request()
  number = number + step
  return before .. string.format("%010d", number) .. after
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '{"requests":%d,"bytes":%d,"duration_s":%.6f,"refused":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, failed.status,
    failed.connect + failed.read + failed.write + failed.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
