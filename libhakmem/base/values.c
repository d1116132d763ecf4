/* SPDX-License-Identifier: MIT */
/* The tunables: their rows, and the values in force. See values.h. */
#include "values.h"

_Atomic uint64_t hak_tun_values[HAK_TUNABLES] = {
#define TUNABLE(id, sym, name, type, unit, dflt, ...) dflt,
#include "control/abi/tunables.def"
#undef TUNABLE
};

#define UNIT(u) HAK_UNIT_##u
const struct hak_tunable_desc hak_tunable_desc[HAK_TUNABLES] = {
#define TUNABLE(id_, sym, name_, type_, unit_, dflt_, min_, max_, when_, values_, doc) \
	{ .id = id_,                                                                   \
	  .type = HAK_TYPE_##type_,                                                    \
	  .unit = UNIT(unit_),                                                         \
	  .when = HAK_WHEN_##when_,                                                    \
	  .dflt = dflt_,                                                               \
	  .min = min_,                                                                 \
	  .max = max_,                                                                 \
	  .name = name_,                                                               \
	  .values = values_ },
#include "control/abi/tunables.def"
#undef TUNABLE
};
_Static_assert(HAK_TUNABLES <= HAK_MAX_TUNABLES, "each tunable has its slot");

enum hak_tunable hak_tunable_find(const char *name, size_t bytes)
{
	unsigned int t = 0;

	for (; t < HAK_TUNABLES; t++)
		if (__builtin_strlen(hak_tunable_desc[t].name) == bytes &&
		    !__builtin_memcmp(hak_tunable_desc[t].name, name, bytes))
			break;
	return t;
}
