/* jobs.c: a queue that is nearly always empty. */
#include "tools/server/jobs.h"
#include "tools/server/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int jobs_add(struct store *store, const char *path, const char *target)
{
	return db_run(store->db, SQL_UFS_JOB_ADD, target ? "iss" : "isn", ++store->job_seq, path, target);
}

struct job {
	int64_t seq;
	char path[PATH_MAX], target[PATH_MAX];
};

static void copy_column(char out[PATH_MAX], sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	snprintf(out, PATH_MAX, "%s", text ? text : "");
}

/* 1, 0 when there is none, -errno. */
static int job_next(struct store *store, struct job *job)
{
	sqlite3_stmt *row;
	int rc = db_row(store->db, &row, SQL_UFS_JOB_NEXT, "i", store->jobs_done);

	if (rc <= 0)
		return rc;
	job->seq = sqlite3_column_int64(row, 0);
	copy_column(job->path, row, 1);
	copy_column(job->target, row, 2);
	db_done(row);
	return 1;
}

static void job_do(const struct job *job, const struct ufs *ufs)
{
	int rc = *job->target ? ufs_rename(ufs, job->path, job->target) : ufs_remove(ufs, job->path);

	if (rc && rc != -ENOENT) /* renamed already, before a crash */
		log_warn("%s%s cannot be %s: %s", ufs->path, job->path, *job->target ? "renamed" : "removed",
			 strerror(-rc));
}

/* If they cannot be struck off now, the next ones that can take them along. */
void jobs_run(struct store *store, const struct ufs *ufs)
{
	struct job job;
	int rc;

	if (store->jobs_done == store->job_seq)
		return;
	while ((rc = job_next(store, &job)) > 0) {
		if (ufs_on(ufs))
			job_do(&job, ufs);
		store->jobs_done = job.seq;
	}
	if (!rc)
		rc = db_run(store->db, SQL_UFS_JOBS_DONE, "i", store->jobs_done);
	if (rc)
		log_warn("orders for the under file system cannot be read or struck off");
	else
		store->jobs_done = store->job_seq;
}
