-- SPDX-License-Identifier: MIT
-- What C's types are on this machine.

local shmseg = require "shmseg"

local machine = {}

--- The bytes of an address, and of a long.
machine.word = assert(shmseg.anonymous(16)):pack(0, "T", 1)

--- What the address of a 64-bit number in a struct is a multiple of.
machine.alignment = assert(shmseg.anonymous(32)):pack(0, "!b Xi8 b", 1, 2) - 1

--- Why no segment can be very large here, or nil.
machine.small = machine.word < 8 and "addresses have 32 bits here" or nil

return machine
