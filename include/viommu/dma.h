/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a device reaches guest memory. Host addresses exist only
 *
 *   - inside a section, which is short (one burst of work: no sleeping, no waiting for others), or
 *   - under a hold, for asynchronous I/O: taken inside a section, released when the I/O is over.
 *
 * An invalidation waits for the sections and holds that may use what it takes away, and for the acknowledgements of
 * clients (client.h) and mirrors (mirror.h); for no other section or hold.
 *
 * Thread rules: any thread, none needs to register. A section belongs to the thread that began it; a hold may be
 * released by another. Sections may nest and several may be open at a time.
 */
#ifndef VIOMMU_DMA_H
#define VIOMMU_DMA_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * An open section; visible so that it can lie on the stack. The fields are the library's own, but for `quiet`.
 *
 * What viommu_section_near() and viommu_section_walk() read is part of the binary interface, because they are compiled
 * into the caller.
 */
struct viommu_section {
	/* The piece that was translated last, so that the next access nearby finds it at once. */
	uint64_t near_iova, near_len;
	uint8_t *near_host;
	uint64_t near_shift; /* from host addresses to guest-physical ones */
	unsigned near_access;
	bool quiet; /* the caller may set it after viommu_dma_begin(): then this section reports no faults */
	/* Of the table: how far left an address is moved so that its highest 9 bits are the index in the root. */
	uint8_t root_shift;
	struct viommu_endpoint *endpoint;
	struct viommu_domain *domain;
	const void *memory, *region; /* the region used last; where there is one, what comes behind `dirty` is valid */
	void *slot;
	void *dirty;      /* a back end's note of what may be written (vhost_user_back.h, dirty_log), or NULL */
	const void *root; /* of the table: the slots of its highest node */
	uint64_t reach;   /* of the table: addresses below are in it */
	uint64_t region_first, region_room; /* guest addresses: the first one, and how many follow it */
	uint8_t *region_host;               /* of the first one */
	void *reserved[4];
};

/* A piece of I/O address space that lies in one piece in this process. */
struct viommu_span {
	struct viommu_iova iova;
	uint64_t len; /* bytes, > 0 */
	void *host;
	struct viommu_gpa gpa; /* of the first byte: for dirty logs and the like */
};

/* A hold. The caller owns the memory of it and of its spans until viommu_dma_release(); fields are the library's. */
struct viommu_hold {
	struct viommu_hold *prev, *next;
	struct viommu_endpoint *endpoint;
	struct viommu_domain *domain;
	const struct viommu_span *spans;
	size_t count;
	uint64_t ticket;
	struct viommu_iova first, last; /* all spans lie between */
	bool cancelled;
	/*
	 * The caller sets it before viommu_dma_hold(); it may be NULL. It is called when an invalidation has waited for
	 * this hold for half its deadline: the I/O is to be ended soon and the hold released. It is called at most
	 * once, from viommu_inval_poll(), and must not call back into the library.
	 */
	void (*cancel)(struct viommu_hold *hold);
	void *reserved[2];
};

/*
 * viommu_dma_begin - open a section for an endpoint's accesses. Always followed by viommu_dma_end().
 *
 * Errors:
 *   -ECANCELED  the endpoint is paused (viommu_endpoint_pause())
 *   -EAGAIN     1024 sections are open in this context: this one is not, do not end it
 */
VIOMMU_PUBLIC int viommu_dma_begin(struct viommu_endpoint *endpoint, struct viommu_section *section);

/* viommu_dma_end - close it: its host addresses are void. */
VIOMMU_PUBLIC void viommu_dma_end(struct viommu_section *section);

/*
 * viommu_dma_translate - find the start of [iova, iova + len) in this process. What is not allowed, not mapped, or not
 * memory is reported as a fault (fault.h).
 *
 * @len: bytes wanted, > 0, no wrap
 * @access: VIOMMU_READ or VIOMMU_WRITE or both, as the device means to use it
 * @out: the longest piece from @iova on, up to @len, that is found in one piece; call again for the rest
 *
 * Errors:
 *   -EFAULT  blocked, not mapped, or mapped to what is not memory
 *   -EACCES  mapped without that right
 *   -EINVAL  len 0, wrap
 *   -EAGAIN  in a back end's sections only (vhost_user_back.h): the front end has been asked, come again later
 */
VIOMMU_PUBLIC int viommu_dma_translate(struct viommu_section *section, struct viommu_iova iova, uint64_t len,
				       unsigned access, struct viommu_span *out);

/*
 * viommu_dma_translate_far - what viommu_dma_translate() calls where viommu_section_near() is false. An embedder does
 * not call it by name.
 *
 * Errors:
 *   as viommu_dma_translate()
 */
VIOMMU_PUBLIC int viommu_dma_translate_far(struct viommu_section *section, struct viommu_iova iova, uint64_t len,
					   unsigned access, struct viommu_span *out);

/*
 * True where the span that the section translated last has all of the answer, which is then in *out. That span stays
 * valid until the section ends, because invalidations wait for that. For a length of 0 the answer is false: len - 1 is
 * then larger than any span.
 */
extern inline __attribute__((gnu_inline, always_inline)) bool viommu_section_near(const struct viommu_section *section,
										  struct viommu_iova iova, uint64_t len,
										  unsigned access,
										  struct viommu_span *out)
{
	const uint64_t offset = iova.value - section->near_iova;

