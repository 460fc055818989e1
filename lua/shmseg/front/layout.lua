--- What the front knows of the C structs, and the check that it is so.
-- @module shmseg.front.layout

local core = require "shmseg.core"

local layout = {}

-- VERSION is put into all names, since a process declares a name once.
local declarations = [[
typedef struct shmseg_front_VERSION shmseg_front_VERSION;
typedef struct shmseg_views_VERSION {
  int32_t (*read_bytes)(shmseg_front_VERSION *, const void *, double, double);
  bool (*write_bytes)(const void *, double, const char *, size_t);
  int32_t (*read_text)(shmseg_front_VERSION *, const void *, const void *, double, double);
  bool (*write_text)(const void *, const void *, double, double, const char *, size_t);
  double (*add)(const void *, int64_t);
  double (*sub)(const void *, int64_t);
  double (*band)(const void *, int64_t);
  double (*bor)(const void *, int64_t);
  double (*bxor)(const void *, int64_t);
  double (*swap)(const void *, int64_t);
  double (*load)(const void *);
  bool (*store)(const void *, int64_t);
  double (*cas)(const void *, int64_t, int64_t);
} shmseg_views_VERSION;
typedef struct shmseg_scratch_VERSION {
  double serial, number, lost;
  int32_t size, type, flags, unused;
  uint8_t bytes[16384];
  uint64_t batch[8];
} shmseg_scratch_VERSION;

typedef struct shmseg_objects_VERSION {
  double (*cell_set)(void *, const void *, uint32_t);
  double (*cell_get)(void *, shmseg_scratch_VERSION *);
  int32_t (*queue_push)(void *, const void *, uint32_t);
  double (*queue_see)(void *, shmseg_scratch_VERSION *);
  int32_t (*queue_take)(void *, shmseg_scratch_VERSION *, double);
  double (*broadcast_publish)(void *, const void *, uint32_t);
  double (*subscription_see)(void *, shmseg_scratch_VERSION *);
  int32_t (*subscription_advance)(void *, shmseg_scratch_VERSION *, double);
  double (*dict_get)(void *, const void *, uint32_t, shmseg_scratch_VERSION *);
  int32_t (*dict_set)(void *, const void *, uint32_t, const void *, uint32_t, int32_t, double,
    double);
  int32_t (*dict_set_number)(void *, const void *, uint32_t, double, int32_t, double, double);
  int32_t (*dict_delete)(void *, const void *, uint32_t);
  double (*dict_incr)(void *, const void *, uint32_t, double);
} shmseg_objects_VERSION;

typedef struct shmseg_front_VERSION {
  uint8_t *at;
  uint8_t *home;
  int64_t key;
  uint32_t count;
  uint32_t keeps;
  uint64_t nowhere[2];
  union {
    uint64_t scratch[2];
    int32_t scratch_i32;
    int64_t scratch_i64;
    float scratch_f32;
    double scratch_f64;
  };
  const void *array_tag;
  const shmseg_views_VERSION *views;
  const shmseg_objects_VERSION *objects;
  const uint32_t *numbers;
  int32_t reads;
  uint32_t length;
  char buffer[1024];
} shmseg_front_VERSION;

typedef struct shmseg_view_VERSION {
  const void *tag, *segment;
  uint64_t offset, size;
  bool is_part, has_parts;
  const void *now;
  int64_t key;
  uint8_t *base;
  int *code;
  int64_t limit, limit_to_change;
} shmseg_view_VERSION;
]]

-- A pointer through which a value of each type is loaded or stored where front.at leads, in one
-- instruction of the interpreter: no hook can run in the middle of it. It points to front, as if
-- that were a struct with a reference as in C++, { type &value }: a pointer that the FFI follows by
-- itself. Here that is the first field of front, at.
local accesses = {
  u8 = "uint8_t", i8 = "int8_t", i16 = "int16_t", u16 = "uint16_t", i32 = "int32_t",
  u32 = "uint32_t", i64 = "int64_t", f32 = "float", f64 = "double",
}

-- The sizes and offsets of front.c, in its order: { struct } or { struct, field }.
local numbers = {
  { "front" }, { "front", "key" }, { "front", "keeps" }, { "front", "numbers" },
  { "front", "reads" }, { "front", "buffer" }, { "views" }, { "front", "scratch" },
  { "view", "key" }, { "view", "base" }, { "view", "code" },
  { "view", "limit" }, { "view", "limit_to_change" },
  { "front", "objects" },
  { "scratch" }, { "scratch", "number" }, { "scratch", "lost" }, { "scratch", "size" },
  { "scratch", "type" }, { "scratch", "flags" }, { "scratch", "bytes" },
  { "objects" },
  { "objects", "cell_set" }, { "objects", "cell_get" },
  { "objects", "queue_push" }, { "objects", "queue_see" }, { "objects", "queue_take" },
  { "objects", "broadcast_publish" }, { "objects", "subscription_see" },
  { "objects", "subscription_advance" },
  { "objects", "dict_get" }, { "objects", "dict_set" }, { "objects", "dict_set_number" },
  { "objects", "dict_delete" }, { "objects", "dict_incr" },
}

local function declare(ffi, text)
  for name, ctype in pairs(accesses) do
    text = text .. ("typedef struct { %s &value; } shmseg_access_%s_VERSION;\n"):format(ctype, name)
  end
  ffi.cdef((text:gsub("VERSION", layout.version)))
end

-- Are all the numbers those of C?
local function is_right(state)
  if state.count ~= #numbers or layout.sizeof "front" ~= state.numbers[0] then
    return false
  end
  for i, number in ipairs(numbers) do
    local struct, field = number[1], number[2]
    local value = field and layout.ffi.offsetof(layout.type(struct), field)
      or layout.sizeof(struct)
    if value ~= state.numbers[i - 1] then
      return false
    end
  end
  return true
end

--- The type of a struct, or of a pointer to it.
-- @tparam string name "view", "view *"
function layout.type(name)
  local base, pointer = name:match "^([%w_]+)(.*)$"
  return layout.ffi.typeof(("shmseg_%s_%s%s"):format(base, layout.version, pointer))
end

function layout.sizeof(name)
  return layout.ffi.sizeof(layout.type(name))
end

--- Declares the structs and compares them with C's. Then layout has what the others take from it:
-- ffi; state, a pointer, with at and home, pointers to its fields, and access, pointers by the name
-- of a scalar; calls, the functions for objects, with scratch, a pointer to what they leave, and
-- bytes, the string in that.
-- @treturn table layout itself, or nil when C's structs are others
function layout.check()
  local ffi = require "ffi"
  layout.ffi, layout.version = ffi, core.version:gsub("%W", "_")
  if not pcall(layout.type, "front") then
    local declared = pcall(declare, ffi, declarations)
    if not declared then
      return nil
    end
  end
  local state = core.front.state
  layout.state = ffi.cast(layout.type "front *", state)
  if not is_right(layout.state) then
    return nil
  end
  layout.access = {}
  for name in pairs(accesses) do
    layout.access[name] = ffi.cast(layout.type("access_" .. name .. " *"), state)
  end
  layout.at = ffi.cast("uint8_t **", state)
  layout.home = layout.at + 1
  layout.calls = layout.state.objects
  core.front.scratch = ffi.new(layout.type "scratch") -- what is read from objects; kept there
  layout.scratch = ffi.cast(layout.type "scratch *", core.front.scratch) -- a small constant
  layout.bytes = ffi.cast("const char *", layout.scratch.bytes)
  layout.anchor = state -- the pointers do not keep it
  return layout
end

return layout
