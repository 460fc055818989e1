/* SPDX-License-Identifier: MIT */
/* The dict, stepped: what its cases use. */
#ifndef SHMSEG_STEP_DICT_H
#define SHMSEG_STEP_DICT_H

#include "objects/dict.h"
#include "step/step.h"

/* 16 cells in one stripe of one line: five keys have slots, and others are in its chain. */
#define DICT_CAPACITY (16 * DICT_CELL)
/* Of one that has values of more than a page. */
#define DICT_LARGE_CAPACITY (160 * DICT_CELL)
#define DICT_LONG 5000 /* the longest value of the cases */

/* This process's handle. */
extern shmseg_dict dict;

/* The same hash in all runs: of a dict in which nothing is yet. */
void step_dict_fix_hash(void);

/* A key is a letter; a text is a letter and bytes that follow from it. */
const void *step_dict_text(char letter, size_t size);
int step_dict_set(shmseg_dict *to, char key, char letter, size_t size, const shmseg_dict_how *how);
void step_dict_set_number(char key, int64_t number);
int step_dict_unset(shmseg_dict *to, char key);
int step_dict_add(shmseg_dict *to, char key, int64_t more, int64_t *sum);
int step_dict_push(shmseg_dict *to, char key, bool left, char letter, size_t size);
/* Takes an element off, and it is this one. */
bool step_dict_pops(shmseg_dict *from, char key, bool left, char letter, size_t size);

/* "a:x100 b:7 l:[x8 y100]", and " +3" when 3 cells are taken by what is not live; NULL, or what went wrong. */
const char *step_dict_tell(char *text, size_t available);

extern const step_case dict_store_cases[], dict_number_cases[], dict_list_cases[],
    dict_claim_cases[], dict_death_cases[], dict_large_cases[];

#endif
