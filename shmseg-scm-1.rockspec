rockspec_format = "3.0"
package = "shmseg"
version = "scm-1"

source = {
  url = "git+https://github.com/shmseg/shmseg.git",
}

description = {
  summary = "Shared memory for Lua: data, locks, queues and broadcasts between processes",
  detailed = [[
    Segments are POSIX shared memory objects, anonymous memory or mapped files. Several processes read
    and write them as bytes, numbers, arrays and structs. In them lie atomics, locks (mutex, rwlock,
    semaphore, event), cells for the latest value, queues and broadcasts. It runs on Lua 5.1 to 5.5 and
    LuaJIT, on Linux. C, Python and other programs can open the same segments by name.
  ]],
  homepage = "https://github.com/shmseg/shmseg",
  issues_url = "https://github.com/shmseg/shmseg/issues",
  maintainer = "The shmseg developers",
  labels = { "ipc", "shared-memory", "mmap", "posix", "linux" },
  license = "MIT",
}

supported_platforms = { "unix" }

dependencies = {
  "lua >= 5.1, < 5.6",
}

build = {
  type = "builtin",
  modules = {
    ["shmseg"] = "lua/shmseg/init.lua",
    ["shmseg.broadcast"] = "lua/shmseg/broadcast.lua",
    ["shmseg.cell"] = "lua/shmseg/cell.lua",
    ["shmseg.check"] = "lua/shmseg/check.lua",
    ["shmseg.dict"] = "lua/shmseg/dict.lua",
    ["shmseg.event"] = "lua/shmseg/event.lua",
    ["shmseg.mutex"] = "lua/shmseg/mutex.lua",
    ["shmseg.object"] = "lua/shmseg/object.lua",
    ["shmseg.queue"] = "lua/shmseg/queue.lua",
    ["shmseg.rwlock"] = "lua/shmseg/rwlock.lua",
    ["shmseg.segment"] = "lua/shmseg/segment.lua",
    ["shmseg.semaphore"] = "lua/shmseg/semaphore.lua",
    ["shmseg.struct"] = "lua/shmseg/struct.lua",
    ["shmseg.core"] = {
      sources = {
        "src/os/backing.c",
        "src/os/backing_linux.c",
        "src/os/backing_posix.c",
        "src/os/clock.c",
        "src/os/descriptor.c",
        "src/os/fault.c",
        "src/os/features.c",
        "src/os/fork.c",
        "src/os/futex_linux.c",
        "src/os/futex_posix.c",
        "src/os/library.c",
        "src/os/liveness.c",
        "src/os/map.c",
        "src/os/presence_linux.c",
        "src/os/presence_posix.c",
        "src/os/random.c",
        "src/os/signals.c",
        "src/os/temporary.c",
        "src/os/zeroes_linux.c",
        "src/os/zeroes_posix.c",
        "src/core/eventcount.c",
        "src/core/hash.c",
        "src/core/lock.c",
        "src/core/mapping.c",
        "src/core/owner.c",
        "src/core/ring.c",
        "src/core/segment.c",
        "src/core/segment_change.c",
        "src/core/segment_open.c",
        "src/core/slots.c",
        "src/core/strerror.c",
        "src/core/wait.c",
        "src/objects/broadcast.c",
        "src/objects/cell.c",
        "src/objects/dict.c",
        "src/objects/dict_age.c",
        "src/objects/dict_arena.c",
        "src/objects/dict_cells.c",
        "src/objects/dict_check.c",
        "src/objects/dict_claim.c",
        "src/objects/dict_elements.c",
        "src/objects/dict_evict.c",
        "src/objects/dict_expire.c",
        "src/objects/dict_find.c",
        "src/objects/dict_incr.c",
        "src/objects/dict_index.c",
        "src/objects/dict_list.c",
        "src/objects/dict_pages.c",
        "src/objects/dict_read.c",
        "src/objects/dict_repair.c",
        "src/objects/dict_scan.c",
        "src/objects/dict_store.c",
        "src/objects/dict_stripe.c",
        "src/objects/dict_sweep.c",
        "src/objects/dict_wait.c",
        "src/objects/event.c",
        "src/objects/header.c",
        "src/objects/kinds.c",
        "src/objects/mutex.c",
        "src/objects/object.c",
        "src/objects/queue.c",
        "src/objects/queue_count.c",
        "src/objects/queue_take.c",
        "src/objects/rwlock.c",
        "src/objects/semaphore.c",
        "src/objects/signal.c",
        "src/objects/subscription.c",
        "src/objects/subscription_find.c",
        "src/binding/array.c",
        "src/binding/array_bulk.c",
        "src/binding/array_copy.c",
        "src/binding/atomic.c",
        "src/binding/broadcast.c",
        "src/binding/cdata.c",
        "src/binding/cell.c",
        "src/binding/dict.c",
        "src/binding/dict_cache.c",
        "src/binding/dict_cas.c",
        "src/binding/dict_claim.c",
        "src/binding/dict_keys.c",
        "src/binding/dict_list.c",
        "src/binding/dict_many.c",
        "src/binding/dict_value.c",
        "src/binding/element.c",
        "src/binding/event.c",
        "src/binding/guard.c",
        "src/binding/listing.c",
        "src/binding/lua.c",
        "src/binding/module.c",
        "src/binding/mutex.c",
        "src/binding/object.c",
        "src/binding/place.c",
        "src/binding/queue.c",
        "src/binding/record.c",
        "src/binding/ring.c",
        "src/binding/rwlock.c",
        "src/binding/scalar.c",
        "src/binding/segment.c",
        "src/binding/segment_access.c",
        "src/binding/segment_dump.c",
        "src/binding/segment_pack.c",
        "src/binding/segment_scalar.c",
        "src/binding/semaphore.c",
        "src/binding/signals.c",
        "src/binding/struct.c",
        "src/binding/subscription.c",
        "src/binding/time.c",
        "src/binding/value.c",
        "src/binding/view.c",
        "src/binding/waiting.c",
      },
      incdirs = { "src" },
      defines = {
        "_FILE_OFFSET_BITS=64", -- large objects on 32-bit machines
        "SHMSEG_MODULE",        -- exports its open function alone
      },
    },
  },
  platforms = {
    linux = {
      modules = {
        ["shmseg.core"] = {
          libraries = { "m", "rt", "dl", "pthread" },   -- of their own in a glibc before 2.34
        },
      },
    },
  },
  copy_directories = { "doc", "examples" },
  install = {
    conf = {   -- goes into a folder of the installed rock; ".." is the rock's own, where README finds doc and examples
      ["../LICENSE"] = "LICENSE",
      ["../README.md"] = "README.md",
    },
  },
}

test = {
  type = "command",
  script = ".ci/test.lua",
}
