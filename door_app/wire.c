/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * wire.c: the codec of wire.h.  check_fields() checks all fields in one place, and
 * after that door_wire_next() only steps over fields that are known to be valid.
 * Lengths are compared with the bytes that are left, and never added to a position
 * first, so no sum can overflow.  This file knows nothing of HTTP.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "wire.h"

static_assert(sizeof(struct door_wire_head) == 32, "the head is 32 bytes on the wire");
static_assert(sizeof(struct door_wire_field_head) == 8, "a field's head is 8 bytes on the wire");

/* One less than the length field can say, so that SIZE_MAX exceeds it on all systems. */
#define HEAD_LEN_MAX (UINT32_MAX - 1)

static int fail(int error)
{
    errno = error;
    return -1;
}

/* Whether a text of len bytes is at text, with a NUL behind it and none inside. */
static int is_text(const char *text, size_t len, size_t available)
{
    return available > len && memchr(text, '\0', len + 1) == text + len;
}

/* The size of the field at next, or 0 if it is not well-formed. */
static size_t field_size(const char *next, size_t available)
{
    struct door_wire_field_head head;
    const char *name = next + sizeof(head);

    if (available < sizeof(head))
        return 0;
    memcpy(&head, next, sizeof(head));
    available -= sizeof(head);
    if (!is_text(name, head.name_len, available))
        return 0;
    available -= (size_t)head.name_len + 1;
    if (!is_text(name + head.name_len + 1, head.value_len, available))
        return 0;
    return sizeof(head) + head.name_len + 1 + head.value_len + 1;
}

static int check_fields(const char *next, const char *end, uint32_t field_count)
{
    for (; field_count > 0; field_count--) {
        size_t size = field_size(next, (size_t)(end - next));

        if (size == 0)
            return fail(EBADMSG);
        next += size;
    }
    return next == end ? 0 : fail(EBADMSG);
}

/* In every version, magic and version have the same place at the beginning. */
static int check_version(const void *data, size_t len)
{
    struct {
        uint32_t magic;
        uint16_t version;
    } start;

    if (data == NULL || len < sizeof(start))
        return fail(EBADMSG);
    memcpy(&start, data, sizeof(start));
    if (start.magic != DOOR_WIRE_MAGIC)
        return fail(EBADMSG);
    return start.version == DOOR_WIRE_VERSION ? 0 : fail(EPROTONOSUPPORT);
}

/* The flags that a message of each kind may have, and whether it has a status. */
static const struct {
    uint16_t flags;
    uint16_t has_status;
} kinds[] = {
    [DOOR_WIRE_REQUEST] = {DOOR_WIRE_MORE, 0},
    [DOOR_WIRE_RESPONSE] = {DOOR_WIRE_FLUSH | DOOR_WIRE_EXCESS, 1},
    [DOOR_WIRE_PART] = {DOOR_WIRE_MORE | DOOR_WIRE_FLUSH, 0},
    [DOOR_WIRE_END] = {DOOR_WIRE_FAILED | DOOR_WIRE_EXCESS, 1},
    [DOOR_WIRE_READ] = {DOOR_WIRE_NO_WAIT, 0},
    [DOOR_WIRE_ASK] = {0, 0},
    [DOOR_WIRE_ACK] = {DOOR_WIRE_NO_BODY | DOOR_WIRE_MAYBE_GONE | DOOR_WIRE_GONE |
                           DOOR_WIRE_READABLE,
                       1},
    [DOOR_WIRE_WHO] = {0, 0},
    [DOOR_WIRE_BUSY] = {0, 1},
    [DOOR_WIRE_STATUS] = {0, 0},
    [DOOR_WIRE_WAIT] = {0, 0},
};

static int check_kind(const struct door_wire_head *head, enum door_wire_kind kind)
{
    if (head->kind == DOOR_WIRE_ANY || head->kind >= sizeof(kinds) / sizeof(kinds[0]))
        return fail(EBADMSG);
    if (kind != DOOR_WIRE_ANY && head->kind != kind)
        return fail(EBADMSG);
    if ((head->flags & ~kinds[head->kind].flags) != 0 || head->reserved != 0)
        return fail(EBADMSG);
    return head->status == 0 || kinds[head->kind].has_status ? 0 : fail(EBADMSG);
}

