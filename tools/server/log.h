/*
 * log.h: one line per event. Errors and warnings only: a server that works says nothing.
 *
 * SLIPSTREAM_LOG=level[,file]: error leaves out the warnings; without a file lines go to standard error. With one, only what
 * keeps the server from starting is said there, too.
 */
#ifndef SLIPSTREAM_SERVER_LOG_H
#define SLIPSTREAM_SERVER_LOG_H

#include <stdbool.h>
#include <stdio.h>

int log_open(const char *spec); /* SLIPSTREAM_LOG, or NULL. 0, or -errno after saying why */
void log_ready(void);           /* the server has started */
void log_write(bool error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(true, __VA_ARGS__)
#define log_warn(...)  log_write(false, __VA_ARGS__)

#endif
