-- UTCTime and GeneralizedTime, X.680, as OpenSSL reads and prints them.

local der = require "ssocket.luasec.der"

local dates = {}

local UTC_TIME, GENERALIZED_TIME = der.UTC_TIME, der.GENERALIZED_TIME
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }
local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function days_in(month, year)
    local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
    return month == 2 and leap and 29 or DAYS[month]
end

local function in_range(date)
    return DAYS[date.month]
        and date.day >= 1
        and date.day <= days_in(date.month, date.year)
        and date.hour < 24
        and date.minute < 60
        and date.second < 60
end

local function split(text, tag)
    if tag == UTC_TIME then
        local year, rest, zone = text:match "^(%d%d)(%d%d%d%d%d%d%d%d%d?%d?)(Z)$"
        year = tonumber(year)
        return year and (year < 50 and 2000 or 1900) + year, rest, "", zone
    end
    local year, rest, fraction, zone = text:match "^(%d%d%d%d)(%d%d%d%d%d%d%d%d%d?%d?)(%.?%d*)(Z?)$"
    return tonumber(year), rest, fraction, zone
end

-- A table of numbers, or nil.
local function read(text, tag)
    if tag ~= UTC_TIME and tag ~= GENERALIZED_TIME then
        return nil
    end
    local year, rest, fraction, zone = split(text, tag)
    if not year or #rest == 9 or fraction ~= "" and (#rest == 8 or not fraction:find "^%.%d") then
        return nil
    end
    local parts = {}
    for part in rest:gmatch "%d%d" do
        parts[#parts + 1] = tonumber(part)
    end
    local date = { year = year, month = parts[1], day = parts[2], hour = parts[3], minute = parts[4] }
    date.second, date.fraction, date.zone = parts[5] or 0, fraction, zone
    date.exact = parts[5] and fraction == "" and zone == "Z" -- the forms of RFC 5280
    return in_range(date) and date or nil
end

-- "Nov  5 01:02:03 2026 GMT".
function dates.text(text, tag)
    local date = read(text, tag)
    if not date then
        return "Bad time value"
    end
    local clock = string.format("%02d:%02d:%02d%s", date.hour, date.minute, date.second, date.fraction)
    local zone = date.zone == "Z" and " GMT" or ""
    return string.format("%s %2d %s %d%s", MONTHS[date.month], date.day, clock, date.year, zone)
end

local function days_before(year, month, day)
    local past = year - 1
    local days = past * 365 + math.floor(past / 4) - math.floor(past / 100) + math.floor(past / 400) - 719162
    for m = 1, month - 1 do
        days = days + days_in(m, year)
    end
    return days + day - 1
end

-- Seconds since 1970, or nil for what is no date of RFC 5280.
function dates.seconds(text, tag)
    local date = read(text, tag)
    if date and date.exact then
        local hours = days_before(date.year, date.month, date.day) * 24 + date.hour
        return (hours * 60 + date.minute) * 60 + date.second
    end
end

return dates
