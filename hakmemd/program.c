/* SPDX-License-Identifier: MIT */
/*
 * Which program a process runs, see program.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/reader.h"
#include "hakmemd/program.h"

/* The identity of a file from the kernel's cache, without a request to a file system that another
 * user may serve. 0: unknown. */
static uint32_t exe_of(int dir, const char *process)
{
	char path[32];
	struct statx st;
	uint64_t id;

	snprintf(path, sizeof(path), "%.16s/exe", process);
	if (statx(dir, path, AT_STATX_DONT_SYNC, STATX_INO, &st) < 0)
		return 0;
	id = st.stx_ino ^ (uint64_t)st.stx_dev_minor << 40 ^ (uint64_t)st.stx_dev_major << 52;
	return (uint32_t)(id ^ id >> 32);
}

/* The kernel assigns the lowest free descriptor, so its number shows how many are open. */
static bool too_many(int fd)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) < 0 || (rlim_t)fd >= limit.rlim_cur / 2;
}

/*
 * The kernel checks whether the memory exists before it rejects a read of one byte as not a whole
 * entry. If the memory is gone, the read returns the end of the file.
 */
bool hak_program_runs(const struct hak_program *program)
{
	char byte;

	return pread(program->fd, &byte, 1, 0) != 0;
}

int hak_program_open(int dir, const char *process, struct hak_program *ret)
{
	struct hak_program program = HAK_PROGRAM_NONE;
	char path[32];

	snprintf(path, sizeof(path), "%.16s/pagemap", process);
	program.fd = hak_reader_open(dir, path, O_RDONLY);
	if (program.fd == -ENOENT && faccessat(dir, process, F_OK, 0) < 0)
		return -ENOENT;
	if (program.fd < 0)
		program.fd = -1;
	if (program.fd >= 0 && (too_many(program.fd) || !hak_program_runs(&program)))
		hak_program_close(&program);
	if (program.fd < 0)
		program.exe = exe_of(dir, process);
	*ret = program;
	return 0;
}

void hak_program_close(struct hak_program *program)
{
	if (program->fd >= 0)
		close(program->fd);
	*program = HAK_PROGRAM_NONE;
}

bool hak_program_same_exe(int dir, const char *process, const struct hak_program *program)
{
	return exe_of(dir, process) == program->exe;
}
