/* SPDX-License-Identifier: MIT */
/* Address space: a backing's bytes at an address, with room to grow behind them. */
#ifndef SHMSEG_OS_MAP_H
#define SHMSEG_OS_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

size_t shmseg_map_page(void);

/* A number that this process has not drawn before (2^32 of them). */
unsigned shmseg_map_number(void);

/* n rounded up to whole pages; 0 when that overflows. */
size_t shmseg_map_round(size_t n);

/* Maps the first length bytes of fd into reserved bytes of new address space (both whole pages,
 * length <= reserved, reserved > 0); what is left over can be neither read nor written. errno. */
int shmseg_map_open(void **base, size_t reserved, size_t length, int fd, bool writable);

/* Maps length bytes of fd from an offset on (both whole pages, length > 0) into new address space of
 * that length; copies: as private memory, whose changes nobody else sees. errno. */
int shmseg_map_window(void **base, size_t length, int fd, uint64_t from, bool writable,
                      bool copies);

/* Maps the backing anew over an address range that shmseg_map_open gave. errno. */
int shmseg_map_again(void *base, size_t reserved, size_t length, int fd, bool writable);

/* The same for [from, to) of it alone (whole pages), which may reach behind the backing's end. The
 * kernel looks at all limits before it removes the old mapping: a failed call changes nothing. */
int shmseg_map_range(void *base, size_t from, size_t to, int fd, bool writable);

/* Takes [from, to) of it away, and keeps the address space: it can be neither read nor written. */
int shmseg_map_hold(void *base, size_t from, size_t to);

void shmseg_map_close(void *base, size_t reserved);

/* Brings every page of [from, to) in, and so takes memory for holes. ENOSPC when there is none; ENOSYS
 * with a kernel that is older than that. */
int shmseg_map_populate(void *base, size_t from, size_t to, bool writable);

/* shmseg_map_range(), with the pages that can be had; those that cannot are left out in silence. */
int shmseg_map_range_populated(void *base, size_t from, size_t to, int fd, bool writable);

/* Keeps pages in memory once they are there. Takes no memory for holes, where the kernel can do
 * that. ENOMEM, EPERM. */
int shmseg_map_pin(void *base, size_t length);

void shmseg_map_unpin(void *base, size_t length);

/* The same for a range of which the backing has less yet, as far as that can be done ahead. */
int shmseg_map_pin_ahead(void *base, size_t length);
int shmseg_map_flush(void *base, size_t length);

/* hint is one of the names that shmseg_map_hints lists. EINVAL when the platform lacks it. */
int shmseg_map_advise(void *base, size_t length, int hint);

/* NULL-terminated; the index is the hint. */
extern const char *const shmseg_map_hints[];

#pragma GCC visibility pop

#endif
