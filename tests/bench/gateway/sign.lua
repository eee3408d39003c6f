-- Makes wrk, with one thread, post distinct and genuinely signed events, and writes what came of them as JSON.
-- Environment: BENCH_KEY the raw signing key, BENCH_RUN a prefix of ids that no other run has, BENCH_BODY the file of
-- the body, whose "0000000000" becomes the number of the request, BENCH_REPORT the file to write.
-- https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

local ffi = require("ffi") -- LuaJIT's; wrk is linked to OpenSSL, so libcrypto's symbols are here already
ffi.cdef [[
  typedef struct hmac_ctx_st HMAC_CTX;
  typedef struct evp_md_st EVP_MD;
  HMAC_CTX *HMAC_CTX_new(void);
  const EVP_MD *EVP_sha256(void);
  int HMAC_Init_ex(HMAC_CTX *context, const void *key, int length, const EVP_MD *digest, void *engine);
  int HMAC_Update(HMAC_CTX *context, const char *text, size_t length);
  int HMAC_Final(HMAC_CTX *context, unsigned char *mac, unsigned int *length);
  int EVP_EncodeBlock(unsigned char *base64, const unsigned char *bytes, int length);
]]
local C = ffi.C
local NUMBER = "0000000000"
local bytes, length, body, id, at_id, at_time, at_mac, at_body, at_number
local context, mac, base64 = C.HMAC_CTX_new(), ffi.new("unsigned char[32]"), ffi.new("unsigned char[45]")
local number = 0
local thread
answers = {} -- by status

function setup(only)
  thread = only
end

-- Lay the whole request out once; each request then only patches its number, time and signature.
function init()
  local key, file = os.getenv("BENCH_KEY"), assert(io.open(os.getenv("BENCH_BODY"), "rb"))
  body, id = file:read("*a"), "msg_" .. os.getenv("BENCH_RUN")
  file:close()
  local text = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port
    .. "\r\nUser-Agent: bench/1\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\nwebhook-id: " .. id
  at_id = #text
  text = text .. NUMBER .. "\r\nwebhook-timestamp: "
  at_time = #text
  text = text .. NUMBER .. "\r\nwebhook-signature: v1,"
  at_mac = #text
  text = text .. string.rep("=", 44) .. "\r\n\r\n"
  at_body = #text
  at_number = at_body + body:find(NUMBER, 1, true) - 1
  text = text .. body
  length, bytes = #text, ffi.new("char[?]", #text + 1, text)
  assert(C.HMAC_Init_ex(context, key, #key, C.EVP_sha256(), nil) == 1)
end

function request()
  number = number + 1
  local digits, now = string.format("%010d", number), tostring(os.time())
  ffi.copy(bytes + at_id, digits, 10)
  ffi.copy(bytes + at_time, now, 10)
  ffi.copy(bytes + at_number, digits, 10)
  local opening = id .. digits .. "." .. now .. "."
  C.HMAC_Init_ex(context, nil, 0, nil, nil) -- the same key again
  C.HMAC_Update(context, opening, #opening)
  C.HMAC_Update(context, bytes + at_body, #body)
  C.HMAC_Final(context, mac, nil)
  C.EVP_EncodeBlock(base64, mac, 32)
  ffi.copy(bytes + at_mac, base64, 44)
  return ffi.string(bytes, length)
end

function response(status)
  answers[status] = (answers[status] or 0) + 1
end

function done(summary, latency)
  local listed, errors = {}, summary.errors
  for status, times in pairs(thread:get("answers")) do listed[#listed + 1] = ('"%d": %d'):format(status, times) end
  local report = assert(io.open(os.getenv("BENCH_REPORT"), "w"))
  report:write(([[
{"seconds": %.6f, "answers": {%s}, "connect": %d, "read": %d, "write": %d, "timeout": %d, "p50_ms": %.3f, "p99_ms": %.3f}
]]):format(summary.duration / 1e6, table.concat(listed, ", "), errors.connect, errors.read, errors.write, errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
  report:close()
end
