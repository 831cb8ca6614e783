/*
 * stream.h: FILE * over descriptors of ours. They are libc's own streams: only opening and closing passes here.
 */
#ifndef SLIPSTREAM_SHIM_STREAM_H
#define SLIPSTREAM_SHIM_STREAM_H

#include "shim/real.h"

/* Flush the streams that may hold bytes for a file of ours. False if one may have been missed or is in use. */
bool stream_flush_ours(void);

/* Descriptor 0 has its bytes by range, which stdin cannot read; or is not asked about yet. */
extern HIDDEN _Atomic bool stream_unready;
/* Not 0: a stream may lie over a block file whose content is another by now. */
extern HIDDEN const _Atomic uint32_t *_Atomic stream_overrides;

void stream_ready_slow(FILE *f) COLD;

/* Before libc reads or seeks f by itself. */
static inline void stream_ready(FILE *f)
{
	const _Atomic uint32_t *overrides = atomic_load_explicit(&stream_overrides, memory_order_relaxed);

	if (unlikely(atomic_load_explicit(&stream_unready, memory_order_relaxed) ||
		     atomic_load_explicit(overrides, memory_order_relaxed)))
		stream_ready_slow(f);
}

/* The table has a new word for descriptor 0. */
void stream_note_stdin(uint32_t word);
/* stdin is about to go: whoever shares its description goes on where it was read to. */
void stream_give_back(void);

#endif
