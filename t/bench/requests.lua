-- Copyright (C) 2026 the mod_authn_token authors
-- SPDX-License-Identifier: Apache-2.0
--
-- For wrk: takes the values of Authorization from the file that
-- BENCH_HEADERS names, one after the other and from a random one on, and
-- prints what Bench::Wrk reads. With BENCH_FIRST each is random: so large a
-- share of all requests is for the first tenth of them.

local values = {}
local n = 0
local first = tonumber(os.getenv("BENCH_FIRST"))
local before, after

function init()
    for value in io.lines(os.getenv("BENCH_HEADERS")) do
        values[#values + 1] = value
    end
    before, after = wrk.format("GET", nil, { ["Authorization"] = "\1" })
        :match("^(.-)\1(.*)$")
    math.randomseed(os.time())
    n = math.random(#values)
end

function request()
    if not first then
        n = n % #values + 1
    elseif math.random() < first then
        n = math.random(#values / 10)
    else
        n = math.random(#values / 10 + 1, #values)
    end
    return before .. values[n] .. after
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format("bench %d %d %d %d %.0f %.0f %.0f\n",
        summary.requests, summary.duration,
        e.connect + e.read + e.write + e.timeout, e.status,
        latency:percentile(50), latency:percentile(99),
        latency:percentile(99.9)))
end
