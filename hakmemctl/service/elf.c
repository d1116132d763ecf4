/* SPDX-License-Identifier: MIT */
/*
 * Reads what an executable file is: enough of ELF and of #! to know what would load it.
 */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hakmemctl/service/unit.h"

#define PHDRS_MAX 128

static int read_script(int fd, struct ctl_executable *ret)
{
	char line[PATH_MAX];
	ssize_t n = pread(fd, line, sizeof(line) - 1, 2);
	char *name;
	size_t bytes;

	if (n < 0)
		return -errno;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	name = line + strspn(line, " \t");
	bytes = strcspn(name, " \t");
	if (bytes == 0)
		return -ENOEXEC;
	name[bytes] = '\0';
	ret->script = true;
	snprintf(ret->interpreter, sizeof(ret->interpreter), "%s", name);
	return 0;
}

static int read_interpreter(int fd, const Elf64_Phdr *ph, struct ctl_executable *ret)
{
	size_t bytes = ph->p_filesz < PATH_MAX ? ph->p_filesz : PATH_MAX - 1;
	ssize_t n = pread(fd, ret->interpreter, bytes, (off_t)ph->p_offset);

	if (n < 0)
		return -errno;
	ret->interpreter[n] = '\0';
	ret->dynamic = true;
	return 0;
}

/* For another class or byte order, no more is needed than this fact. */
static int read_elf(int fd, struct ctl_executable *ret)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;

	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh))
		return -ENOEXEC;
	ret->machine = eh.e_machine;
	ret->elf64 = eh.e_ident[EI_CLASS] == ELFCLASS64;
	if (!ret->elf64)
		return 0;
	if (eh.e_phentsize != sizeof(ph))
		return -ENOEXEC;
	for (unsigned i = 0; i < eh.e_phnum && i < PHDRS_MAX; i++) {
		off_t at = (off_t)(eh.e_phoff + i * sizeof(ph));

		if (pread(fd, &ph, sizeof(ph), at) != sizeof(ph))
			return -ENOEXEC;
		if (ph.p_type == PT_INTERP)
			return read_interpreter(fd, &ph, ret);
	}
	return 0;
}

int ctl_executable_read(int fd, struct ctl_executable *ret)
{
	struct ctl_executable e = { 0 };
	unsigned char magic[4];
	int r;

	if (pread(fd, magic, sizeof(magic), 0) != sizeof(magic))
		r = -ENOEXEC;
	else if (memcmp(magic, ELFMAG, SELFMAG) == 0)
		r = read_elf(fd, &e);
	else if (memcmp(magic, "#!", 2) == 0)
		r = read_script(fd, &e);
	else
		r = -ENOEXEC;
	if (r == 0)
		*ret = e;
	return r;
}
