-- SPDX-License-Identifier: MIT
-- Pictures from one process to another: bytes from segment to segment, and never a Lua string.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local WIDTH, HEIGHT = 160, 120

-- A frame is this header and then its pixels, a byte for each.
local Header = shmseg.struct("Header", {
  { "sequence", "u32" },
  { "width", "u32" },
  { "height", "u32" },
  { "format", "char", 4 },
  { "taken", "f64" },                        -- by shmseg.now, which is the same in every process
})
local SIZE = Header.size + WIDTH * HEIGHT

-- Memory of this process for a frame, and two views of it.
local function new_frame()
  local frame = check(shmseg.anonymous(SIZE))
  return frame, Header:at(frame, 0), frame:array(Header.size, "u8")
end

local function draw(frame, header, pixels, sequence)
  header.sequence, header.width, header.height = sequence, WIDTH, HEIGHT
  header.format, header.taken = "gray", shmseg.now()
  pixels:fill(sequence % 100)
  frame:fill(Header.size + sequence % HEIGHT * WIDTH, WIDTH, 255)   -- a white line that moves
end

local function camera(options, stop)
  -- Room for four frames; each message takes 8 bytes more.
  local settings = { capacity = 4 * (SIZE + 8), temporary = true }
  local frames = check(shmseg.queue.open(options.name, "x", settings))
  local latest = check(shmseg.cell.open(options.name .. "-latest", "x",
    { capacity = SIZE, temporary = true }))
  local frame, header, pixels = new_frame()
  print "the camera runs; Ctrl-C ends it"
  local sequence, dropped = 0, 0
  repeat
    sequence = sequence + 1
    draw(frame, header, pixels, sequence)
    check(latest:set(frame))                 -- for all who want a look
    local pushed, message, code = frames:push(frame, 0)  -- for one of the viewers
    if code == "timeout" then
      dropped = dropped + 1                  -- no room; a camera does not wait for viewers
    else
      check(pushed, message, code)
    end
  until sequence == options.count or stop:wait(options.interval)
  print(("frames: %d, dropped: %d"):format(sequence, dropped))
  frames:shutdown()                          -- viewers get what is left, and end
end

-- Inverts the picture in its place: how light it was before and is now.
local function invert(pixels)
  local before, after = 0, 0
  for i = 1, #pixels do
    local light = pixels[i]
    pixels[i] = 255 - light
    before, after = before + light, after + 255 - light
  end
  return before / #pixels, after / #pixels
end

local function show(header, pixels)
  local before, after = invert(pixels)
  print(("frame %d: %d by %d, %s, light %.1f, inverted %.1f, %.1f ms after it was taken"):format(
    header.sequence, header.width, header.height, header.format, before, after,
    (shmseg.now() - header.taken) * 1000))
end

local function view(options, stop)
  local frames = needs("frames.lua camera", shmseg.queue.open(options.name))
  local frame, header, pixels = new_frame()
  repeat
    local size, message, code = frames:pop_into(frame)    -- waits for a frame, and copies it
    if code == "shutdown" then
      break
    end
    check(size, message, code)
    show(header, pixels)
  until stop:wait(0)
end

local function glance(options)
  local latest = needs("frames.lua camera", shmseg.cell.open(options.name .. "-latest", "r"))
  local frame, header, pixels = new_frame()
  check(latest:get_into(frame))              -- the latest frame, which viewers get nevertheless
  show(header, pixels)
end

example.run([[
A camera gives frames to viewers: each frame goes to one of them, through a queue. The latest frame
is also in a cell, for a glance. Frames go from segment to segment; no Lua string is made of them.

Usage: lua frames.lua camera [options]
       lua frames.lua view [options]
       lua frames.lua glance [options]
  --name NAME         the shared memory object; with -latest behind it, another one (frames)
  --count FRAMES      the camera stops after that many (250)
  --interval SECONDS  the camera's pause between two frames (0.04)
  --help              show this text

Start first:
  lua frames.lua camera
Then, in other terminals:
  lua frames.lua view
  lua frames.lua glance
Viewers end with the camera. Ctrl-C ends each.
]], { camera = camera, view = view, glance = glance })
