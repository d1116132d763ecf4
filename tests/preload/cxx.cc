// SPDX-License-Identifier: MIT
/*
 * Every operator new and delete: plain, array, nothrow, sized, aligned and their combinations; what
 * a throwing new does when memory is short, and the new-handler's part in it; the containers of the
 * standard library.
 */
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "tests/check.h"

static const std::size_t sizes[] = { 0,	   1,	  8,	 16,	 24,	  100,	  1000,
				     5000, 40000, 70000, 300000, 1048576, 3000000 };
static const std::align_val_t aligns[] = { std::align_val_t(1),	     std::align_val_t(16),
					   std::align_val_t(32),     std::align_val_t(64),
					   std::align_val_t(4096),   std::align_val_t(65536),
					   std::align_val_t(2097152) };

static void use(void *p, std::size_t n, std::size_t align)
{
	EXPECT(p != nullptr);
	EXPECT(reinterpret_cast<std::uintptr_t>(p) % align == 0);
	EXPECT(reinterpret_cast<std::uintptr_t>(p) % 16 == 0);
	std::memset(p, 0x5a, n);
}

static void plain()
{
	for (std::size_t n : sizes) {
		void *p = ::operator new(n), *q = ::operator new[](n);

		use(p, n, 16);
		use(q, n, 16);
		EXPECT(p != q);
		::operator delete(p);
		::operator delete[](q);
		p = ::operator new(n);
		q = ::operator new[](n);
		use(p, n, 16);
		use(q, n, 16);
		::operator delete(p, n);
		::operator delete[](q, n);
		p = ::operator new(n, std::nothrow);
		q = ::operator new[](n, std::nothrow);
		use(p, n, 16);
		use(q, n, 16);
		::operator delete(p, std::nothrow);
		::operator delete[](q, std::nothrow);
	}
	::operator delete(nullptr);
	::operator delete[](nullptr);
	::operator delete(nullptr, std::size_t(5));
	::operator delete(nullptr, std::align_val_t(64));
}

static void aligned()
{
	for (std::align_val_t a : aligns) {
		for (std::size_t n : sizes) {
			std::size_t align = std::size_t(a);
			void *p = ::operator new(n, a), *q = ::operator new[](n, a);

			use(p, n, align);
			use(q, n, align);
			::operator delete(p, a);
			::operator delete[](q, a);
			p = ::operator new(n, a);
			q = ::operator new[](n, a);
			use(p, n, align);
			use(q, n, align);
			::operator delete(p, n, a);
			::operator delete[](q, n, a);
			p = ::operator new(n, a, std::nothrow);
			q = ::operator new[](n, a, std::nothrow);
			use(p, n, align);
			use(q, n, align);
			::operator delete(p, a, std::nothrow);
			::operator delete[](q, a, std::nothrow);
		}
	}
}

/* malloc's memory and new's are interchangeable here, as in other allocators. */
static void mixed()
{
	for (std::size_t n : sizes) {
		void *p = ::operator new(n);

		std::free(p);
		::operator delete(std::malloc(n));
	}
}

static volatile std::size_t huge = ~std::size_t(0) / 2 + 1;
static int handler_calls;

static void handler_that_gives_up()
{
	if (++handler_calls == 3)
		std::set_new_handler(nullptr);
}

static void handler_that_throws()
{
	handler_calls++;
	throw std::bad_alloc();
}

/* Compilers leave out a new whose delete they see. */
static void *kept(void *p)
{
	static void *volatile place;

	place = p;
	return place;
}

