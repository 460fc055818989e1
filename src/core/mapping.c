/* SPDX-License-Identifier: MIT */
/* The mapping of a segment. */
#define _GNU_SOURCE
#include "core/mapping.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/owner.h"
#include "os/backing.h"
#include "os/descriptor.h"
#include "os/map.h"

/* To the kernel bytes that are mapped through another description are another mapping, and it limits
 * their number for the whole process: when a segment has grown so often, all of it is mapped anew. */
#define PIECES 100

static int mapping_new(const shmseg_segment *segment, int fd, shmseg_mapping *m) {
  void *base;
  m->reserved = shmseg_map_round(m->size > segment->max ? m->size : segment->max);
  if (m->reserved == 0) /* empty, or more than the address space */
    return m->size == 0 ? SHMSEG_TOO_SMALL : ENOMEM;
  int err = shmseg_map_open(&base, m->reserved, m->length, fd, segment->writable);
  if (err)
    return err;
  m->base = base;
  err = shmseg_fault_watch(&m->fault, base, m->length, segment->fd, 0);
  if (err)
    shmseg_map_close(base, m->reserved);
  return err;
}

/* Bytes before data that are mapped with it, since mappings begin at pages. */
static size_t mapping_slack(const shmseg_segment *segment) {
  return (size_t)(segment->window % shmseg_map_page());
}

/* In new address space at each time: these are never resized. */
static int mapping_new_window(const shmseg_segment *segment, int fd, shmseg_mapping *m) {
  void *base;
  uint64_t from = segment->window - mapping_slack(segment);
  m->reserved = m->length;
  if (m->size == 0)
    return SHMSEG_TOO_SMALL;
  int err = shmseg_map_window(&base, m->length, fd, from, segment->writable, segment->is_private);
  if (err)
    return err;
  m->base = base;
  err = shmseg_fault_watch(&m->fault, base, m->length, segment->fd, from);
  if (err)
    shmseg_map_close(base, m->reserved);
  return err;
}

static int mapping_make(const shmseg_segment *segment, int fd, shmseg_mapping *m) {
  m->is_whole = true;
  m->pieces = 1;
  if (segment->is_window || segment->is_private)
    return mapping_new_window(segment, fd, m);
  if (!segment->data || m->length > segment->reserved)
    return mapping_new(segment, fd, m);
  m->base = segment->data;
  m->reserved = segment->reserved;
  /* after a hole there may be private zeroes anywhere */
  m->is_whole = shmseg_segment_status(segment) != 0 || segment->pieces >= PIECES;
  size_t from = m->is_whole ? 0 : shmseg_map_round(segment->size);
  if (!m->is_whole)
    m->pieces = segment->pieces + (segment->apart && m->length > from);
  return shmseg_map_range(m->base, from, m->length, fd, segment->writable);
}

/* A mapping keeps its description, and a description keeps its presence: at exit nothing could end
 * the presence of a handle that is mapped through its own descriptor, and has forked. Where no
 * description can be had for the mapping alone, that is so. */
int shmseg_mapping_ahead(const shmseg_segment *segment, size_t size, shmseg_mapping *m) {
  int fresh;
  memset(m, 0, sizeof *m);
  m->size = size;
  m->length = shmseg_map_round(size + mapping_slack(segment));
  if (!segment->apart || shmseg_descriptor_reopen(segment->fd, &fresh) != 0)
    return mapping_make(segment, segment->fd, m);
  int err = mapping_make(segment, fresh, m);
  close(fresh);
  return err;
}

static void mapping_end(const shmseg_mapping *m) {
  shmseg_fault_forget(m->fault);
  shmseg_map_close(m->base, m->reserved);
}

static unsigned char *mapping_base(const shmseg_segment *segment) {
  return segment->data ? segment->data - mapping_slack(segment) : NULL;
}

static size_t mapping_length(const shmseg_segment *segment) {
  return shmseg_map_round(segment->size + mapping_slack(segment));
}

static void mapping_pin_own(const shmseg_segment *segment) {
  if (segment->pin && segment->data && segment->size > 0)
    shmseg_map_pin(mapping_base(segment), mapping_length(segment));
}

void shmseg_mapping_drop(const shmseg_segment *segment, const shmseg_mapping *m) {
  if (!m->fault) {
    shmseg_map_hold(m->base, shmseg_map_round(segment->size), m->length);
    return;
  }
  mapping_end(m);
  mapping_pin_own(segment);
}

