-- Plays back raw requests, made ready in Python, in their order and round again.
local requests, i, n = {}, 0, 0
function init(args)
  local file = assert(io.open(os.getenv("BENCH_REQUESTS"), "rb"))
  while true do
    local length = file:read(8)
    if not length then break end
    n = n + 1
    requests[n] = file:read(tonumber(length))
  end
  file:close()
end
function request()
  i = i % n + 1
  return requests[i]
end
function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout,
    summary.bytes))
end