template <typename F> static bool throws_bad_alloc(F f)
{
	try {
		f();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

static void out_of_memory()
{
	std::align_val_t a{ 4096 };

	EXPECT(throws_bad_alloc([] { ::operator delete(kept(::operator new(huge))); }));
	EXPECT(throws_bad_alloc([] { ::operator delete[](kept(::operator new[](huge))); }));
	EXPECT(throws_bad_alloc([=] { ::operator delete(kept(::operator new(huge, a)), a); }));
	EXPECT(throws_bad_alloc([=] { ::operator delete[](kept(::operator new[](huge, a)), a); }));
	EXPECT(::operator new(huge, std::nothrow) == nullptr);
	EXPECT(::operator new[](huge, std::nothrow) == nullptr);
	EXPECT(::operator new(huge, a, std::nothrow) == nullptr);
	EXPECT(::operator new[](huge, a, std::nothrow) == nullptr);
	std::set_new_handler(handler_that_gives_up);
	handler_calls = 0;
	EXPECT(throws_bad_alloc([] { ::operator delete(kept(::operator new(huge))); }));
	EXPECT(handler_calls == 3);
	std::set_new_handler(handler_that_gives_up);
	handler_calls = 0;
	EXPECT(::operator new(huge, std::nothrow) == nullptr);
	EXPECT(handler_calls == 3);
	std::set_new_handler(handler_that_throws);
	handler_calls = 0;
	EXPECT(throws_bad_alloc([] { ::operator delete(kept(::operator new(huge))); }));
	EXPECT(handler_calls == 1);
	EXPECT(::operator new(huge, std::nothrow) == nullptr);
	EXPECT(::operator new(huge, a, std::nothrow) == nullptr);
	EXPECT(handler_calls == 3);
	std::set_new_handler(nullptr);
}

/*
 * Like libstdc++: an alignment that is no power of two is refused in the way of a lack of memory.
 */
static void bad_alignments()
{
	for (std::size_t bad : { 0, 3, 24, 4097 }) {
		volatile std::size_t hidden = bad;
		std::align_val_t a{ hidden };

		EXPECT(throws_bad_alloc([=] { kept(::operator new(100, a)); }));
		EXPECT(throws_bad_alloc([=] { kept(::operator new[](100, a)); }));
		EXPECT(::operator new(100, a, std::nothrow) == nullptr);
		EXPECT(::operator new[](100, a, std::nothrow) == nullptr);
	}
}

struct alignas(256) Wide {
	char body[300];
};

struct Throws {
	Throws()
	{
		throw 1;
	}
};

static void language()
{
	for (int i = 0; i < 1000; i++) {
		auto one = std::make_unique<Wide>();
		Wide *many = new Wide[i % 7 + 1];

		EXPECT(reinterpret_cast<std::uintptr_t>(one.get()) % 256 == 0);
		EXPECT(reinterpret_cast<std::uintptr_t>(many) % 256 == 0);
		delete[] many;
		try {
			delete new Throws;
			EXPECT(!"constructed");
		} catch (int) {
		}
	}
}

static void containers()
{
	std::map<int, std::string> m;
	std::vector<std::vector<int>> v;

	for (int i = 0; i < 20000; i++) {
		m[i * 7919 % 20011] = std::string(static_cast<std::size_t>(i % 300), 'x');
		if (i % 3 == 0)
			m.erase(i / 2);
		v.resize(static_cast<std::size_t>(i % 500));
		for (auto &e : v)
			e.push_back(i);
	}
	for (auto &e : m)
		EXPECT(e.second.size() < 300 &&
		       e.second.find_first_not_of('x') == std::string::npos);
}

static void threads()
{
	std::vector<std::thread> t;

	for (int i = 0; i < 4; i++)
		t.emplace_back(containers);
	for (auto &e : t)
		e.join();
}

static bool reexecuted(char **argv)
{
	const char *lib = std::getenv("HAKMEM_LIB") ? std::getenv("HAKMEM_LIB")
						    : std::getenv("HAK_LIB");
	const char *have = std::getenv("LD_PRELOAD");

	if (!lib || !*lib || (have && std::strstr(have, lib)))
		return false;
	setenv("LD_PRELOAD", lib, 1);
	setenv("HAK_EXPECT", "hakmem", 0);
	execv("/proc/self/exe", argv);
	return true;
}

static const struct tcase cases[] = {
	{ "plain", plain },
	{ "aligned", aligned },
	{ "mixed", mixed },
	{ "out_of_memory", out_of_memory },
	{ "bad_alignments", bad_alignments },
	{ "language", language },
	{ "containers", containers },
	{ "threads", threads },
};

int main(int argc, char **argv)
{
	const char *expect = std::getenv("HAK_EXPECT");

	if (reexecuted(argv))
		return 1;
	if (expect && !std::strcmp(expect, "hakmem"))
		CHECK(dlsym(RTLD_DEFAULT, "hakmem_version"));
	return RUN(argc, argv, cases);
}
