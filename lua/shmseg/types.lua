---@meta shmseg
-- SPDX-License-Identifier: MIT
-- What editors know of the library: LuaCATS declarations, as lua-language-server reads them. No
-- program loads this file. doc/editor.md tells how to point an editor at it; spec/types_spec.lua
-- compares it with the library, and with the manual.

-- --- words -----------------------------------------------------------------------------------

---@alias shmseg.mode
---| "r"  # what is there, for reading only
---| "rw" # what is there, for reading and writing
---| "c"  # what is there, or a new one
---| "x"  # a new one only

---@alias shmseg.kind "mutex"|"rwlock"|"semaphore"|"event"|"cell"|"queue"|"broadcast"|"dict"

---The types of elements and fields.
---@alias shmseg.type "bool"|"i8"|"u8"|"i16"|"u16"|"i32"|"u32"|"i64"|"u64"|"f32"|"f64"

---@alias shmseg.atomic_type "i32"|"u32"|"i64"|"u64"

---@alias shmseg.hint
---| "normal"
---| "random"
---| "sequential"
---| "willneed"
---| "dontneed"
---| "hugepage"
---| "nohugepage"

---@alias shmseg.signal
---| "HUP"
---| "INT"
---| "QUIT"
---| "TERM"
---| "USR1"
---| "USR2"
---| "ALRM"
---| "CHLD"
---| "CONT"
---| "TSTP"
---| "PIPE"
---| "WINCH"

---What a failure is, as a word that stays the same: the third result behind nil and a message.
---@alias shmseg.code
---| "timeout"      # expected: not in this time
---| "empty"        # expected: no value yet
---| "shutdown"     # expected: no message any more
---| "interrupted"  # expected: a signal of shmseg.signals has come
---| "too many"     # a signal cannot count so far
---| "too small"    # the object, the segment or the place behind the offset
---| "truncated"    # another process has shrunk the segment
---| "corrupt"      # what lies in the memory cannot be
---| "incompatible" # something else lies there, or it has another capacity, kind or format
---| "EACCES"       # not permitted to this user, or through this handle
---| "EAGAIN"
---| "EBADF"
---| "EBUSY"
---| "ECANCELED"    # the process is ending
---| "EDQUOT"
---| "EEXIST"       # it is there already
---| "EFAULT"
---| "EFBIG"
---| "EINTR"
---| "EINVAL"
---| "EIO"
---| "EISDIR"
---| "ELOOP"
---| "EMFILE"       # no descriptor is free in this process
---| "ENAMETOOLONG"
---| "ENFILE"
---| "ENODEV"
---| "ENOENT"       # it is not there: mode "c" creates
---| "ENOLCK"
---| "ENOMEM"
---| "ENOSPC"       # no memory is left for shared memory
---| "ENOSYS"
---| "ENOTDIR"
---| "ENOTSUP"      # this platform cannot do it
---| "ENXIO"
---| "EOVERFLOW"
---| "EPERM"
---| "EROFS"
---| "ETXTBSY"
---| "EXDEV"

---What a dict says behind nil or false.
---@alias shmseg.dict_word
---| "not found"
---| "exists"
---| "not a number"
---| "value is a list"
---| "value not a list"
---| "nil key"
---| "empty key"
---| "key too long"
---| "bad value type"
---| "no memory"
---| "changed"
---| "empty"
---| "timeout"
---| "interrupted"
---| "incompatible"
---| "truncated"
---| "corrupt"
---| "ENOSPC"

---Where an object lies: under a name of its own (nil with mode "x" picks a free one), or at the
---beginning of a segment or slice.
---@alias shmseg.where string|shmseg.Segment|shmseg.Slice|nil

---Values of cells, messages of queues and broadcasts: a string, the bytes of a segment or slice, or
---what the codec encodes.
---@alias shmseg.value string|shmseg.Segment|shmseg.Slice|any

---Keys of dicts. Numbers and booleans are taken as strings.
---@alias shmseg.key string|number|boolean

-- --- options ---------------------------------------------------------------------------------

---Options of all segments.
---@class shmseg.AnonymousOptions
---@field perm? string permissions of a new one: "600" (default), "0640" or "rw-r-----"
---@field reserve? boolean take the memory now (default true)
---@field max? integer bytes of address space to keep free for growth
---@field populate? boolean map every page now
---@field pin? boolean keep the pages in memory

---Options of objects with a name of their own.
---@class shmseg.ObjectOptions: shmseg.AnonymousOptions
---@field temporary? boolean|"last" remove the name when its maker, or its last user, closes or ends

---@class shmseg.OpenOptions: shmseg.ObjectOptions
---@field init? fun(segment: shmseg.Segment) fills a new segment before others can see it
---@field grow? boolean a smaller one that is there gets the size

---@class shmseg.MapOptions: shmseg.OpenOptions
---@field offset? integer bytes: where a window of the file begins, a multiple of 64
---@field length? integer bytes of the window
---@field public private? boolean changes are not written to the file

---@class shmseg.MutexOptions: shmseg.ObjectOptions

---@class shmseg.RwlockOptions: shmseg.ObjectOptions

---@class shmseg.SemaphoreOptions: shmseg.ObjectOptions
---@field permits? integer 1 to 65,535; of a signal the most; needed under a name to create one
---@field signal? boolean it counts: starts at 0, anybody posts, what is acquired is used up

