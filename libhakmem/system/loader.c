/* SPDX-License-Identifier: MIT */
/* Address range of the dynamic loader's data. See loader.h. */
#include "loader.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <sys/auxv.h>

#include "base/hak.h"
#include "base/vdso.h"
#include "os.h"

bool hak_loader_owns(const void *p)
{
	const ElfW(Ehdr) *eh = (const void *)hak_auxv(AT_BASE);
	const ElfW(Phdr) * ph;
	uintptr_t base = (uintptr_t)eh, end = base;

	if (!eh)
		return false;
	ph = (const void *)(base + eh->e_phoff);
	for (int i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && base + ph[i].p_vaddr + ph[i].p_memsz > end)
			end = base + ph[i].p_vaddr + ph[i].p_memsz;
	return (uintptr_t)p >= base && (uintptr_t)p < hak_align_up(end, hak_page);
}
