/* SPDX-License-Identifier: MIT */
/*
 * control/pageout.c with mappings of the test's own: which parts of the published ranges are paged
 * out, and what tells that the process still runs the program which published them.
 */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "control/pageout.c"
#include "tests/check.h"

enum { INODE = 4711, PAGE = 65536 };

static dev_t memfds(void)
{
	struct stat st;
	int fd = memfd_create("pageout", MFD_CLOEXEC);

	EXPECT(fd >= 0 && fstat(fd, &st) == 0, "a memfd");
	close(fd);
	return st.st_dev;
}

static struct hak_mapping file(dev_t dev)
{
	return (struct hak_mapping){ .start = PAGE,
				     .end = 2 * PAGE,
				     .ino = INODE,
				     .major = major(dev),
				     .minor = minor(dev),
				     .perms = "rw-s",
				     .path = "/memfd:hakmem-stats (deleted)" };
}

/* Any program can map a file with the segment's number that lies on another file system. */
static void segment_is_known_by_device(void)
{
	static struct plan plan = { .stats_ino = INODE };
	struct hak_mapping map = file(memfds() + 1);

	meet_mapping(&map, &plan);
	EXPECT(!plan.mapped, "a file of another file system is the segment");
	map = file(memfds());
	map.ino++;
	meet_mapping(&map, &plan);
	EXPECT(!plan.mapped, "another memfd is the segment");
	map = file(memfds());
	meet_mapping(&map, &plan);
	EXPECT(plan.mapped, "the segment is not found");
}

static void parts_are_private_and_anonymous(void)
{
	static struct plan plan = { .stats_ino = INODE,
				    .lazy = { { PAGE, 8 * PAGE } },
				    .lazy_n = 1,
				    .max_bytes = 100 * PAGE };
	struct hak_mapping map = file(memfds());

	meet_mapping(&map, &plan);
	EXPECT(plan.parts == 0, "a shared mapping is paged out");
	map = (struct hak_mapping){
		.start = 4 * PAGE, .end = 10 * PAGE, .perms = "rw-p", .path = ""
	};
	meet_mapping(&map, &plan);
	EXPECT(plan.parts == 1 && plan.bytes == 4 * PAGE, "%u parts of %llu bytes", plan.parts,
	       (unsigned long long)plan.bytes);
	EXPECT((uintptr_t)plan.part[0].iov_base == 4 * PAGE, "at %p", plan.part[0].iov_base);
}

static const struct tcase cases[] = {
	{ "segment_is_known_by_device", segment_is_known_by_device },
	{ "parts_are_private_and_anonymous", parts_are_private_and_anonymous },
};

CASES(cases)
