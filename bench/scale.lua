-- SPDX-License-Identifier: Apache-2.0
-- For scale.pl: asks for the given paths in turn, after -close each on a connection of its own,
-- and says in one line what wrk has measured.
local requests, next_one = {}, 0

function init(arguments)
  for _, argument in ipairs(arguments) do
    if argument == "-close" then
      wrk.headers["Connection"] = "close"
    else
      requests[#requests + 1] = wrk.format("GET", argument)
    end
  end
end

function request()
  next_one = next_one % #requests + 1
  return requests[next_one]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.timeout, e.status))
end
