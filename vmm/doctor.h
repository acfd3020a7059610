/* SPDX-License-Identifier: BSD-2-Clause */
/* `viommu doctor`: what this machine offers, a line for each thing, and what to do about what it does not. */
#ifndef VMM_DOCTOR_H
#define VMM_DOCTOR_H

/* argv[0] is the command's name. Returns the exit status: 0, or 2 for arguments that make no sense. */
int doctor_main(int argc, char **argv);

#endif
