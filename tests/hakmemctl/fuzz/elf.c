/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: any bytes as an executable file. A file that is accepted has a string as its
 * interpreter.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hakmemctl/service/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl_executable e;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (ctl_executable_read(fd, &e) == 0 && !memchr(e.interpreter, '\0', sizeof(e.interpreter)))
		abort();
	close(fd);
	return 0;
}
