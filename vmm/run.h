/* SPDX-License-Identifier: BSD-2-Clause */
/* `viommu run`. */
#ifndef VMM_RUN_H
#define VMM_RUN_H

/* argv[0] is the command's name. Returns the exit status (design: 0 power-off, 2 unusable, 4 failed). */
int run_main(int argc, char **argv);

#endif
