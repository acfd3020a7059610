/* SPDX-License-Identifier: BSD-2-Clause */
/* `viommu ctl`. */
#ifndef VMM_CTL_H
#define VMM_CTL_H

/*
 * argv[0] is the command's name. Returns the exit status: 0; 2 unusable arguments or socket; 4 no answer, or an error.
 */
int ctl_main(int argc, char **argv);

#endif