---@class shmseg.EventOptions: shmseg.ObjectOptions

---Makes strings of values, and values of strings. A struct is one.
---@class shmseg.Codec
---@field encode fun(value: any): string
---@field decode fun(bytes: string): any

---@class shmseg.CellOptions: shmseg.ObjectOptions
---@field capacity? integer bytes of the largest value; needed under a name to create one
---@field codec? shmseg.Codec

---@class shmseg.QueueOptions: shmseg.ObjectOptions
---@field capacity? integer bytes of the largest message; needed under a name to create one
---@field codec? shmseg.Codec

---@class shmseg.BroadcastOptions: shmseg.ObjectOptions
---@field capacity? integer bytes of the largest message; needed under a name to create one
---@field codec? shmseg.Codec

---@alias shmseg.evict
---| "lru"  # when it is full, items go that were not used for long
---| "none" # when it is full, a write finds "no memory"

---@class shmseg.DictOptions: shmseg.ObjectOptions
---@field capacity? integer bytes for all items; needed under a name to create one
---@field evict? shmseg.evict
---@field items? integer how many items are expected
---@field codec? shmseg.Codec

---@class shmseg.FetchOptions
---@field ttl? number seconds to live of what is stored
---@field stale? number seconds for which others get an expired value meanwhile
---@field timeout? number seconds to wait for another one's function (default 5)
---@field flags? integer the user's flags

---@class shmseg.StructOptions
---@field packed? boolean no padding

-- --- tables that calls return ----------------------------------------------------------------

---@class shmseg.Stat
---@field size integer bytes
---@field allocated integer bytes that it really takes
---@field perm string "600"
---@field uid integer
---@field gid integer
---@field links integer
---@field device integer
---@field inode integer
---@field accessed number seconds since 1970
---@field modified number seconds since 1970
---@field changed number seconds since 1970

---@class shmseg.Features
---@field platform "linux"|"macos"|"posix"
---@field atomic_create boolean a new segment appears under its name complete, or not at all
---@field reserve boolean the memory of a new segment is taken when it is made
---@field fault_guard boolean a missing page is an error, and no SIGBUS
---@field futex boolean a wait sleeps in the kernel, on the word itself
---@field ofd_locks boolean each handle is an owner of locks by itself
---@field memfd boolean nobody can shrink an anonymous segment
---@field presence boolean who has an object open is known
---@field list boolean shmseg.list works
---@field proc boolean /proc is there
---@field watch "io_uring"|"thread"|false how watches wait
---@field ffi boolean on LuaJIT: hot methods are compiled, through its FFI

---@class shmseg.QueueStats
---@field messages integer how many there are
---@field bytes integer how much of the room they take
---@field capacity integer bytes of the largest message
---@field shutdown boolean

---@class shmseg.BroadcastStats
---@field first integer the number of the oldest message that is there
---@field next integer the number that the next message will have
---@field bytes integer how much of the room the messages take
---@field capacity integer bytes of the largest message
---@field shutdown boolean

---@class shmseg.DictStats
---@field count integer how many items there are
---@field bytes integer of keys and values
---@field capacity integer bytes
---@field free integer the capacity without the rounded sizes of all items
---@field evicted integer live items that went to make room
---@field expired integer items that were reclaimed after they had expired
---@field refused integer writes that found no memory
---@field repaired integer parts of the dict that were repaired after a writer's death

-- --- segments --------------------------------------------------------------------------------

---Shared memory: bytes, numbers and packed values. Offsets are bytes, and start at 0.
---@class shmseg.Segment
---@operator len: integer
local Segment = {}

---All of it, or from offset to the end, or count bytes.
---@param offset? integer
---@param count? integer
---@return string? bytes
---@return string? message
---@return shmseg.code? code
function Segment:read(offset, count) end

---@param offset integer
---@param data string
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:write(offset, data) end

---@param offset integer
---@param count integer
---@param byte? integer 0 by default
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:fill(offset, count, byte) end

---@param offset integer
---@param source shmseg.Segment a segment or slice; it may overlap
---@param from? integer
---@param count? integer
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:copy(offset, source, from, count) end

---@param offset integer
---@param source string|shmseg.Segment
---@return -1|0|1|nil order
---@return integer|string|nil difference the offset of the first difference
---@return shmseg.code? code
function Segment:compare(offset, source) end

---@param bytes string
---@param offset? integer
---@param count? integer
---@return integer? offset of the first place
---@return string? message
---@return shmseg.code? code
function Segment:find(bytes, offset, count) end

---As find, from the end.
---@param bytes string
---@param offset? integer
---@param count? integer
---@return integer? offset of the last place
---@return string? message
---@return shmseg.code? code
function Segment:rfind(bytes, offset, count) end

---Writes values in the formats of string.pack.
---@param offset integer
---@param format string
---@param ... any
---@return integer? next the offset behind them
---@return string? message
---@return shmseg.code? code
function Segment:pack(offset, format, ...) end

---@param offset integer
---@param format string
---@return any ... the values, and the offset behind them; or nil, message, code
function Segment:unpack(offset, format) end

---Text as of `hexdump -C`.
---@param offset? integer
---@param count? integer
---@return string? text
---@return string? message
---@return shmseg.code? code
function Segment:dump(offset, count) end

---@param offset integer
---@return boolean? value
---@return string? message
---@return shmseg.code? code
function Segment:get_bool(offset) end

---@param offset integer
---@param value any
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:set_bool(offset, value) end

