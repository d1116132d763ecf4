/* SPDX-License-Identifier: MIT */
/*
 * Symbols and unwinding by elfutils' libdwfl, see symbols.h.
 */
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/mapped.h"
#include "bpf/perfmap.h"
#include "bpf/symbols.h"
#include "control/root.h"

/* How often all mappings may be read again; code that is in no file would cause that each time. */
#define REFRESHES_MAX 64
/* Each removed file is searched for in all mappings of the process. */
#define REMOVED_MAX	  256
#define HAK_MANGLED_BYTES 1024 /* the limit of libsupc++ */

struct hak_symbols {
	pid_t pid;
	Dwfl *dwfl;
	struct hak_perfmap *made; /* code in no file; NULL: unknown */
	bool attached;
	unsigned refreshes;
	unsigned removed; /* removed files that were searched for in the mappings, or left out */
	const struct hak_site_event *site; /* during an unwinding */
};

/* One unwinding. */
struct frames {
	uint64_t *address;
	size_t n;
};

/* -- files ------------------------------------------------------------------------------------- */
/*
 * The process whose files are being opened, and its root folder; libdwfl does not pass them to its
 * callback.
 */
static struct {
	pid_t pid;
	int root;
	unsigned *removed;
} opening = { .root = -1 };

/*
 * Returns whether a file names another one for its debug information (dwz), by any path. libdw
 * would open that path by itself, in this program's root and without a check, when it meets a
 * reference. Only files below /usr/lib/debug have such a reference.
 */
static bool names_another_file(Elf *elf)
{
	GElf_Shdr header;
	size_t names;

	if (elf_getshdrstrndx(elf, &names) < 0)
		return false;
	for (Elf_Scn *s = elf_nextscn(elf, NULL); s; s = elf_nextscn(elf, s)) {
		const char *name = gelf_getshdr(s, &header) ? elf_strptr(elf, names, header.sh_name)
							    : NULL;

		if (name && strstr(name, "gnu_debugaltlink"))
			return true;
	}
	return false;
}

/*
 * Looks in the process's own root, where its absolute links end as well, because the same path may
 * be another file in this program's root. A file that was removed or replaced is opened through the
 * mapping of the process. Files are read, and not mapped as libdwfl would: a process that truncates
 * the file could kill hakmemctl.
 */
static int find_elf(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
		    char **ret_path, Elf **ret_elf)
{
	int fd = -1;

	if (!name || name[0] != '/')
		return dwfl_linux_proc_find_elf(module, userdata, name, base, ret_path, ret_elf);
	if (opening.pid && strstr(name, " (deleted)") && ++*opening.removed <= REMOVED_MAX)
		fd = hak_open_mapped_at(opening.pid, base);
	if (opening.root >= 0 && fd < 0)
		fd = hak_open_file_in(opening.root, name);
	if (fd < 0)
		return -1;
	*ret_elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!*ret_elf || names_another_file(*ret_elf)) {
		elf_end(*ret_elf);
		*ret_elf = NULL;
		close(fd);
		return -1;
	}
	*ret_path = strdup(name);
	return fd;
}

/* Looks by a name in the folders below /usr/lib/debug. The path that the program's file names could
 * lead out of them. */
static int find_debuginfo(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
			  const char *file, const char *link, GElf_Word sum, char **ret_path)
{
	const char *slash = link ? strrchr(link, '/') : NULL;

	return dwfl_standard_find_debuginfo(module, userdata, name, base, file,
					    slash ? slash + 1 : link, sum, ret_path);
}

/* Not beside the program, where any user may have placed a file. */
static char debuginfo[] = "/usr/lib/debug", *debuginfo_path = debuginfo;

static const Dwfl_Callbacks files = {
	.find_elf = find_elf,
	.find_debuginfo = find_debuginfo,
	.debuginfo_path = &debuginfo_path,
};

/* Files are opened now, because the process may be gone when they are needed. */
static int open_file(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr start,
		     void *arg)
{
	GElf_Addr bias;

	dwfl_module_getelf(module, &bias);
	return DWARF_CB_OK;
}

int hak_symbols_refresh(struct hak_symbols *s)
{
	char path[32];
	int r;

	if (s->refreshes++ > REFRESHES_MAX)
		return -EBUSY;
	dwfl_report_begin_add(s->dwfl);
	r = dwfl_linux_proc_report(s->dwfl, s->pid);
	dwfl_report_end(s->dwfl, NULL, NULL);
	if (r)
		return r > 0 ? -r : -EINVAL;
	snprintf(path, sizeof(path), "/proc/%d/root", (int)s->pid);
	opening.pid = s->pid;
	opening.removed = &s->removed;
	opening.root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	dwfl_getmodules(s->dwfl, open_file, NULL, 0);
	if (opening.root >= 0)
		close(opening.root);
	opening.pid = 0;
	opening.root = -1;
	return 0;
}

