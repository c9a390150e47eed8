/**
 * @file ask.h
 * @brief What stands between a verb and its harm: a question, or the flag that answers it.
 *
 * Model: nothing is asked where stdin is no terminal or with --no-input: then the flag must be
 * there, and its absence is exit 2. --dry-run never gets as far.
 */
#ifndef ASK_H
#define ASK_H

#include "cli.h"

/** @brief y/N, or --yes. @param what "12 records go to mail.retry.send"
 *  @return MILL_EXIT_OK: go on; else the verb's exit code (2, 3 or 130) */
int ask_yes(const struct cli *cli, const char *what);
/** @brief The count typed, or --confirm=COUNT. @return as ask_yes */
int ask_count(const struct cli *cli, const char *what, uint64_t count);
/** @brief On stderr, the command as it was given, for a shell.
 *  @param head "next: " @param more words to add; "" = none */
void ask_again(const struct cli *cli, const char *head, const char *more);

#endif