---@param offset integer
---@return integer? value
---@return string? message
---@return shmseg.code? code
function Segment:get_i8(offset) end

---@param offset integer
---@param value integer
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:set_i8(offset, value) end

---@param offset integer
---@return integer? value
---@return string? message
---@return shmseg.code? code
function Segment:get_u8(offset) end

---@param offset integer
---@param value integer
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:set_u8(offset, value) end

---@param offset integer
---@return integer? value
---@return string? message
---@return shmseg.code? code
function Segment:get_i16(offset) end

---@param offset integer
---@param value integer
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:set_i16(offset, value) end

---@param offset integer
---@return integer? value
---@return string? message
---@return shmseg.code? code
function Segment:get_u16(offset) end

---@param offset integer
---@param value integer
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:set_u16(offset, value) end

---@param offset integer
---@return integer? value
---@return string? message
---@return shmseg.code? code
function Segment:get_i32(offset) end

---@param offset integer
---@param value integer
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:set_i32(offset, value) end

---@param offset integer
---@return integer? value
---@return string? message
---@return shmseg.code? code
function Segment:get_u32(offset) end

---@param offset integer
---@param value integer
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:set_u32(offset, value) end

---@param offset integer
---@return integer? value
---@return string? message
---@return shmseg.code? code
function Segment:get_i64(offset) end

---@param offset integer
---@param value integer
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:set_i64(offset, value) end

---@param offset integer
---@return integer? value
---@return string? message
---@return shmseg.code? code
function Segment:get_u64(offset) end

---@param offset integer
---@param value integer
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:set_u64(offset, value) end

---@param offset integer
---@return number? value
---@return string? message
---@return shmseg.code? code
function Segment:get_f32(offset) end

---@param offset integer
---@param value number
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:set_f32(offset, value) end

---@param offset integer
---@return number? value
---@return string? message
---@return shmseg.code? code
function Segment:get_f64(offset) end

---@param offset integer
---@param value number
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Segment:set_f64(offset, value) end

---A view of a part, with bounds of its own and the same methods.
---@param offset integer
---@param count? integer
---@return shmseg.Slice
function Segment:slice(offset, count) end

---Numbers of one type, by index.
---@param offset integer
---@param type shmseg.type
---@param count? integer all that fit, by default
---@return shmseg.Array
function Segment:array(offset, type, count) end

---One integer that many processes change, each change in one step.
---@param offset integer
---@param type shmseg.atomic_type
---@return shmseg.Atomic
function Segment:atomic(offset, type) end

---Grows or shrinks the shared memory.
---@param size integer
---@return integer? size
---@return string? message
---@return shmseg.code? code
function Segment:resize(size) end

---Looks how large others have made it.
---@return integer? size
---@return string? message
---@return shmseg.code? code
function Segment:refresh() end

---@return integer bytes of this handle's mapping
function Segment:size() end

---@return string? name without its slash, or the path of a file
function Segment:name() end

---@return "r"|"rw"
function Segment:mode() end

---@return integer descriptor which stays the segment's
function Segment:fd() end

---@return shmseg.Stat? stat
---@return string? message
---@return shmseg.code? code
function Segment:stat() end

---@return integer address of the first byte
function Segment:pointer() end

---Writes a file's bytes back to it.
---@param offset? integer
---@param count? integer
---@return true? done
---@return string? message
---@return shmseg.code? code
function Segment:flush(offset, count) end

---Gives the system a hint (madvise).
---@param hint shmseg.hint
---@return true? done
---@return string? message
---@return shmseg.code? code
function Segment:advise(hint) end

---Does the name still lead to this very segment?
---@return boolean? current
---@return string? message
---@return shmseg.code? code
function Segment:is_current() end

---Removes the name if it still leads to this very segment.
---@return true? done
---@return string? message
---@return shmseg.code? code
function Segment:unlink() end

function Segment:close() end

---A view of a part of a segment. It raises on resize and unlink: these are the segment's.
---@class shmseg.Slice: shmseg.Segment

-- --- arrays, structs, atomics ----------------------------------------------------------------

---Elements of one type. They count from 1.
---@class shmseg.Array
---@field [integer] any
---@operator len: integer
local Array = {}

---Element i, or elements i to j.
---@param i integer
---@param j? integer
---@return any ...
function Array:get(i, j) end

---Writes the values, or those of a list, from element i on.
---@param i integer
---@param ... any
---@return true? done
---@return string? message
---@return shmseg.code? code
---@overload fun(self: shmseg.Array, i: integer, list: any[]): true?, string?, shmseg.code?
---@overload fun(self, i: integer, array: shmseg.Array, j?: integer, k?: integer): true?, string?
function Array:set(i, ...) end

---Compares with an array of the same type.
---@param other shmseg.Array
---@return -1|0|1|nil order
---@return integer|string|nil difference the index of the first difference
---@return shmseg.code? code
function Array:compare(other) end

---@param i? integer 1 by default
---@param j? integer the last by default
---@return any[]? list
---@return string? message
---@return shmseg.code? code
function Array:totable(i, j) end

---@param value any
---@return true? done
---@return string? message
---@return shmseg.code? code
function Array:fill(value) end

---@return fun(array: shmseg.Array, index: integer): integer?, any
---@return shmseg.Array array
---@return integer start
function Array:ipairs() end

---Fields of a struct, where they lie in a segment.
---@class shmseg.Record
---@field [string] any