int hak_symbols_open(pid_t pid, struct hak_symbols **ret)
{
	struct hak_symbols *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->pid = pid;
	s->made = hak_perfmap_open(pid);
	s->dwfl = dwfl_begin(&files);
	r = s->dwfl ? hak_symbols_refresh(s) : -ENOMEM;
	if (r < 0) {
		hak_symbols_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void hak_symbols_close(struct hak_symbols *s)
{
	if (!s)
		return;
	if (s->dwfl)
		dwfl_end(s->dwfl);
	hak_perfmap_close(s->made);
	free(s);
}

bool hak_symbols_missing(const struct hak_symbols *s, char why[HAK_WHY_TEXT])
{
	return hak_perfmap_missing(s->made, why);
}

unsigned hak_symbols_left_out(const struct hak_symbols *s)
{
	return s->removed > REMOVED_MAX ? s->removed - REMOVED_MAX : 0;
}

int hak_symbols_covers(const struct hak_symbols *s, uint64_t address)
{
	return dwfl_addrmodule(s->dwfl, address) != NULL;
}

/* FNV-1a; files are identified by their build id, or by their path if they have none. */
uint64_t hak_symbols_place(const struct hak_symbols *s, uint64_t address)
{
	Dwfl_Module *module = dwfl_addrmodule(s->dwfl, address);
	uint64_t h = 0xcbf29ce484222325u;
	const unsigned char *id;
	GElf_Addr id_address;
	Dwarf_Addr start;
	const char *path;
	int n;

	if (!module)
		return 0;
	path = dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, NULL, NULL);
	n = dwfl_module_build_id(module, &id, &id_address);
	if (n <= 0) {
		id = (const unsigned char *)path;
		n = (int)strlen(path);
	}
	for (int i = 0; i < n; i++)
		h = (h ^ id[i]) * 0x100000001b3u;
	for (uint64_t offset = address - start; offset; offset >>= 8)
		h = (h ^ (offset & 0xff)) * 0x100000001b3u;
	return h;
}

/* Returns whether no program file holds the address. A memfd with code is no program file. */
static bool is_made(const struct hak_symbols *s, uint64_t address)
{
	Dwfl_Module *module = dwfl_addrmodule(s->dwfl, address);
	GElf_Addr bias;

	return !module || !dwfl_module_getelf(module, &bias);
}

/* -- unwinding --------------------------------------------------------------------------------- */
static pid_t only_thread(Dwfl *dwfl, void *arg, void **thread)
{
	if (*thread)
		return 0;
	*thread = arg;
	return dwfl_pid(dwfl);
}

static bool read_copy(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *ret, void *arg)
{
	const struct hak_symbols *s = arg;
	uint64_t at = address - s->site->key.sp;

	if (address < s->site->key.sp || at + sizeof(*ret) > s->site->stack_bytes ||
	    s->site->stack_bytes > HAK_STACK_COPY)
		return false;
	memcpy(ret, s->site->stack + at, sizeof(*ret));
	return true;
}

static bool first_registers(Dwfl_Thread *thread, void *arg)
{
	const struct hak_symbols *s = arg;
	const uint64_t *r = (const uint64_t *)s->site->regs;
#if defined(__x86_64__)
	/* Maps the order of pt_regs to DWARF's: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip. */
	static const unsigned char order[] = { 10, 12, 11, 5, 13, 14, 4, 19, 9,
					       8,  7,  6,  3, 2,  1,  0, 16 };
	Dwarf_Word word[sizeof(order)];

	for (size_t i = 0; i < sizeof(order); i++)
		word[i] = r[order[i]];
	return dwfl_thread_state_registers(thread, 0, sizeof(order), word);
#elif defined(__aarch64__)
	Dwarf_Word word[32];

	for (size_t i = 0; i < 32; i++)
		word[i] = r[i];
	if (!dwfl_thread_state_registers(thread, 0, 32, word))
		return false;
	dwfl_thread_state_register_pc(thread, r[32]);
	return true;
#else
	(void)r;
	return false;
#endif
}

static const Dwfl_Thread_Callbacks copy = {
	.next_thread = only_thread,
	.memory_read = read_copy,
	.set_initial_registers = first_registers,
};

static int add_frame(Dwfl_Frame *frame, void *arg)
{
	struct frames *f = arg;
	bool exact;
	Dwarf_Addr pc;

	if (!dwfl_frame_pc(frame, &pc, &exact) || f->n == HAK_FRAMES_MAX)
		return DWARF_CB_ABORT;
	/* A return address lies behind its call, perhaps in another function. */
	f->address[f->n] = exact || f->n == 0 ? pc : pc - 1;
	f->n++;
	return DWARF_CB_OK;
}

size_t hak_symbols_unwind(struct hak_symbols *s, const struct hak_site_event *site,
			  uint64_t ret[HAK_FRAMES_MAX])
{
	struct frames f = { .address = ret };

	s->site = site;
	if (!s->attached)
		s->attached = dwfl_attach_state(s->dwfl, NULL, s->pid, &copy, s);
	if (s->attached)
		dwfl_getthread_frames(s->dwfl, s->pid, add_frame, &f);
	s->site = NULL;
	for (size_t i = 0; i < f.n; i++)
		if (is_made(s, ret[i]))
			hak_perfmap_meet(s->made, ret[i]);
	return f.n;
}

/* -- names ------------------------------------------------------------------------------------- */
void hak_symbols_locate(const struct hak_symbols *s, uint64_t address, struct hak_symbol *ret)
{
	Dwfl_Module *module = dwfl_addrmodule(s->dwfl, address);
	const unsigned char *id;
	GElf_Addr id_address;
	Dwarf_Addr start, bias = 0;
	int n;

	*ret = (struct hak_symbol){ .address = address, .offset = address };
	if (!module)
		return;
	ret->module = dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, NULL, NULL);
	if (!dwfl_module_getelf(module, &bias))
		bias = start;
	ret->module_offset = ret->offset = address - bias;
	n = dwfl_module_build_id(module, &id, &id_address);
	if (n > 0 && (size_t)n <= sizeof(ret->build_id)) {
		memcpy(ret->build_id, id, (size_t)n);
		ret->build_id_bytes = (size_t)n;
	}
}

