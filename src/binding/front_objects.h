/* SPDX-License-Identifier: MIT */
/* What the LuaJIT front calls by FFI for objects. Nothing here knows a lua_State, waits for a peer, or
 * says what is wrong: whatever is not done at once is left to the method of the C binding, which the
 * front then calls with the same arguments. */
#ifndef SHMSEG_BINDING_FRONT_OBJECTS_H
#define SHMSEG_BINDING_FRONT_OBJECTS_H

#include <stdint.h>

#include "shmseg.h"

/* Bytes of the longest message or value that goes to Lua through the scratch. */
#define FRONT_BYTES 16384

/* Private memory of a Lua state, in which a call leaves what the front then makes Lua values of. A hook
 * or finalizer may run meanwhile and use it, too: serial tells. */
typedef struct front_scratch {
  double serial; /* of the last call that has left something; 0: there was none */
  double number; /* a version or sequence number; the number that a dict has */
  double lost;   /* messages, before the one that a subscription shows */
  int32_t size;  /* of bytes */
  int32_t type;  /* of what a dict has: shmseg_dict_type */
  int32_t flags; /* of the key of a dict */
  int32_t unused;
  unsigned char bytes[FRONT_BYTES];
  union { /* what a message was seen in that is not taken yet; Lua does not look at it */
    shmseg_queue_batch queue;
    shmseg_subscription_batch subscription;
    uint64_t room[8];
  } batch;
} front_scratch;

/* What a call gives that stores. */
enum {
  FRONT_NOT =
      0, /* nothing is done: it is the C binding's. So are results of a call that gives a number */
  FRONT_STORED = 1,
  FRONT_STORED_FORCIBLY = 2, /* a dict has evicted a live item */
  FRONT_NO_MEMORY = -1,
  FRONT_NO_MEMORY_FORCIBLY = -2,
  FRONT_EXISTS = -3,
  FRONT_NOT_FOUND = -4,
  FRONT_NOT_FORCIBLY = -5, /* as FRONT_NOT; but an item was evicted */
  FRONT_KEPT = -6          /* minus where the value is in the object's own table */
};

/* How a dict stores; 0: a set. */
enum { FRONT_ADD = 1, FRONT_REPLACE = 2, FRONT_SAFE = 4, FRONT_BOOLEAN = 8 };

/* The first argument of each is the address of a userdata that has the metatable of its class, the bytes
 * are a Lua string's. */
typedef struct front_objects {
  /* Gives the version, or FRONT_NOT. */
  double (*cell_set)(void *cell, const void *bytes, uint32_t size);

  /* Leaves size, bytes and number, the version. Gives the serial, or FRONT_NOT. */
  double (*cell_get)(void *cell, front_scratch *scratch);

  int32_t (*queue_push)(void *queue, const void *bytes, uint32_t size);

  /* Leaves size and bytes of the next message. Gives the serial, or FRONT_NOT. */
  double (*queue_see)(void *queue, front_scratch *scratch);

  /* Takes the message that was seen with that serial: FRONT_STORED, it is the caller's. */
  int32_t (*queue_take)(void *queue, front_scratch *scratch, double serial);

  /* Gives the sequence number, or FRONT_NOT. */
  double (*broadcast_publish)(void *broadcast, const void *bytes, uint32_t size);

  /* Leaves size and bytes of the next message, its sequence number, and lost. */
  double (*subscription_see)(void *subscription, front_scratch *scratch);

  /* Goes on behind the message that was seen with that serial. */
  int32_t (*subscription_advance)(void *subscription, front_scratch *scratch, double serial);

  /* Leaves type, flags, and number, or size and bytes. Gives the serial, FRONT_NOT or FRONT_NOT_FOUND; or
   * FRONT_KEPT, and leaves nothing. */
  double (*dict_get)(void *dict, const void *key, uint32_t key_size, front_scratch *scratch);

  /* exptime in seconds, as the user gave it. */
  int32_t (*dict_set)(void *dict, const void *key, uint32_t key_size, const void *bytes,
                      uint32_t size, int32_t how, double exptime, double flags);
  int32_t (*dict_set_number)(void *dict, const void *key, uint32_t key_size, double number,
                             int32_t how, double exptime, double flags);
  int32_t (*dict_delete)(void *dict, const void *key, uint32_t key_size);

  /* Adds to a number that is there. Gives the sum, or NaN: nothing is done, or the sum is NaN, and so will
   * be the next one. */
  double (*dict_incr)(void *dict, const void *key, uint32_t key_size, double step);
} front_objects;

#pragma GCC visibility push(hidden)

extern const front_objects front_objects_calls;

#pragma GCC visibility pop

#endif