---A layout as a C compiler makes it. A struct is a codec, too.
---@class shmseg.Struct: shmseg.Codec
---@field name string
---@field size integer bytes
---@field align integer bytes
local Struct = {}

---The record at an offset.
---@param segment shmseg.Segment
---@param offset integer
---@param record? shmseg.Record one that is aimed anew; no garbage is made
---@return shmseg.Record record
function Struct:at(segment, offset, record) end

---@param segment shmseg.Segment
---@param offset integer
---@return table<string, any>? fields
---@return string? message
---@return shmseg.code? code
function Struct:read(segment, offset) end

---Fields that are absent from the table stay.
---@param segment shmseg.Segment
---@param offset integer
---@param table table<string, any>
---@return integer? next the offset behind it
---@return string? message
---@return shmseg.code? code
function Struct:write(segment, offset, table) end

---@param segment shmseg.Segment
---@param offset integer
---@param count? integer all that fit, by default
---@return shmseg.Array records
function Struct:array(segment, offset, count) end

---@param segment shmseg.Segment
---@param offset integer of the struct
---@param path string "id", "child.x", "pos[2]"
---@return shmseg.Atomic atomic
function Struct:atomic(segment, offset, path) end

---@param path string "id", "child.x", "pos[2]"
---@return integer bytes from the struct's beginning
function Struct:offset(path) end

---The same struct in C, behind those that it contains.
---@return string text
function Struct:cdef() end

---@param table table<string, any>
---@return string bytes
function Struct.encode(table) end

---@param string string exactly as many bytes as the struct has
---@return table<string, any> fields
function Struct.decode(string) end

---One integer that many processes change, each change in one step, and can wait for.
---@class shmseg.Atomic
local Atomic = {}

---@return integer? value
---@return string? message
---@return shmseg.code? code
function Atomic:load() end

---@param value integer
---@return true? done
---@return string? message
---@return shmseg.code? code
function Atomic:store(value) end

---@param value integer
---@return integer? old
---@return string? message
---@return shmseg.code? code
function Atomic:swap(value) end

---@param d integer
---@return integer? old
---@return string? message
---@return shmseg.code? code
function Atomic:add(d) end

---@param d integer
---@return integer? old
---@return string? message
---@return shmseg.code? code
function Atomic:sub(d) end

---@param m integer
---@return integer? old
---@return string? message
---@return shmseg.code? code
function Atomic:band(m) end

---@param m integer
---@return integer? old
---@return string? message
---@return shmseg.code? code
function Atomic:bor(m) end

---@param m integer
---@return integer? old
---@return string? message
---@return shmseg.code? code
function Atomic:bxor(m) end

---@param expected integer
---@param new integer
---@return boolean? done
---@return integer|string|nil actual
---@return shmseg.code? code
function Atomic:cas(expected, new) end

---Waits until the word is not `seen`. 32-bit types only.
---@param seen integer
---@param timeout? number seconds; nil waits for ever
---@return integer? value
---@return string? message
---@return shmseg.code? code
function Atomic:wait(seen, timeout) end

---A descriptor for an event loop: readable once the word is not `seen`. 32-bit types only.
---@param seen integer
---@return shmseg.Watch? watch
---@return string? message
---@return shmseg.code? code
function Atomic:watch(seen) end

---@param count? integer all by default
---@return integer? woken
---@return string? message
---@return shmseg.code? code
function Atomic:notify(count) end

-- --- objects ---------------------------------------------------------------------------------

---What all objects have.
---@class shmseg.Object
local Object = {}

---The segment or slice in which it lies.
---@return shmseg.Segment segment
function Object:segment() end

---Removes the name if it still leads to this very object.
---@return true? done
---@return string? message
---@return shmseg.code? code
function Object:unlink() end

function Object:close() end

---What the objects have that have a capacity.
---@class shmseg.SizedObject: shmseg.Object
local SizedObject = {}

---@return integer bytes
function SizedObject:capacity() end

---What a lock returns. Each handle has one; its close unlocks if the handle still has the lock.
---@class shmseg.Guard
local Guard = {}

function Guard:close() end

---One process at a time. Its owner may die.
---@class shmseg.Mutex: shmseg.Object
local Mutex = {}

---Raises all failures but "timeout".
---@param timeout? number seconds; nil waits for ever
---@return shmseg.Guard? guard
---@return "abandoned"|"timeout"|nil word "abandoned": the last owner died while it had the lock
---@return "timeout"? code
function Mutex:lock(timeout) end

---@return true? done
---@return string? message
---@return shmseg.code? code
function Mutex:unlock() end

---Calls fn while it is locked. fn is given nil, or "abandoned".
---@generic T
---@param fn fun(abandoned: "abandoned"?): T
---@return T ... what fn returns
function Mutex:with(fn) end

---@return boolean held by this handle
function Mutex:is_held() end

---Many readers or one writer, who may die.
---@class shmseg.Rwlock: shmseg.Object
local Rwlock = {}

---Raises all failures but "timeout".
---@param timeout? number seconds; nil waits for ever
---@return shmseg.Guard? guard
---@return "abandoned"|"timeout"|nil word "abandoned": a writer died while it had the lock
---@return "timeout"? code
function Rwlock:read_lock(timeout) end

