/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * tag.h: the tag at the beginning of a log line, by which docs/messages.md explains the
 * line.  Each line of the module and the supervisor at level warning or above has one, and
 * each tag belongs to one text (scripts/t/messages.t).  A tag that is not used any more is
 * not given to another text.
 *
 *     01..  a request           02..  the configuration
 *     03..  the supervisor, as httpd's parent sees it
 *     04..  an application      05..  the supervisor and the log
 */
#ifndef MOD_DOOR_TAG_H
#define MOD_DOOR_TAG_H

#define DOORNO(number) "DOOR" #number ": "

#endif
