-- SPDX-License-Identifier: Apache-2.0
-- What wrk asks where that is no plain GET, and one line for bench.pl: what it has measured.
if wrk.path:match("/post$") then
  wrk.method = "POST"
  wrk.body = string.rep("p", 65536)
end

-- An account of pgbench's at scale 10, another one for each request.
local page = wrk.path:match("^(.*%?aid=)%d+$")
if page then
  math.randomseed(os.time())
  request = function()
    return wrk.format(nil, page .. math.random(1, 1000000))
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    e.connect + e.read + e.write + e.timeout, e.status))
end
