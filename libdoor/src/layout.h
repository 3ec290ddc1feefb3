/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * layout.h: assertions of how every structure of <door.h> is laid out in memory.
 * They are compiled into the library, and by the tests as C and as C++.
 *
 * The numbers are those of illumos on x86 (usr/src/uts/common/sys/door.h), where
 * 32-bit and 64-bit programs have the same door_desc_t and door_info_t: both are
 * packed to 4 bytes.  Bindings of other languages copy these numbers.  Here they are
 * the same on every processor.
 */
#ifndef LIBDOOR_LAYOUT_H
#define LIBDOOR_LAYOUT_H

#include <assert.h>
#include <stddef.h>

#include <door.h>

#define LAYOUT_SIZE(type, size) static_assert(sizeof(type) == (size), "size of " #type)
#define LAYOUT_ALIGN(type, align)                                                                  \
    static_assert(offsetof(struct align_of_##type, value) == (align), "alignment of " #type)
#define LAYOUT_AT(type, member, offset)                                                            \
    static_assert(offsetof(type, member) == (offset), #member " of " #type)

struct align_of_door_desc_t {
    char before;
    door_desc_t value;
};

struct align_of_door_info_t {
    char before;
    door_info_t value;
};

LAYOUT_SIZE(door_ptr_t, 8);
LAYOUT_SIZE(door_id_t, 8);
LAYOUT_SIZE(door_attr_t, 4);

LAYOUT_SIZE(door_desc_t, 24);
LAYOUT_ALIGN(door_desc_t, 4);
LAYOUT_AT(door_desc_t, d_attributes, 0);
LAYOUT_AT(door_desc_t, d_data, 4);
LAYOUT_AT(door_desc_t, d_data.d_desc.d_descriptor, 4);
LAYOUT_AT(door_desc_t, d_data.d_desc.d_id, 8);
LAYOUT_AT(door_desc_t, d_data.d_resv, 4);

LAYOUT_SIZE(door_info_t, 48);
LAYOUT_ALIGN(door_info_t, 4);
LAYOUT_AT(door_info_t, di_target, 0);
LAYOUT_AT(door_info_t, di_proc, 4);
LAYOUT_AT(door_info_t, di_data, 12);
LAYOUT_AT(door_info_t, di_attributes, 20);
LAYOUT_AT(door_info_t, di_uniquifier, 24);
LAYOUT_AT(door_info_t, di_resv, 32);

LAYOUT_SIZE(door_cred_t, 36);
LAYOUT_AT(door_cred_t, dc_euid, 0);
LAYOUT_AT(door_cred_t, dc_egid, 4);
LAYOUT_AT(door_cred_t, dc_ruid, 8);
LAYOUT_AT(door_cred_t, dc_rgid, 12);
LAYOUT_AT(door_cred_t, dc_pid, 16);
LAYOUT_AT(door_cred_t, dc_resv, 20);

/* Has pointers and sizes, so it has 24 bytes in 32-bit programs, and 48 in others. */
LAYOUT_SIZE(door_arg_t, 6 * sizeof(void *));
LAYOUT_AT(door_arg_t, data_ptr, 0);
LAYOUT_AT(door_arg_t, data_size, sizeof(void *));
LAYOUT_AT(door_arg_t, desc_ptr, 2 * sizeof(void *));
LAYOUT_AT(door_arg_t, desc_num, 3 * sizeof(void *));
LAYOUT_AT(door_arg_t, rbuf, 4 * sizeof(void *));
LAYOUT_AT(door_arg_t, rsize, 5 * sizeof(void *));

#endif
