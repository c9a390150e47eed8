/* Makes the n-th allocation from now on fail; link with alloc_fail.c (mill_test_alloc(target)). */
#ifndef MILL_ALLOC_FAIL_H
#define MILL_ALLOC_FAIL_H

/** 0 = none fails; n = the n-th from now on fails, and counts down. */
extern long alloc_fail_in;

#endif
