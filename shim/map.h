/*
 * map.h: mappings of files that are written.
 */
#ifndef SLIPSTREAM_SHIM_MAP_H
#define SLIPSTREAM_SHIM_MAP_H

/* The process is about to end: what its mappings wrote is published, and waited for. */
void map_exit(void);

#endif