/* An older kernel brings pages in only with a new mapping: of the whole backing, shared, and through the
 * handle's own description. Of a mapping of another sort the pages come when they are touched. */
static int mapping_populate(const shmseg_segment *segment, const shmseg_mapping *m, size_t from,
                            size_t to) {
  bool writable = segment->writable && !segment->is_private; /* else each page would be copied */
  int err = shmseg_map_populate(m->base, from, to, writable);
  if (err != ENOSYS)
    return err;
  if (segment->is_window || segment->is_private || segment->apart)
    return 0;
  return shmseg_map_range_populated(m->base, from, to, segment->fd, writable);
}

/* Brings in the pages that have memory. Holes stay holes, for a peer may have made a huge one. */
static int mapping_bring_pages(const shmseg_segment *segment, const shmseg_mapping *m) {
  struct stat status;
  size_t page = shmseg_map_page();
  uint64_t start = segment->window - mapping_slack(segment);
  uint64_t begin, stop, from = m->is_whole ? 0 : segment->size / page * page;
  if (fstat(segment->fd, &status) != 0)
    return errno;
  /* no hole, though perhaps unwritten */
  if (!segment->is_window && (uint64_t)status.st_blocks * 512 >= m->length)
    return mapping_populate(segment, m, (size_t)from, m->length);
  int err = 0;
  for (; !err && from < m->length; from = stop) {
    shmseg_backing_data(segment->fd, start + from, start + m->length, &begin, &stop);
    begin -= start;
    stop -= start;
    err = mapping_populate(segment, m, (size_t)begin / page * page, shmseg_map_round((size_t)stop));
  }
  return err;
}

int shmseg_mapping_pin_ahead(const shmseg_segment *segment, const shmseg_mapping *m) {
  if (!segment->pin || m->size == 0)
    return 0;
  int err = shmseg_map_pin_ahead(m->base, m->length);
  if (!err || !m->fault || !segment->data)
    return err;
  shmseg_map_unpin(mapping_base(segment), mapping_length(segment));
  return shmseg_map_pin_ahead(m->base, m->length);
}

int shmseg_mapping_prepare(const shmseg_segment *segment, const shmseg_mapping *m) {
  if (m->size == 0 || (!segment->pin && !segment->populate))
    return 0;
  size_t now = 0;
  int err = segment->pin ? shmseg_map_pin(m->base, m->length) : 0;
  if (!err)
    err = mapping_bring_pages(segment, m);
  if (err == ENOSPC && shmseg_backing_size(segment->fd, &now) == 0 && now < m->size)
    return SHMSEG_TRUNCATED; /* a peer is cutting it at this moment */
  return err;
}

void shmseg_mapping_adopt(shmseg_segment *segment, const shmseg_mapping *m) {
  if (shmseg_segment_status(segment) != 0) { /* our locks may be gone, or be others' by now */
    shmseg_owner_start_over(segment);
    segment->generation = shmseg_map_number();
  }
  if (m->fault) {
    shmseg_mapping old = { .base = mapping_base(segment),
                           .reserved = segment->reserved,
                           .fault = segment->fault };
    segment->data = m->base + mapping_slack(segment);
    segment->reserved = m->reserved;
    segment->fault = m->fault;
    if (old.base)
      mapping_end(&old);
  } else {
    shmseg_fault_move(segment->fault, m->base, m->length);
    shmseg_map_hold(m->base, m->length, shmseg_map_round(segment->size));
  }
  segment->size = m->size;
  segment->pieces = m->pieces;
}

int shmseg_mapping_renew(shmseg_segment *segment, size_t size) {
  shmseg_mapping m;
  int err = shmseg_mapping_ahead(segment, size, &m);
  if (err)
    return err;
  err = shmseg_mapping_pin_ahead(segment, &m);
  if (!err)
    err = shmseg_mapping_prepare(segment, &m);
  if (err)
    shmseg_mapping_drop(segment, &m);
  else
    shmseg_mapping_adopt(segment, &m);
  return err;
}

void shmseg_mapping_end(const shmseg_segment *segment) {
  shmseg_mapping m = { .base = mapping_base(segment),
                       .reserved = segment->reserved,
                       .fault = segment->fault };
  if (m.base)
    mapping_end(&m);
}
