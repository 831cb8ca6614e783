/*
 * crc.h: CRC32C and CRC32 with a running value (spec goosefs 10.6): crc of (a ++ b) = crc_update(crc of a, b).
 *
 * Threads: any.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_CRC_H
#define SLIPSTREAM_CLIENT_GOOSEFS_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c_update(uint32_t crc, const void *data, size_t n); /* by the processor where it can */
uint32_t crc32_update(uint32_t crc, const void *data, size_t n);
uint32_t crc32c_update_portable(uint32_t crc, const void *data, size_t n); /* for the test of the one above */

/* By kind: enum gfs_crc_type. GFS_CRC_NULL stays 0. */
uint32_t crc_update(int kind, uint32_t crc, const void *data, size_t n);

#endif
