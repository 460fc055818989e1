/* SPDX-License-Identifier: MIT */
/* What the unit tests share: names, segments, children that stop where they are told. */
#ifndef SHMSEG_SPEC_UNIT_HELP_H
#define SHMSEG_SPEC_UNIT_HELP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shmseg.h"
#include "test.h"

#define PAGE 4096u
#define MILLISECOND ((int64_t)1000000)

/* A name that nobody has; valid until the 64th call after. help_end() removes what is left. */
const char *fresh_name(void);
shmseg_place fresh_place(void);
shmseg_place place_of(const char *name);

/* A new segment of zeroes with that many bytes, under place or nameless; ends the test when it
 * cannot be had. */
void new_segment(shmseg_segment *segment, shmseg_place place, size_t size);
void new_anonymous(shmseg_segment *segment, size_t size);

/* A second handle, a participant of its own, on the object of another. */
void same_segment(shmseg_segment *segment, const shmseg_segment *other);

/* The deadline that many milliseconds from now. */
int64_t in_ms(int64_t milliseconds);
int64_t now_ms(void);

/* Is it less since then than the patience with a peer that is stopped, which is a second or more? A
 * machine that is busy with other things takes its time, too. */
bool is_soon(int64_t began);

/* How many descriptors this process has. */
int count_descriptors(void);

uint32_t word_at(const shmseg_segment *segment, uint64_t offset);
void set_word(const shmseg_segment *segment, uint64_t offset, uint32_t value);
uint64_t number_at(const shmseg_segment *segment, uint64_t offset);
void set_number(const shmseg_segment *segment, uint64_t offset, uint64_t value);

/* Has an open failed because of what disagrees? */
bool disagrees(int err, const shmseg_object *object, const char *what);

/* Ends the program with a failed line when a step that is no test fails. */
#define must(condition) must_be(condition, #condition, __FILE__, __LINE__)
void must_be(bool good, const char *what, const char *file, int line);

/* A forked process that runs body; it and its parent talk by single characters. */
typedef struct child {
  pid_t pid;
  int to, from;
} child;

child child_start(void (*body)(void *argument), void *argument);
/* In the child. */
void say(char c);
char hear(void);
/* In the parent: '\0' when nothing came within 10 seconds or the child is gone. */
char child_hear(child *c);
void child_tell(child *c);
/* Waits for its end: the exit status, or 256 + the signal. */
int child_end(child *c);
int child_kill(child *c);

/* A process of its own that is inside the critical section of the lock word at offset. It leaves it
 * when it is told, and ends. */
child child_inside(const shmseg_segment *segment, uint64_t offset);

/* The first touch of the page at that address, which is at a multiple of PAGE, calls surprise()
 * before it is made: what happens to a call in the middle of a copy. One trap at a time. */
void set_trap(void *page, void (*surprise)(void));
void disarm_trap(void);

/* Does a child that waits, says sleep_ended(), and waits again, answer each time, and is it woken most times?
 * So many rounds, each begun by change(round). A sleeper whom nobody wakes finds the change when its
 * interval is over; so does, on a busy machine, now and then one that is woken just then. */
bool wakes_each_time(child *c, bool (*change)(int round));
#define WAKES 30

/* How has this process's last sleep ended? 'w': by a wake; 'l': late, since its time was over. */
char sleep_ended(void);

/* Calls again while a call answers SHMSEG_INTERRUPTED. */
int lock_fully(shmseg_mutex *mutex, int64_t deadline, bool *abandoned);
int read_fully(shmseg_rwlock *rwlock, int64_t deadline, bool *abandoned);
int write_fully(shmseg_rwlock *rwlock, int64_t deadline, bool *abandoned);
int acquire_fully(shmseg_semaphore *semaphore, int64_t deadline);
int wait_fully(shmseg_event *event, int64_t deadline);
int push_fully(shmseg_queue *queue, const void *bytes, size_t size, int64_t deadline);
int push_many_fully(shmseg_queue *queue, const shmseg_source *messages, size_t count,
                    size_t *pushed, int64_t deadline);
int take_fully(shmseg_queue *queue, void *buffer, size_t available, uint64_t max, size_t *used,
               int64_t deadline);

/* The exit status of main. */
int help_end(void);

#endif
