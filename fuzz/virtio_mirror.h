/* SPDX-License-Identifier: BSD-2-Clause */
/* A mirror of one endpoint of a virtio-iommu, which holds what the reference says. It refuses when it is told to. */
#ifndef FUZZ_VIRTIO_MIRROR_H
#define FUZZ_VIRTIO_MIRROR_H

#include "fuzz/virtio_world.h"

enum { MIRRORED = 0 }; /* the endpoint */

/* How a request is answered. */
struct virtio_mirror_mood {
	bool late;              /* after the request was made */
	unsigned refuse;        /* this map is refused; 0: none */
	unsigned refuse_attach; /* likewise: the first one, or the second, which is the way back */
	int refuse_err;
};

void virtio_mirror_register(struct world *w);
void virtio_mirror_unregister(void);

/* For what comes now. */
void virtio_mirror_set_mood(struct virtio_mirror_mood mood);

/* An error that it has answered with since the mood was set, or 0. */
int virtio_mirror_refusal(void);

/* True: the endpoint could not go back to where it was. */
bool virtio_mirror_lost(void);

/* Late answers, all of them. False: there were none. */
bool virtio_mirror_answer(void);

/* Whatever was asked is complete: it holds the extents of the reference, and no others. */
void virtio_mirror_check(void);

#endif