---Raises all failures but "timeout".
---@param timeout? number seconds; nil waits for ever
---@return shmseg.Guard? guard
---@return "abandoned"|"timeout"|nil word "abandoned": a writer died while it had the lock
---@return "timeout"? code
function Rwlock:write_lock(timeout) end

---@return true? done
---@return string? message
---@return shmseg.code? code
function Rwlock:unlock() end

---A number of permits. Those of a dead process come back.
---@class shmseg.Semaphore: shmseg.Object
local Semaphore = {}

---Raises all failures but "timeout".
---@param timeout? number seconds; nil waits for ever
---@return true? done
---@return "timeout"? message
---@return "timeout"? code
function Semaphore:acquire(timeout) end

---@return true? done
---@return string? message
---@return shmseg.code? code
function Semaphore:release() end

---Counts up a signal. Nothing changes when it would be too many.
---@param count? integer 1 by default
---@return true? done
---@return string? message
---@return shmseg.code? code
function Semaphore:post(count) end

---@return integer? permits that are free
---@return string? message
---@return shmseg.code? code
function Semaphore:value() end

---A descriptor for an event loop: readable when a counting signal can be acquired.
---@return shmseg.Watch? watch
---@return string? message
---@return shmseg.code? code
function Semaphore:watch() end

---Set or clear.
---@class shmseg.Event: shmseg.Object
local Event = {}

---@return true? done
---@return string? message
---@return shmseg.code? code
function Event:set() end

---@return true? done
---@return string? message
---@return shmseg.code? code
function Event:clear() end

---@return boolean? set
---@return string? message
---@return shmseg.code? code
function Event:is_set() end

---@param timeout? number seconds; nil waits for ever
---@return true? done
---@return string? message
---@return shmseg.code? code
function Event:wait(timeout) end

---A descriptor for an event loop: readable when the event is set.
---@return shmseg.Watch? watch
---@return string? message
---@return shmseg.code? code
function Event:watch() end

---The latest value, never torn.
---@class shmseg.Cell: shmseg.SizedObject
local Cell = {}

---@param value shmseg.value
---@return integer? version
---@return string? message
---@return shmseg.code? code
function Cell:set(value) end

---@return any value nil: empty, or a failure
---@return integer|string version
---@return shmseg.code? code
function Cell:get() end

---@param segment shmseg.Segment
---@param offset? integer 0 by default
---@return integer? count bytes
---@return integer|string version
---@return shmseg.code? code
function Cell:get_into(segment, offset) end

---Sets the value if the version is still this one.
---@param version integer
---@param value shmseg.value
---@return integer|false|nil version
---@return integer|string|nil actual
---@return shmseg.code? code
function Cell:cas(version, value) end

---Waits until the version is another one.
---@param version? integer 0 by default: any value will do
---@param timeout? number seconds; nil waits for ever
---@return any value
---@return integer|string version
---@return shmseg.code? code
function Cell:wait(version, timeout) end

---A descriptor for an event loop: readable when the version is another one.
---@param version? integer 0 by default: any value will do
---@return shmseg.Watch? watch
---@return string? message
---@return shmseg.code? code
function Cell:watch(version) end

---The value that is there, then each change that it sees.
---@return fun(): any, integer
function Cell:changes() end

---Each message to one consumer.
---@class shmseg.Queue: shmseg.SizedObject
---@operator len: integer
local Queue = {}

---@param value shmseg.value
---@param timeout? number seconds; nil waits for ever
---@return true? done
---@return string? message
---@return shmseg.code? code
function Queue:push(value, timeout) end

---@param list shmseg.value[]
---@param timeout? number seconds; nil waits for ever
---@return integer count how many are pushed
---@return string? message
---@return shmseg.code? code
function Queue:push_many(list, timeout) end

---@param timeout? number seconds; nil waits for ever
---@return any value
---@return string? message
---@return shmseg.code? code
function Queue:pop(timeout) end

---@param segment shmseg.Segment
---@param offset? integer 0 by default
---@param timeout? number seconds; nil waits for ever
---@return integer? count bytes
---@return string? message
---@return shmseg.code? code
function Queue:pop_into(segment, offset, timeout) end

---What is there now, perhaps nothing; with a second argument, waits for the first message.
---@param max? integer
---@return any[] list
---@return "shutdown"? word
---@overload fun(self: shmseg.Queue, max: integer?, timeout: number?): any[]?, string?, shmseg.code?
function Queue:drain(max) end

---Messages until the shutdown.
---@return fun(): any
function Queue:messages() end

---@return shmseg.QueueStats? stats
---@return string? message
---@return shmseg.code? code
function Queue:stats() end

---No more messages come; those that are there can be taken.
---@return true? done
---@return string? message
---@return shmseg.code? code
function Queue:shutdown() end

---A descriptor for an event loop: readable when a message can be popped, or one more be pushed.
---@param direction "pop"|"push"
---@return shmseg.Watch? watch
---@return string? message
---@return shmseg.code? code
function Queue:watch(direction) end

---Each message to every subscriber.
---@class shmseg.Broadcast: shmseg.SizedObject
local Broadcast = {}

---@param value shmseg.value
---@return integer? sequence
---@return string? message
---@return shmseg.code? code
function Broadcast:publish(value) end

---@param list shmseg.value[]
---@return integer? sequence of the last one
---@return string? message
---@return shmseg.code? code
---@return integer? published the number of the last one that was published before the failure
function Broadcast:publish_many(list) end

