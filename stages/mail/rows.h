/** @file rows.h  @brief Rows of the descriptor tables, for the files that hold records. */
#ifndef MILL_ROWS_H
#define MILL_ROWS_H

/* Most Avro fields have the name of their member. */
#define ROW(type, member, k)                                                                       \
    {                                                                                              \
        .name = #member, .kind = (k), .off = offsetof(struct type, member)                         \
    }
#define SUB(type, member, k, d)                                                                    \
    {                                                                                              \
        .name = #member, .kind = (k), .off = offsetof(struct type, member), .sub = (d)             \
    }
#define ENUM(type, member, symbols)                                                                \
    {                                                                                              \
        .name = #member, .kind = MILL_ENUM, .off = offsetof(struct type, member),                  \
        .names = (symbols)                                                                         \
    }

#endif
