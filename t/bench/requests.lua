-- Copyright (C) 2026 the mod_authn_token authors
-- SPDX-License-Identifier: Apache-2.0
--
-- For wrk: takes the values of Authorization from the file that
-- BENCH_HEADERS names, one after the other and from a random one on, and
-- prints what Bench::Wrk reads.

local requests = {}
local n = 0

function init()
    for value in io.lines(os.getenv("BENCH_HEADERS")) do
        requests[#requests + 1] =
            wrk.format("GET", nil, { ["Authorization"] = value })
    end
    math.randomseed(os.time())
    n = math.random(#requests)
end

function request()
    n = n % #requests + 1
    return requests[n]
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format("bench %d %d %d %d %.0f\n", summary.requests,
        summary.duration, e.connect + e.read + e.write + e.timeout, e.status,
        latency:percentile(50)))
end