---@param from? "new"|"oldest"|integer "new" by default; -n: the last n
---@return shmseg.Subscription? subscription
---@return string? message
---@return shmseg.code? code
function Broadcast:subscribe(from) end

---@return shmseg.BroadcastStats? stats
---@return string? message
---@return shmseg.code? code
function Broadcast:stats() end

---No more messages come; those that are there can be read.
---@return true? done
---@return string? message
---@return shmseg.code? code
function Broadcast:shutdown() end

---Where one reader of a broadcast is.
---@class shmseg.Subscription
local Subscription = {}

---@param timeout? number seconds; nil waits for ever
---@return any value
---@return integer|string sequence
---@return integer|shmseg.code lost how many were lost before it
function Subscription:next(timeout) end

---@param segment shmseg.Segment
---@param offset? integer 0 by default
---@param timeout? number seconds; nil waits for ever
---@return integer? count bytes
---@return integer|string sequence
---@return integer|shmseg.code lost how many were lost before it
function Subscription:next_into(segment, offset, timeout) end

---What is there now, perhaps nothing; with a second argument, waits for the first message.
---@param max? integer
---@return any[]? list
---@return integer|string sequence of the first, or the next
---@return integer|shmseg.code lost how many were lost before it
---@return "shutdown"? word
---@overload fun(self: shmseg.Subscription, max: integer?, timeout: number?): any[]?, any, any
function Subscription:drain(max) end

---Value, sequence number, and how many were lost before it; until the shutdown.
---@return fun(): any, integer, integer
function Subscription:messages() end

function Subscription:close() end

---A descriptor for an event loop: readable when there is a message, or some were lost.
---@return shmseg.Watch? watch
---@return string? message
---@return shmseg.code? code
function Subscription:watch() end

---Keys and values with times to live. A failure is nil or false and a word, without a message.
---@class shmseg.Dict: shmseg.SizedObject
---@operator len: integer
local Dict = {}

---@param key shmseg.key
---@return any value
---@return integer|shmseg.dict_word|nil flags
function Dict:get(key) end

---Also a value that has expired, while its memory was not needed.
---@param key shmseg.key
---@return any value
---@return integer|shmseg.dict_word|nil flags
---@return boolean? stale
function Dict:get_stale(key) end

---@param keys shmseg.key[]
---@return table<shmseg.key, any>? values
---@return shmseg.dict_word? word
function Dict:get_many(keys) end

---@param key shmseg.key
---@return number? seconds 0: it does not expire
---@return shmseg.dict_word? word
function Dict:ttl(key) end

---@param key shmseg.key
---@param value any nil deletes
---@param exptime? number seconds to live; 0 and nil: for ever
---@param flags? integer
---@return boolean? done
---@return shmseg.dict_word? word
---@return boolean? forcible whether a live item was evicted
function Dict:set(key, value, exptime, flags) end

---As set, and evicts nothing live.
---@param key shmseg.key
---@param value any
---@param exptime? number seconds to live; 0 and nil: for ever
---@param flags? integer
---@return boolean? done
---@return shmseg.dict_word? word
---@return boolean? forcible
function Dict:safe_set(key, value, exptime, flags) end

---As set, if the key is not there.
---@param key shmseg.key
---@param value any
---@param exptime? number seconds to live; 0 and nil: for ever
---@param flags? integer
---@return boolean? done
---@return shmseg.dict_word? word
---@return boolean? forcible whether a live item was evicted
function Dict:add(key, value, exptime, flags) end

---As add, and evicts nothing live.
---@param key shmseg.key
---@param value any
---@param exptime? number seconds to live; 0 and nil: for ever
---@param flags? integer
---@return boolean? done
---@return shmseg.dict_word? word
---@return boolean? forcible
function Dict:safe_add(key, value, exptime, flags) end

---As set, if the key is there.
---@param key shmseg.key
---@param value any
---@param exptime? number seconds to live; 0 and nil: for ever
---@param flags? integer
---@return boolean? done
---@return shmseg.dict_word? word
---@return boolean? forcible whether a live item was evicted
function Dict:replace(key, value, exptime, flags) end

---@param values table<shmseg.key, any>
---@param exptime? number seconds to live; 0 and nil: for ever
---@return true? done
---@return shmseg.dict_word? word
---@return integer? count how many are stored
function Dict:set_many(values, exptime) end

---@param key shmseg.key
---@return boolean? done
---@return shmseg.dict_word? word
---@return boolean? forcible
function Dict:delete(key) end

---Adds to a number.
---@param key shmseg.key
---@param step number
---@param init? number what an absent one starts from
---@param init_ttl? number seconds
---@return number? value
---@return shmseg.dict_word? word
---@return boolean? forcible whether a live item was evicted
function Dict:incr(key, step, init, init_ttl) end

---@param key shmseg.key
---@param exptime number seconds to live from now on; 0: for ever
---@return true? done
---@return shmseg.dict_word? word
function Dict:expire(key, exptime) end

---Stores the value if the key's value is `expected` now; nil: if it is not there.
---@param key shmseg.key
---@param expected any
---@param value any nil deletes
---@param exptime? number seconds to live; 0 and nil: for ever
---@param flags? integer
---@return boolean? done
---@return any actual
function Dict:cas(key, expected, value, exptime, flags) end