static void find_made(const struct hak_symbols *s, uint64_t address, struct hak_symbol *ret)
{
	const struct hak_perfmap_range *range = hak_perfmap_find(s->made, address);

	if (!range)
		return;
	ret->function = range->name;
	ret->plain = true;
	ret->offset = address - range->start;
}

void hak_symbols_find(const struct hak_symbols *s, uint64_t address, struct hak_symbol *ret)
{
	Dwfl_Module *module = dwfl_addrmodule(s->dwfl, address);
	Dwfl_Line *line;
	GElf_Off offset;
	GElf_Sym symbol;

	hak_symbols_locate(s, address, ret);
	if (is_made(s, address)) {
		find_made(s, address, ret);
		return;
	}
	ret->function = dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL);
	if (ret->function)
		ret->offset = offset;
	line = dwfl_module_getsrc(module, address);
	if (line)
		ret->source = dwfl_lineinfo(line, NULL, &ret->line, NULL, NULL, NULL);
}

#if HAK_DEMANGLE
/*
 * A part of GCC's libsupc++, from which __cxa_demangle() is made. It returns its text in pieces and
 * allocates no memory, so it can be left at any time. Names are untrusted: a name of a hundred
 * letters can expand to gigabytes.
 */
int __gcclibcxx_demangle_callback(const char *name, void (*piece)(const char *, size_t, void *),
				  void *arg);

struct spelling {
	char *out;
	size_t n, room;
	jmp_buf too_long;
};

static void add_piece(const char *text, size_t n, void *arg)
{
	struct spelling *s = arg;

	if (n >= s->room - s->n)
		longjmp(s->too_long, 1);
	memcpy(s->out + s->n, text, n);
	s->n += n;
}

static bool spell_cxx(const char *name, char *out, size_t bytes)
{
	struct spelling s = { .out = out, .room = bytes };

	if (strncmp(name, "_Z", 2) != 0 || setjmp(s.too_long) ||
	    __gcclibcxx_demangle_callback(name, add_piece, &s) != 0)
		return false;
	out[s.n] = '\0';
	return true;
}
#else
static bool spell_cxx(const char *name, char *out, size_t bytes)
{
	return false;
}
#endif

void hak_symbols_spell(const char *function, char *out, size_t bytes)
{
	char name[HAK_MANGLED_BYTES];
	size_t n = strcspn(function, "@");

	if (n < sizeof(name)) {
		memcpy(name, function, n);
		name[n] = '\0';
		if (spell_cxx(name, out, bytes))
			return;
	}
	snprintf(out, bytes, "%.*s", (int)n, function);
}
