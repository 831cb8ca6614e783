#include "client/lock.h"

#include <stdio.h>
#include <stdlib.h>

static __thread unsigned char held[LOCK_RANKS];

void lock_enter(enum lock_rank rank)
{
	for (int above = rank + (rank == LOCK_NAME); above < LOCK_RANKS; above++) {
		if (!held[above])
			continue;
		fprintf(stderr, "lock of rank %d taken while one of rank %d is held\n", rank, above);
		abort();
	}
	held[rank]++;
}

void lock_leave(enum lock_rank rank)
{
	held[rank]--;
}