size_t door_wire_head_len(const void *data, size_t len)
{
    uint32_t head_len;

    if (data == NULL || len < sizeof(struct door_wire_head))
        return data == NULL ? 0 : len;
    memcpy(&head_len, (const char *)data + offsetof(struct door_wire_head, head_len),
           sizeof(head_len));
    return head_len >= sizeof(struct door_wire_head) && head_len <= len
               ? head_len
               : sizeof(struct door_wire_head);
}

int door_wire_read_copied(struct door_wire_reader *r, enum door_wire_kind kind, const void *copy,
                          size_t head_len, const void *data, size_t len)
{
    struct door_wire_head head;
    const char *bytes = copy;

    if (check_version(copy, head_len) == -1)
        return -1;
    if (head_len < sizeof(head))
        return fail(EBADMSG);
    memcpy(&head, bytes, sizeof(head));
    if (check_kind(&head, kind) == -1)
        return -1;
    if (head.head_len != head_len || head.body_len != len - head_len)
        return fail(EBADMSG);
    r->kind = head.kind;
    r->status = head.status;
    r->flags = head.flags;
    r->body_len = head.body_len;
    r->body = (const char *)data + head_len;
    r->remaining = head.field_count;
    r->next = bytes + sizeof(head);
    r->end = bytes + head_len;
    return check_fields(r->next, r->end, r->remaining);
}

int door_wire_read(struct door_wire_reader *r, enum door_wire_kind kind, const void *data,
                   size_t len)
{
    return door_wire_read_copied(r, kind, data, door_wire_head_len(data, len), data, len);
}

int door_wire_next(struct door_wire_reader *r, struct door_wire_field *field)
{
    struct door_wire_field_head head;

    if (r->remaining == 0)
        return 0;
    memcpy(&head, r->next, sizeof(head));
    field->type = head.type;
    field->name_len = head.name_len;
    field->value_len = head.value_len;
    field->name = r->next + sizeof(head);
    field->value = field->name + head.name_len + 1;
    r->next = field->value + head.value_len + 1;
    r->remaining--;
    return 1;
}

void door_wire_begin(struct door_wire_writer *w, void *buf, size_t cap)
{
    w->buf = buf;
    w->cap = cap;
    w->len = sizeof(struct door_wire_head);
    w->field_count = 0;
}

static char *put(char *to, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(to, bytes, len);
    return to + len;
}

void door_wire_field(struct door_wire_writer *w, enum door_wire_type type, const char *name,
                     size_t name_len, const char *value, size_t value_len)
{
    struct door_wire_field_head head;
    uint64_t size = sizeof(head) + (uint64_t)name_len + 1 + (uint64_t)value_len + 1;
    char *to;

    /* Each part is checked first, so that no sum can overflow. */
    if (name_len > UINT16_MAX || value_len >= HEAD_LEN_MAX || w->len >= HEAD_LEN_MAX ||
        size > HEAD_LEN_MAX - w->len) {
        w->len = SIZE_MAX;
        return;
    }
    if (w->len + size <= w->cap) {
        head.type = (uint16_t)type;
        head.name_len = (uint16_t)name_len;
        head.value_len = (uint32_t)value_len;
        to = put(w->buf + w->len, &head, sizeof(head));
        to = put(to, name, name_len);
        *to++ = '\0';
        to = put(to, value, value_len);
        *to = '\0';
    }
    w->len += (size_t)size;
    w->field_count++;
}

size_t door_wire_end(struct door_wire_writer *w, enum door_wire_kind kind, unsigned status,
                     unsigned flags, uint64_t body_len)
{
    struct door_wire_head head = {
        .magic = DOOR_WIRE_MAGIC,
        .version = DOOR_WIRE_VERSION,
        .kind = (uint16_t)kind,
        .head_len = (uint32_t)w->len,
        .field_count = w->field_count,
        .status = (uint16_t)status,
        .flags = (uint16_t)flags,
        .body_len = body_len,
    };

    if (w->len > HEAD_LEN_MAX) {
        errno = EMSGSIZE;
        return 0;
    }
    if (w->len <= w->cap)
        memcpy(w->buf, &head, sizeof(head));
    return w->len;
}