	if (offset >= section->near_len || len - 1 >= section->near_len - offset || (access & ~section->near_access))
		return false;
	out->iova = iova;
	out->len = len;
	out->host = section->near_host + offset;
	out->gpa.value = (uintptr_t)out->host + section->near_shift;
	return true;
}

/* A word of a domain's table (lib/core/table.h). */
enum {
	VIOMMU_WORD_NODE = 1 << 6,   /* it is the address of the slots of a node */
	VIOMMU_WORD_PAGE_SHIFT = 7,  /* enum viommu_access, this far left, where it is one page of memory */
	VIOMMU_WORD_INDEX_BITS = 9,  /* of the address, for each level */
	VIOMMU_WORD_PAGE_SIZE = 4096 /* the bits from here on are a guest address */
};

/*
 * True where the table says that all of the answer lies on one page of the region used last, which is then in *out. The
 * root may have been replaced in the meantime: the old one stays until the section ends, because invalidations wait for
 * that, and all that is below it is what the new one has, or empty.
 */
extern inline __attribute__((gnu_inline, always_inline)) bool viommu_section_walk(const struct viommu_section *section,
										  struct viommu_iova iova, uint64_t len,
										  unsigned access,
										  struct viommu_span *out)
{
	const uint64_t offset = iova.value % VIOMMU_WORD_PAGE_SIZE;
	const uint64_t *slots;
	uint64_t word, ahead, rest;

	if (!section->region || iova.value >= section->reach || access - 1 >= (unsigned)(VIOMMU_READ | VIOMMU_WRITE))
		return false;
	slots = (const uint64_t *)section->root;
	rest = iova.value << section->root_shift;
	for (;;) {
		const uint64_t index = rest >> (64 - VIOMMU_WORD_INDEX_BITS);

		/* Acquire: partner of the release in slot_publish(). */
		word = __atomic_load_n(&slots[index], __ATOMIC_ACQUIRE);
		rest <<= VIOMMU_WORD_INDEX_BITS;
		if (!(word & VIOMMU_WORD_NODE))
			break;
		slots = (const uint64_t *)(uintptr_t)word;
	}
	ahead = (word & -(uint64_t)VIOMMU_WORD_PAGE_SIZE) - section->region_first;
	if (((uint64_t)access << VIOMMU_WORD_PAGE_SHIFT & ~word) || ahead > section->region_room ||
	    len - 1 >= VIOMMU_WORD_PAGE_SIZE - offset)
		return false;
	out->iova = iova;
	out->len = len;
	out->host = section->region_host + ahead + offset;
	out->gpa.value = (uintptr_t)out->host + section->near_shift;
	return true;
}

/*
 * Where the compiler optimises, neither a near hit nor a walk needs a call: a call through the library's table costs as
 * much as the look-up. Elsewhere, and where its address is taken, the exported function is used.
 */
extern inline __attribute__((gnu_inline)) int viommu_dma_translate(struct viommu_section *section,
								   struct viommu_iova iova, uint64_t len,
								   unsigned access, struct viommu_span *out)
{
	if (__builtin_expect(viommu_section_near(section, iova, len, access, out), 1) ||
	    __builtin_expect(viommu_section_walk(section, iova, len, access, out), 1))
		return 0;
	return viommu_dma_translate_far(section, iova, len, access, out);
}

/* A stretch of I/O address space with equal rights that lies in one piece of guest memory. */
struct viommu_extent {
	struct viommu_iova first, last;
	unsigned access; /* VIOMMU_READ, VIOMMU_WRITE */
	struct viommu_gpa gpa;
	void *host;         /* of the first byte; as a span's, void after the section */
	int fd;             /* of the region, -1: none */
	uint64_t fd_offset; /* of the first byte in it */
};

/*
 * viommu_dma_extent - find the extent around an address, for code that hands translations on (client.h). Of an extent
 * that goes further, the part is given that 512 leaves of the page tables make before and behind the address.
 *
 * @access: what the extent must allow; 0: anything that is mapped
 * @report: it counts as an access, with a fault (fault.h) where it is not allowed
 *
 * Errors:
 *   as viommu_dma_translate()
 */
VIOMMU_PUBLIC int viommu_dma_extent(struct viommu_section *section, struct viommu_iova iova, unsigned access,
				    bool report, struct viommu_extent *out);

/*
 * viommu_dma_hold - keep spans of this section usable after its end.
 *
 * This function cannot fail. Invalidations that concern one of the spans wait for viommu_dma_release().
 *
 * @spans: what viommu_dma_translate() gave in this section; the array stays the hold's until release
 * @hold: cleared but for `cancel`
 */
VIOMMU_PUBLIC void viommu_dma_hold(struct viommu_section *section, struct viommu_hold *hold,
				   const struct viommu_span *spans, size_t count);

/* viommu_dma_release - the I/O is over. Any thread, once. */
VIOMMU_PUBLIC void viommu_dma_release(struct viommu_hold *hold);

/*
 * viommu_dma_read / viommu_dma_write - copy out of, or into, guest memory in a section of their own. On an error a part
 * may have been copied (devices stop at the first bad page too).
 *
 * Errors:
 *   as viommu_dma_begin()
 *   as viommu_dma_translate()
 */
VIOMMU_PUBLIC int viommu_dma_read(struct viommu_endpoint *endpoint, struct viommu_iova iova, void *buffer, size_t len);
VIOMMU_PUBLIC int viommu_dma_write(struct viommu_endpoint *endpoint, struct viommu_iova iova, const void *buffer,
				   size_t len);

#ifdef __cplusplus
}
#endif
#endif
