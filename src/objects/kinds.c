/* SPDX-License-Identifier: MIT */
/* The kinds of objects: the list, geometry, and the functions that shmseg.h has for each kind by
 * its name (shmseg_queue_open) and that need nothing but its descriptor. */
#include "objects/kinds.h"

const char *const shmseg_kinds_switch[] = { "false", "true", NULL };

static const shmseg_kind *const kinds[] = {
#define KIND(noun) &shmseg_##noun##_kind,
  SHMSEG_KINDS(KIND)
#undef KIND
};

#define COUNT (sizeof kinds / sizeof *kinds)

const shmseg_kind *shmseg_kinds_find(uint64_t number) {
  return number >= 1 && number <= COUNT ? kinds[number - 1] : NULL;
}

/* --- geometry ----------------------------------------------------------------------------- */

uint64_t shmseg_kinds_number(const shmseg_object_options *options, const shmseg_number *number) {
  return options && number->name ? *(const uint64_t *)((const char *)options + number->offset) : 0;
}

bool shmseg_kinds_given(const shmseg_kind *kind, const shmseg_object_options *options,
                        uint64_t *geometry) {
  bool is_whole = kind->numbers[0].name != NULL;
  for (int i = 0; i < SHMSEG_GEOMETRY; i++) {
    geometry[i] = shmseg_kinds_number(options, &kind->numbers[i]);
    is_whole = is_whole && (geometry[i] != 0 || !kind->numbers[i].name);
  }
  return is_whole;
}

void shmseg_kinds_plan(const shmseg_kind *kind, const shmseg_object_options *options,
                       uint64_t available, uint64_t *geometry) {
  if (!shmseg_kinds_given(kind, options, geometry))
    kind->fit(available, geometry);
}

uint64_t shmseg_kinds_size(const shmseg_kind *kind, const uint64_t *geometry) {
  return geometry[0] != 0 ? kind->size(geometry) : 0;
}

uint64_t shmseg_object_size(const shmseg_kind *kind, const shmseg_object_options *options) {
  uint64_t least[SHMSEG_GEOMETRY];
  shmseg_kinds_plan(kind, options, 0, least);
  for (int i = 0; i < SHMSEG_GEOMETRY && kind->numbers[i].name; i++)
    if (least[i] == 0)
      least[i] = 1;
  return shmseg_kinds_size(kind, least);
}

/* --- for each kind ------------------------------------------------------------------------ */

#define KIND(noun)                                                                                 \
  uint64_t shmseg_##noun##_size(const shmseg_object_options *options) {                            \
    return shmseg_object_size(&shmseg_##noun##_kind, options);                                     \
  }                                                                                                \
                                                                                                   \
  int shmseg_##noun##_open(shmseg_##noun *noun, shmseg_slice where, shmseg_mode mode,              \
                           const shmseg_object_options *options, bool *created) {                  \
    return shmseg_object_open(&noun->object, &shmseg_##noun##_kind, where, mode, options,          \
                              created);                                                            \
  }                                                                                                \
                                                                                                   \
  void shmseg_##noun##_close(shmseg_##noun *noun) {                                                \
    shmseg_object_close(&noun->object);                                                            \
  }                                                                                                \
                                                                                                   \
  const char *shmseg_##noun##_check(const shmseg_##noun *noun) {                                   \
    return shmseg_object_check(&noun->object);                                                     \
  }
SHMSEG_KINDS(KIND)
#undef KIND
