/* Linked into every stage's program; MILL_SPEC comes from mill_add_stage(). */
#include "stage.h"

extern const struct mill_stage MILL_SPEC;

int main(int argc, char **argv)
{
    return mill_stage_main(argc, argv, &MILL_SPEC);
}
