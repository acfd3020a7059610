/* SPDX-License-Identifier: BSD-2-Clause */
/* What a driver may write into the tables of a VT-d unit, and where devices then look. */
#ifndef FUZZ_VTD_TABLES_H
#define FUZZ_VTD_TABLES_H

#include "fuzz/vtd_world.h"

uint64_t vtd_draw_entry(struct tape *tape);
uint64_t vtd_draw_place(struct tape *tape, bool scalable);
uint64_t vtd_draw_iova(struct tape *tape);
void vtd_lay_path(struct tape *tape, bool scalable);

#endif
