/*
 * faults.h: failures on request. Given as --fault NAME[=VALUE], and in ROOT/faults, one to a line, which is read again
 * on SIGUSR1; then the server says on standard output what holds now. See faults.def.
 *
 * Threads: the questions may be asked from any thread; the rest is the main thread's.
 */
#ifndef SLIPSTREAM_SERVER_FAULTS_H
#define SLIPSTREAM_SERVER_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum fault_id {
#define FAULT(ID, ...) FAULT_##ID,
#include "tools/server/faults.def"
#undef FAULT
	FAULT_COUNT
};

struct faults {
	struct {
		atomic_bool on;
		_Atomic int64_t value;  /* a set of workers: bit ID */
		_Atomic int64_t second; /* N of A@N */
	} of[FAULT_COUNT];
};

/* Everything off. */
void faults_clear(struct faults *);
void faults_assign(struct faults *, const struct faults *from);
/* "NAME" or "NAME=VALUE". 0, or -EINVAL with the reason. */
int faults_set(struct faults *, const char *text, char *why, size_t why_bytes);
/* Every line of a file; empty ones and those that begin with # count for nothing. An absent file is an empty one. */
int faults_read(struct faults *, const char *path, char *why, size_t why_bytes);
/* "NAME=VALUE,..." or "none", without a newline. */
void faults_print(const struct faults *, FILE *);
/* What each of them does, for --help. */
void faults_help(FILE *);

static inline bool fault_on(const struct faults *faults, enum fault_id id)
{
	return atomic_load_explicit(&faults->of[id].on, memory_order_relaxed);
}

static inline int64_t fault_value(const struct faults *faults, enum fault_id id)
{
	return atomic_load_explicit(&faults->of[id].value, memory_order_relaxed);
}

/* True when it is on and about its n-th, counted from 1. */
static inline bool fault_at(const struct faults *faults, enum fault_id id, int64_t n)
{
	return fault_on(faults, id) && atomic_load_explicit(&faults->of[id].second, memory_order_relaxed) == n;
}

static inline bool fault_of_worker(const struct faults *faults, enum fault_id id, int worker)
{
	return fault_on(faults, id) && (fault_value(faults, id) >> worker & 1);
}

/* Count one down: true as long as there was one left. */
bool fault_take(struct faults *, enum fault_id);
/* Wait as many milliseconds as the fault says, if it is on. */
void fault_wait(const struct faults *, enum fault_id);

#endif
