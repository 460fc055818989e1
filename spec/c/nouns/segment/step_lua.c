/* SPDX-License-Identifier: MIT */
/* The segment, stepped through Lua. */
#include "core/segment.h"
#include "step/script.h"

SCRIPT(create, "seg = assert(segment.open(name, 'c', 4096, { perm = '640', init = function(s) "
               "s:fill(0, 4096, 0x5a) end }))")
SCRIPT(create_and_raise, "assert(not pcall(segment.open, name, 'c', 4096, { init = function() "
                         "error('x') end }))")
START(opened, "seg = assert(segment.open(name))")
SCRIPT(unlink_it, "assert(seg:unlink())")

static const step_case none_cases[] = {
  { .sentence = "created",
    .prepare = script_start,
    .operate = create,
    ENTRY(shmseg_segment_open_marked),
    .outcomes = { "none", "small" },
    .descriptors = 1 },
  { .sentence = "created with an init that raises",
    .prepare = script_start,
    .operate = create_and_raise,
    ENTRY(shmseg_segment_open_marked),
    .outcomes = { "none" } },
  { 0 },
};

static const step_case there_cases[] = {
  { .sentence = "unlinked",
    .prepare = opened,
    .operate = unlink_it,
    ENTRY(shmseg_segment_unlink_until),
    .outcomes = { "small", "none" } },
  { 0 },
};

SCRIPT_PLAY("absent segment", none_cases);
SCRIPT_PLAY("segment", there_cases);
