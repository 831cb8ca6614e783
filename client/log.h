/*
 * log.h: one line per event, never on the hot path; and the last thing a peer said, per thread.
 *
 * SLIPSTREAM_LOG=level[,file]: error (default), warn, note, debug. Without a file: standard error for tools, the session's log for a keeper.
 * The shim (shim/init.c) and the embedded server (tools/server/log.h) know the file, too.
 */
#ifndef SLIPSTREAM_CLIENT_LOG_H
#define SLIPSTREAM_CLIENT_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_NOTE, LOG_LEVEL_DEBUG };

/*
 * spec: "level[,file]" or NULL. fallback_path: where to write without a file, also for later calls; NULL: where the last one
 * that named any said, else standard error. -EINVAL on an unknown level.
 */
int log_open(const char *spec, const char *fallback_path);
void log_end(void); /* back to standard error, as at the beginning; nobody else may be writing */
void log_write(enum log_level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_note(...)  log_write(LOG_LEVEL_NOTE, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* What to tell when somebody asks about this thread's last failure: slip_last_error(). */
void error_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *error_noted(void);

#endif