---Stores what fn makes of the value. fn may run more than once; nil deletes.
---@param key shmseg.key
---@param fn fun(old: any): any
---@param exptime? number seconds to live, 0: for ever; by default what it was
---@param flags? integer
---@return any value
---@return shmseg.dict_word? word
function Dict:update(key, fn, exptime, flags) end

---Puts a value on the left end of a list.
---@param key shmseg.key
---@param value string|number
---@return integer? length
---@return shmseg.dict_word? word
function Dict:lpush(key, value) end

---Puts a value on the right end of a list.
---@param key shmseg.key
---@param value string|number
---@return integer? length
---@return shmseg.dict_word? word
function Dict:rpush(key, value) end

---@param key shmseg.key
---@return string|number|nil value
---@return shmseg.dict_word? word
function Dict:lpop(key) end

---@param key shmseg.key
---@return string|number|nil value
---@return shmseg.dict_word? word
function Dict:rpop(key) end

---@param key shmseg.key
---@return integer? length
---@return shmseg.dict_word? word
function Dict:llen(key) end

---Waits until the value is no longer `seen`.
---@param key shmseg.key
---@param seen any nil: until there is a value
---@param timeout? number seconds; nil waits for ever
---@return any value
---@return shmseg.dict_word? word
function Dict:wait(key, seen, timeout) end

---A descriptor for an event loop: readable when the value is no longer `seen`.
---@param key shmseg.key
---@param seen any nil: until there is a value
---@return shmseg.Watch? watch
---@return shmseg.dict_word? word
function Dict:watch(key, seen) end

---The value, computed once, however many ask for it.
---@param key shmseg.key
---@param fn fun(key: shmseg.key): any, number? the value, and its time to live
---@param options? shmseg.FetchOptions
---@return any value
---@return "hit"|"computed"|"stale"|shmseg.dict_word how
function Dict:fetch(key, fn, options) end

---The right to compute a value.
---@param key shmseg.key
---@param timeout? number seconds; nil waits for ever
---@return shmseg.Claim? claim
---@return shmseg.dict_word? word
function Dict:claim(key, timeout) end

---Keys and values.
---@param prefix? string
---@return fun(): string, any
function Dict:pairs(prefix) end

---@param max? integer 1024 by default; 0: all
---@return string[]? keys
---@return shmseg.dict_word? word
function Dict:get_keys(max) end

---@return true? done
---@return shmseg.dict_word? word
function Dict:flush_all() end

---@param max? integer
---@return integer? count how many were freed
---@return shmseg.dict_word? word
function Dict:flush_expired(max) end

---@return shmseg.DictStats? stats
---@return shmseg.dict_word? word
function Dict:stats() end

---@return integer? bytes
---@return shmseg.dict_word? word
function Dict:free_space() end

---The right to compute a dict's value.
---@class shmseg.Claim
local Claim = {}

---@param value any nil: there is no value
---@param exptime? number seconds to live; 0 and nil: for ever
---@param flags? integer
---@return boolean? done
---@return shmseg.dict_word? word
---@return boolean? forcible whether a live item was evicted
function Claim:set(value, exptime, flags) end

function Claim:cancel() end

---Signals that no longer end the program.
---@class shmseg.Stop
local Stop = {}

---@param timeout? number seconds; nil waits for ever
---@return shmseg.signal? signal
---@return "timeout"? message
---@return "timeout"? code
function Stop:wait(timeout) end

function Stop:close() end

---A descriptor for an event loop: readable when a signal has come.
---@return shmseg.Watch? watch
---@return string? message
---@return shmseg.code? code
function Stop:watch() end

---A descriptor for an event loop, which polls it for reading: then there may be something.
---@class shmseg.Watch
local Watch = {}

---@return integer descriptor to be polled, and never to be read or closed
function Watch:fd() end

---Looks once, and is armed anew. Call it behind each try.
---@param seen? any what was seen last, by the watch of a cell, an atomic or a dict's key
---@return true? done
---@return string? message
---@return shmseg.code|shmseg.dict_word|nil code
function Watch:rearm(seen) end

---@return "r" events
function Watch:events() end

---@return number seconds after which to try although nothing woke
function Watch:timeout() end

---@return integer descriptor the same as fd
function Watch:pollfd() end

function Watch:close() end

-- --- the modules -----------------------------------------------------------------------------

---@class shmseg.mutex
local mutex = {}

---@param where shmseg.where
---@param mode? shmseg.mode
---@param options? shmseg.MutexOptions
---@return shmseg.Mutex? mutex
---@return boolean|string created or the message
---@return shmseg.code? code
function mutex.open(where, mode, options) end

---@param options? shmseg.MutexOptions
---@return integer bytes
function mutex.size_for(options) end

---@class shmseg.rwlock
local rwlock = {}

---@param where shmseg.where
---@param mode? shmseg.mode
---@param options? shmseg.RwlockOptions
---@return shmseg.Rwlock? rwlock
---@return boolean|string created or the message
---@return shmseg.code? code
function rwlock.open(where, mode, options) end

---@param options? shmseg.RwlockOptions
---@return integer bytes
function rwlock.size_for(options) end

---@class shmseg.semaphore
local semaphore = {}

---@param where shmseg.where
---@param mode? shmseg.mode
---@param options? shmseg.SemaphoreOptions
---@return shmseg.Semaphore? semaphore
---@return boolean|string created or the message
---@return shmseg.code? code
function semaphore.open(where, mode, options) end

---@param options? shmseg.SemaphoreOptions
---@return integer bytes
function semaphore.size_for(options) end

