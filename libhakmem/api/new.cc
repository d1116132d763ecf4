/* SPDX-License-Identifier: MIT */
/*
 * Every operator new and delete. The library is linked by C's rules and does not need libstdc++ at
 * run time. Functions of C++'s own libraries are looked up when memory has run out, and not before.
 *
 * On failure the operators do what the standard says: they call the new_handler and try again until
 * there is none. Then they throw std::bad_alloc; the nothrow versions return NULL, also if the
 * handler throws.
 */
#include <cstddef>
#include <new>

#include <dlfcn.h>

extern "C" {
void *malloc(std::size_t size);
void *memalign(std::size_t align, std::size_t size);
void free(void *p);
[[noreturn]] __attribute__((visibility("hidden"))) void hak_die(const char *what,
								const void *pointer);

/*
 * These are present or not when the library is loaded. The personality and the two calls are those
 * of the one catch below.
 */
#pragma weak _ZSt15get_new_handlerv
#pragma weak _ZSt17__throw_bad_allocv
std::new_handler _ZSt15get_new_handlerv() noexcept;
void _ZSt17__throw_bad_allocv();
}

/* The pragma does not reach references that the compiler itself makes; clang makes the last one. */
__asm__(".weak __gxx_personality_v0\n\t.weak __cxa_begin_catch\n\t.weak __cxa_end_catch\n\t"
	".weak _ZSt9terminatev");

#define HAK_API __attribute__((visibility("default")))

namespace
{

/*
 * Finds a function of C++'s run time that was absent when the library was loaded. dlopen() of a
 * plug-in may have brought the run time since then, for the plug-in alone.
 */
void *late_symbol(const char *name)
{
	static const char *const libraries[] = { "libstdc++.so.6", "libc++abi.so.1",
						 "libc++.so.1" };
	void *f = dlsym(RTLD_DEFAULT, name);

	for (const char *library : libraries) {
		void *handle = f ? nullptr : dlopen(library, RTLD_LAZY | RTLD_NOLOAD);

		if (!handle)
			continue;
		f = dlsym(handle, name);
		dlclose(handle); /* the object that loaded it keeps it */
	}
	return f;
}

std::new_handler current_handler()
{
	auto get = _ZSt15get_new_handlerv;

	if (!get)
		get = reinterpret_cast<std::new_handler (*)() noexcept>(
			late_symbol("_ZSt15get_new_handlerv"));
	return get ? get() : nullptr;
}

[[noreturn]] void throw_bad_alloc()
{
	auto raise = _ZSt17__throw_bad_allocv;

	if (!raise)
		raise = reinterpret_cast<void (*)()>(late_symbol("_ZSt17__throw_bad_allocv"));
	if (raise)
		raise();
	hak_die("operator new: out of memory, and no C++ library to throw bad_alloc", nullptr);
}

/*
 * Does not set errno, which operator new does not promise. An `align` of 0 means malloc's
 * alignment.
 */
inline void *attempt(std::size_t size, std::size_t align)
{
	return align ? memalign(align, size) : malloc(size);
}

__attribute__((noinline, cold)) void *try_again(std::size_t size, std::size_t align)
{
	for (;;) {
		std::new_handler handler = current_handler();
		void *p;

		if (!handler)
			throw_bad_alloc();
		handler();
		p = attempt(size, align);
		if (p)
			return p;
	}
}

__attribute__((noinline, cold)) void *try_again_nothrow(std::size_t size,
							std::size_t align) noexcept
{
	std::new_handler handler = current_handler();

	if (!handler)
		return nullptr;
	try {
		for (; handler; handler = current_handler()) {
			handler();
			if (void *p = attempt(size, align))
				return p;
		}
	} catch (...) {
	}
	return nullptr;
}

inline void *allocate(std::size_t size, std::size_t align = 0)
{
	void *p = attempt(size, align);

	return __builtin_expect(p != nullptr, 1) ? p : try_again(size, align);
}

inline void *allocate_nothrow(std::size_t size, std::size_t align = 0) noexcept
{
	void *p = attempt(size, align);

	return __builtin_expect(p != nullptr, 1) ? p : try_again_nothrow(size, align);
}

inline bool is_power_of_two(std::align_val_t align)
{
	auto n = static_cast<std::size_t>(align);

	return n && !(n & (n - 1));
}

/* An invalid alignment is not a lack of memory, so no new_handler is called. */
inline void *allocate(std::size_t size, std::align_val_t align)
{
	if (__builtin_expect(!is_power_of_two(align), 0))
		throw_bad_alloc();
	return allocate(size, static_cast<std::size_t>(align));
}

inline void *allocate_nothrow(std::size_t size, std::align_val_t align) noexcept
{
	if (__builtin_expect(!is_power_of_two(align), 0))
		return nullptr;
	return allocate_nothrow(size, static_cast<std::size_t>(align));
}

} // namespace

HAK_API void *operator new(std::size_t size)
{
	return allocate(size);
}

HAK_API void *operator new[](std::size_t size)
{
	return allocate(size);
}

HAK_API void *operator new(std::size_t size, const std::nothrow_t &) noexcept
{
	return allocate_nothrow(size);
}

HAK_API void *operator new[](std::size_t size, const std::nothrow_t &) noexcept
{
	return allocate_nothrow(size);
}

HAK_API void *operator new(std::size_t size, std::align_val_t align)
{
	return allocate(size, align);
}

HAK_API void *operator new[](std::size_t size, std::align_val_t align)
{
	return allocate(size, align);
}

HAK_API void *operator new(std::size_t size, std::align_val_t align,
			   const std::nothrow_t &) noexcept
{
	return allocate_nothrow(size, align);
}

HAK_API void *operator new[](std::size_t size, std::align_val_t align,
			     const std::nothrow_t &) noexcept
{
	return allocate_nothrow(size, align);
}

HAK_API void operator delete(void *p) noexcept
{
	free(p);
}

HAK_API void operator delete[](void *p) noexcept
{
	free(p);
}

HAK_API void operator delete(void *p, const std::nothrow_t &) noexcept
{
	free(p);
}

HAK_API void operator delete[](void *p, const std::nothrow_t &) noexcept
{
	free(p);
}

HAK_API void operator delete(void *p, std::size_t) noexcept
{
	free(p);
}

HAK_API void operator delete[](void *p, std::size_t) noexcept
{
	free(p);
}

HAK_API void operator delete(void *p, std::align_val_t) noexcept
{
	free(p);
}

HAK_API void operator delete[](void *p, std::align_val_t) noexcept
{
	free(p);
}

HAK_API void operator delete(void *p, std::size_t, std::align_val_t) noexcept
{
	free(p);
}

HAK_API void operator delete[](void *p, std::size_t, std::align_val_t) noexcept
{
	free(p);
}

HAK_API void operator delete(void *p, std::align_val_t, const std::nothrow_t &) noexcept
{
	free(p);
}

HAK_API void operator delete[](void *p, std::align_val_t, const std::nothrow_t &) noexcept
{
	free(p);
}
