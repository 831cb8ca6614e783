/* log.h: one line per event on standard error. Errors and warnings only: a server that works says nothing. */
#ifndef SLIPSTREAM_SERVER_LOG_H
#define SLIPSTREAM_SERVER_LOG_H

#include <stdio.h>

#define log_error(format, ...) fprintf(stderr, "slipstream server: " format "\n", ##__VA_ARGS__)
#define log_warn(format, ...)  fprintf(stderr, "slipstream server: warning: " format "\n", ##__VA_ARGS__)

#endif
