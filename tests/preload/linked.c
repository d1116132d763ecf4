// SPDX-License-Identifier: MIT
/*
 * A program that is linked with the library, as a program is that always wants it. linked.test runs
 * it where a preload cannot be relied on: with privileges (AT_SECURE), and with the library
 * preloaded a second time.
 *
 * 	linked secure	insists that AT_SECURE is set, that HAKMEM is not obeyed
 * 			and that there is no segment
 * 	linked plain	insists that it is not set, and that there is a segment
 */
#include "harness.h"

#include <hakmem.h>
#include <pthread.h>
#include <sys/auxv.h>

static void *work(void *arg)
{
	size_t i;

	for (i = 0; i < 5; i++)
		exercise_all_tiers((size_t)arg + i);
	return NULL;
}

int main(int argc, char **argv)
{
	int secure = argc > 1 && strcmp(argv[1], "secure") == 0;
	Dl_info ours, theirs;
	pthread_t t;

	case_name = secure ? "secure" : "plain";
	CHECK(*hakmem_version());
	CHECK(dladdr((void *)hakmem_version, &ours));
	CHECK(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &theirs));
	CHECK(ours.dli_fbase == theirs.dli_fbase, "malloc comes from %s", theirs.dli_fname);
	CHECK((getauxval(AT_SECURE) != 0) == secure, "AT_SECURE is %lu", getauxval(AT_SECURE));
	work(NULL);
	CHECK(pthread_create(&t, NULL, work, (void *)7) == 0);
	pthread_join(t, NULL);
	if (secure)
		CHECK(mappings_with("memfd:hakmem") == 0);
	else if (argc > 2 && strcmp(argv[2], "segment") == 0)
		CHECK(mappings_with("memfd:hakmem-stats") >= 1, "no segment");
	say("ok - %s\n", case_name);
	return 0;
}
