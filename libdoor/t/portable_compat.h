/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * portable_compat.h: compat/door_compat.c, the form of door_compat.h for systems
 * with doors of their own, under names that begin with portable_: so both forms
 * can be tested in one program.
 */
#ifndef PORTABLE_COMPAT_H
#define PORTABLE_COMPAT_H

#include "door_compat.h"

#define door_now_ns portable_now_ns
#define door_openat portable_openat
#define door_handle_open portable_handle_open
#define door_handle_close portable_handle_close
#define door_handle_call portable_handle_call
#define door_attached_by portable_attached_by
#define door_close_received portable_close_received
#define door_hide_procedure portable_hide_procedure
#define door_end_loan portable_end_loan
#define door_async_open portable_async_open
#define door_async_buffer portable_async_buffer
#define door_async_begin portable_async_begin
#define door_async_is_over portable_async_is_over
#define door_async_end portable_async_end
#define door_async_close portable_async_close
#define door_share_arguments portable_share_arguments
#define door_result_buffer portable_result_buffer
#define door_running_calls portable_running_calls
#define door_set_threads portable_set_threads
#define door_take_turns portable_take_turns
#define door_wait_turn portable_wait_turn
#define door_prepare_threads portable_prepare_threads
#define door_prepare_again portable_prepare_again
#define door_ask_load portable_ask_load
#include "../../compat/door_compat.c"
#undef door_now_ns
#undef door_openat
#undef door_handle_open
#undef door_handle_close
#undef door_handle_call
#undef door_attached_by
#undef door_close_received
#undef door_hide_procedure
#undef door_end_loan
#undef door_async_open
#undef door_async_buffer
#undef door_async_begin
#undef door_async_is_over
#undef door_async_end
#undef door_async_close
#undef door_share_arguments
#undef door_result_buffer
#undef door_running_calls
#undef door_set_threads
#undef door_take_turns
#undef door_wait_turn
#undef door_prepare_threads
#undef door_prepare_again
#undef door_ask_load

#endif
