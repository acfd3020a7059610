/* SPDX-License-Identifier: BSD-2-Clause */
/* All of libviommu's public interface. */
#ifndef VIOMMU_VIOMMU_H
#define VIOMMU_VIOMMU_H

#include <viommu/client.h>
#include <viommu/core.h>
#include <viommu/dma.h>
#include <viommu/domain.h>
#include <viommu/event.h>
#include <viommu/fault.h>
#include <viommu/inval.h>
#include <viommu/irq.h>
#include <viommu/mirror.h>
#include <viommu/shared_reader.h>
#include <viommu/shared_writer.h>
#include <viommu/types.h>
#include <viommu/version.h>
#include <viommu/vhost.h>
#include <viommu/vhost_user_back.h>
#include <viommu/vhost_user_front.h>
#include <viommu/virtio.h>
#include <viommu/vtd.h>

#endif
