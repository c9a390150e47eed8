/**
 * @file fault.h
 * @brief Places where a test may kill, stop or delay the process. Nothing at all in what ships.
 *
 * Model: compiled with MILL_FAULT_POINTS (CMake option of the same name; on in the dev preset
 * only), a point looks for the file that the environment's MILL_FAULT_FILE names. It holds one
 * line, `POINT ACTION [COUNT]`: at the COUNT-th pass of POINT (default 1) since the file was there
 * the ACTION happens: `kill` (SIGKILL to this process), `stop` (SIGSTOP) or `sleep-MS`. The file is
 * renamed to FILE.fired just before, so a fault fires once, and a test sees that it did.
 */
#ifndef MILL_BASE_FAULT_H
#define MILL_BASE_FAULT_H

/** @brief Pass a point. Only there with MILL_FAULT_POINTS: use the macro.
 *  @param point its name, "process.moment" @thread any */
void mill_fault_point(const char *point);

#ifdef MILL_FAULT_POINTS
#define MILL_FAULT_POINT(point) mill_fault_point(point)
#else
#define MILL_FAULT_POINT(point) ((void)0)
#endif

#endif
