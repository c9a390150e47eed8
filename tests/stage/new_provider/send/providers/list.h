/* The one row that a new provider needs: Sendmill's own list, and it. Found before the real one. */
#include "../../../../../stages/send/providers/list.h"
MILL_PROVIDER(postbox)
