-- SPDX-License-Identifier: Apache-2.0
-- One line for bench.pl: what wrk has measured.
if wrk.path:match("/post$") then
  wrk.method = "POST"
  wrk.body = string.rep("p", 65536)
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    e.connect + e.read + e.write + e.status + e.timeout))
end