---@class shmseg.event
local event = {}

---@param where shmseg.where
---@param mode? shmseg.mode
---@param options? shmseg.EventOptions
---@return shmseg.Event? event
---@return boolean|string created or the message
---@return shmseg.code? code
function event.open(where, mode, options) end

---@param options? shmseg.EventOptions
---@return integer bytes
function event.size_for(options) end

---@class shmseg.cell
local cell = {}

---@param where shmseg.where
---@param mode? shmseg.mode
---@param options? shmseg.CellOptions
---@return shmseg.Cell? cell
---@return boolean|string created or the message
---@return shmseg.code? code
function cell.open(where, mode, options) end

---@param options? shmseg.CellOptions
---@return integer bytes
function cell.size_for(options) end

---@class shmseg.queue
local queue = {}

---@param where shmseg.where
---@param mode? shmseg.mode
---@param options? shmseg.QueueOptions
---@return shmseg.Queue? queue
---@return boolean|string created or the message
---@return shmseg.code? code
function queue.open(where, mode, options) end

---@param options? shmseg.QueueOptions
---@return integer bytes
function queue.size_for(options) end

---@class shmseg.broadcast
local broadcast = {}

---@param where shmseg.where
---@param mode? shmseg.mode
---@param options? shmseg.BroadcastOptions
---@return shmseg.Broadcast? broadcast
---@return boolean|string created or the message
---@return shmseg.code? code
function broadcast.open(where, mode, options) end

---@param options? shmseg.BroadcastOptions
---@return integer bytes
function broadcast.size_for(options) end

---@class shmseg.dict
local dict = {}

---@param where shmseg.where
---@param mode? shmseg.mode
---@param options? shmseg.DictOptions
---@return shmseg.Dict? dict
---@return boolean|string created or the message
---@return shmseg.code? code
function dict.open(where, mode, options) end

---@param options? shmseg.DictOptions
---@return integer bytes
function dict.size_for(options) end

---Shared memory between processes.
---@class shmseg
---@field _VERSION string
---@field pagesize integer bytes
---@field mutex shmseg.mutex one process at a time
---@field rwlock shmseg.rwlock many readers or one writer
---@field semaphore shmseg.semaphore a number of permits
---@field event shmseg.event set or clear
---@field cell shmseg.cell the latest value
---@field queue shmseg.queue each message to one consumer
---@field broadcast shmseg.broadcast each message to every subscriber
---@field dict shmseg.dict keys and values with times to live
local shmseg = {}

---Opens shared memory by its name, or creates it.
---@param name string? nil with mode "x" picks a free one
---@param mode? shmseg.mode "rw" by default
---@param size? integer bytes of a new one, or the least that will do
---@param options? shmseg.OpenOptions
---@return shmseg.Segment? segment
---@return boolean|string created or the message
---@return shmseg.code? code
function shmseg.open(name, mode, size, options) end

---Shared memory without a name.
---@param size integer bytes
---@param options? shmseg.AnonymousOptions
---@return shmseg.Segment? segment
---@return string? message
---@return shmseg.code? code
function shmseg.anonymous(size, options) end

---Maps an ordinary file.
---@param path string
---@param mode? shmseg.mode "rw" by default
---@param size? integer bytes of a new one, or the least that will do
---@param options? shmseg.MapOptions
---@return shmseg.Segment? segment
---@return boolean|string created or the message
---@return shmseg.code? code
function shmseg.map(path, mode, size, options) end

---Maps what a descriptor leads to.
---@param fd integer which stays the caller's
---@param mode? "r"|"rw" what the descriptor allows, by default
---@return shmseg.Segment? segment
---@return string? message
---@return shmseg.code? code
function shmseg.from_fd(fd, mode) end

---Removes a name, whatever it leads to.
---@param name string
---@return true? done
---@return string? message
---@return shmseg.code? code
function shmseg.unlink(name) end

---@param name string
---@return shmseg.Stat? stat
---@return string? message
---@return shmseg.code? code
function shmseg.stat(name) end

---What has this name: the kind of an object, or "segment".
---@param name string
---@return shmseg.kind|"segment"|nil kind
---@return string? message
---@return shmseg.code? code
function shmseg.kind(name) end

---Who has it open.
---@param name string
---@return integer? handles of this library
---@return integer[]|string processes that have it mapped, as far as they may be seen
---@return shmseg.code? code
function shmseg.users(name) end

---@param pattern? string a Lua pattern
---@return string[]? names sorted
---@return string? message
---@return shmseg.code? code
function shmseg.list(pattern) end

---Defines a layout: fields are { name, type [, count] }.
---@param name string a C identifier
---@param fields table[]
---@param options? shmseg.StructOptions
---@return shmseg.Struct struct
function shmseg.struct(name, fields, options) end

---Several structs in C, each once, with those that they contain.
---@param list shmseg.Struct[]
---@return string text
function shmseg.cdef(list) end

---@return number seconds since a moment that is the same for all processes
function shmseg.now() end

---@param seconds number
---@return true? done
---@return string? message
---@return shmseg.code? code
function shmseg.sleep(seconds) end

---From now on these signals do not end the program, but interrupt its waits.
---@param ... shmseg.signal INT and TERM by default
---@return shmseg.Stop stop
function shmseg.signals(...) end

---What this platform can do.
---@return shmseg.Features features
function shmseg.features() end

return shmseg
