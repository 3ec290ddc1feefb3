/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * wire.h: the messages that mod_door and an application exchange; PROTOCOL.md
 * describes them.  Both sides use this codec.  It allocates nothing, does no
 * I/O, knows neither httpd nor doors, and trusts no byte that it reads.
 *
 * A message is a head, fields, and a body:
 *
 *     struct door_wire_head | field | field | ... | body bytes
 *
 * Threads: a reader or writer belongs to one thread at a time.
 */
#ifndef DOOR_APP_WIRE_H
#define DOOR_APP_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define DOOR_WIRE_MAGIC   0x524f4f44u /* "DOOR" where the low byte is first */
#define DOOR_WIRE_VERSION 1

enum door_wire_kind {
    DOOR_WIRE_ANY = 0, /* for door_wire_read(): a message of any kind */
    DOOR_WIRE_REQUEST,
    DOOR_WIRE_RESPONSE, /* a response, or its beginning */
    DOOR_WIRE_PART,     /* more of a body */
    DOOR_WIRE_END,      /* the end of a response that was begun before */
    DOOR_WIRE_READ,     /* asks for more of the request's body */
    DOOR_WIRE_ASK,      /* asks whether the client is still there */
    DOOR_WIRE_ACK,      /* an answer; status: 0 or an errno value */
    DOOR_WIRE_WHO,      /* asks for the request again, with the response door */
    DOOR_WIRE_BUSY,     /* the request was not run; status says why, or 0: too many run */
    DOOR_WIRE_STATUS,   /* asks the application for its counts; also the answer */
    DOOR_WIRE_WAIT      /* asks httpd to wait for more of the body, or for a descriptor */
};

/* The flags of messages.  PROTOCOL.md says which kinds may have which. */
enum door_wire_flag {
    DOOR_WIRE_MORE = 1,    /* the body does not end here */
    DOOR_WIRE_FLUSH = 2,   /* send this to the client at once */
    DOOR_WIRE_FAILED = 4,  /* the response is not complete and never will be */
    DOOR_WIRE_EXCESS = 8,  /* the handler has written more than its Content-Length */
    DOOR_WIRE_NO_BODY = 16, /* the client gets no more of the response's body */
    DOOR_WIRE_MAYBE_GONE = 32, /* the client has closed its sending side */
    DOOR_WIRE_GONE = 64,       /* the client is gone */
    DOOR_WIRE_NO_WAIT = 128,   /* read only what has arrived already */
    DOOR_WIRE_READABLE = 256   /* a READ would not have to wait */
};

/* Field types; a receiver skips the ones it does not know. */
enum door_wire_type {
    DOOR_WIRE_HEADER = 1,      /* name: value; repeated ones keep their order */
    DOOR_WIRE_METHOD,          /* "GET" */
    DOOR_WIRE_TARGET,          /* the request line's target, unchanged */
    DOOR_WIRE_SCRIPT_NAME,     /* the location's part of the decoded path */
    DOOR_WIRE_PATH_INFO,       /* the rest of the decoded path; both together are r->uri */
    DOOR_WIRE_PATH_TRANSLATED, /* PATH_INFO as a file name */
    DOOR_WIRE_QUERY,           /* without '?'; absent if there was none */
    DOOR_WIRE_PROTOCOL,        /* "HTTP/1.1" */
    DOOR_WIRE_SCHEME,          /* "http" or "https" */
    DOOR_WIRE_SERVER_NAME,
    DOOR_WIRE_SERVER_PORT, /* decimal */
    DOOR_WIRE_SERVER_ADDR, /* the local address of the connection */
    DOOR_WIRE_SERVER_SOFTWARE,
    DOOR_WIRE_SERVER_ADMIN,
    DOOR_WIRE_DOCUMENT_ROOT,
    DOOR_WIRE_SCRIPT_FILENAME,
    DOOR_WIRE_CONTEXT_PREFIX,
    DOOR_WIRE_CONTEXT_DOCUMENT_ROOT,
    DOOR_WIRE_REMOTE_ADDR, /* the user agent's address, after mod_remoteip */
    DOOR_WIRE_REMOTE_PORT, /* decimal */
    DOOR_WIRE_REMOTE_HOST, /* only if httpd has looked it up */
    DOOR_WIRE_REMOTE_USER,
    DOOR_WIRE_REMOTE_IDENT,
    DOOR_WIRE_AUTH_TYPE,
    DOOR_WIRE_ENV,         /* name=value set by SetEnv and other modules */
    DOOR_WIRE_TRAILER,     /* name: value, like headers */
    DOOR_WIRE_DOOR,        /* identifies the caller's response door: DOOR_WIRE_ID_LEN digits */
    DOOR_WIRE_TOKEN,       /* identifies the request there: DOOR_WIRE_ID_LEN digits */
    DOOR_WIRE_FILE_OFFSET, /* decimal, for the descriptor that comes along */
    DOOR_WIRE_FILE_LENGTH, /* decimal; absent: to its end */
    DOOR_WIRE_MAX_CONCURRENT, /* decimal: requests of this door that may run at a time */
    DOOR_WIRE_QUEUE_LENGTH,   /* decimal: how many more may wait */
    DOOR_WIRE_QUEUE_TIMEOUT,  /* decimal, milliseconds: how long they may wait */
    DOOR_WIRE_COUNT,          /* name: decimal, in a STATUS */
    DOOR_WIRE_OWN_STATUS,     /* RESPONSE: the handler itself has set the status 200 */
    DOOR_WIRE_LOG_FIELD,      /* name: value, only for the access log */
    DOOR_WIRE_WAIT_MS,        /* decimal, milliseconds: how long to wait at most; or a question's time */
    DOOR_WIRE_ROLE,           /* this is a question whether a request may pass; also in answers */
    DOOR_WIRE_SERVED,         /* in a result: number of the thread that ran it, and since when */
    DOOR_WIRE_TYPE_END        /* one more than the last */
};

/* The values of DOOR_WIRE_ROLE. */
#define DOOR_WIRE_AUTHENTICATOR  "authenticator"
#define DOOR_WIRE_AUTHORIZER     "authorizer"
#define DOOR_WIRE_ACCESS_CHECKER "access-checker"

/* Hexadecimal digits of the random numbers that identify doors and requests. */
#define DOOR_WIRE_ID_LEN 32

/* The most bytes of body in a PART of the request's body, or in a part of a long response. */
#define DOOR_WIRE_PART_MAX (256 * 1024)

struct door_wire_head { /* 32 bytes, in the machine's byte order */
    uint32_t magic;
    uint16_t version;
    uint16_t kind;        /* enum door_wire_kind */
    uint32_t head_len;    /* bytes of this struct and all fields */
    uint32_t field_count; /* how many fields */
    uint16_t status;      /* HTTP status of a RESPONSE, errno of an ACK, END or BUSY, or 0 */
    uint16_t flags;       /* enum door_wire_flag */
    uint32_t reserved;    /* 0 */
    uint64_t body_len;    /* bytes behind the fields */
};

struct door_wire_field_head { /* 8 bytes; then name, NUL, value, NUL; unaligned */
    uint16_t type;            /* enum door_wire_type */
    uint16_t name_len;        /* bytes, without the NUL; 0 if the type needs no name */
    uint32_t value_len;       /* bytes, without the NUL */
};

/* One field as read.  The strings point into the message and end in NUL. */
struct door_wire_field {
    uint16_t type;
    uint16_t name_len;
    uint32_t value_len;
    const char *name;
    const char *value;
};

/* A message as read, and the position of its next field. */
struct door_wire_reader {
    uint16_t kind;
    uint16_t status;
    uint16_t flags;
    uint64_t body_len;
    const char *body;   /* body_len bytes, not terminated */
    uint32_t remaining; /* fields not yet read */
    const char *next;   /* the next field */
    const char *end;    /* end of the fields */
};

/*
 * Checks the whole message of len bytes at data, with every field, and makes r ready to
 * read its first field.  kind may be DOOR_WIRE_ANY.  data must not change while r is used,
 * so memory that a peer can still write must be copied first.  It need not be aligned.
 * The contents of texts are not checked: a header's name may be no token, its value may
 * contain line ends, a status may be any number.
 *
 * Returns 0, or -1 with errno: EPROTONOSUPPORT the message has another version,
 * EBADMSG it is no complete, well-formed message of this kind.
 */
int door_wire_read(struct door_wire_reader *r, enum door_wire_kind kind, const void *data,
                   size_t len);

/*
 * For a message in memory that a peer can still write.  door_wire_head_len() says how many
 * bytes to copy first: the head and all fields or, if the message is not valid, enough to
 * find that out; at most len.  door_wire_read_copied() then reads that copy at head; of the
 * message at data it uses only the address of the body.
 */
size_t door_wire_head_len(const void *data, size_t len);
int door_wire_read_copied(struct door_wire_reader *r, enum door_wire_kind kind, const void *head,
                          size_t head_len, const void *data, size_t len);

/* Reads the next field.  Returns 1 and sets *field, or returns 0 at the end. */
int door_wire_next(struct door_wire_reader *r, struct door_wire_field *field);

/* A message being written. */
struct door_wire_writer {
    char *buf;            /* belongs to the caller */
    size_t cap;           /* bytes at buf */
    size_t len;           /* bytes that the message needs so far; it may exceed cap;
                             SIZE_MAX: there was a field that no message can hold */
    uint32_t field_count; /* fields so far */
};

/* Begins a message in the cap bytes at buf, which may be NULL if cap is 0. */
void door_wire_begin(struct door_wire_writer *w, void *buf, size_t cap);

/*
 * Appends a field.  If it does not fit, it is counted but not written, so that
 * door_wire_end() can return how much room the message needs.  Name and value
 * must not contain a NUL, because a reader would refuse it; each may be NULL if it
 * is empty.
 */
void door_wire_field(struct door_wire_writer *w, enum door_wire_type type, const char *name,
                     size_t name_len, const char *value, size_t value_len);

/*
 * Completes the head.  body_len bytes of body are to follow the fields.  The kind must
 * allow the flags.  The writer can be used for a new message then.  Returns the bytes of
 * head and fields; if that is more than cap, the buffer was too small and its contents
 * are not valid.  Returns 0 with errno EMSGSIZE if a name or value, or the whole head, is
 * longer than its length field can say.
 */
size_t door_wire_end(struct door_wire_writer *w, enum door_wire_kind kind, unsigned status,
                     unsigned flags, uint64_t body_len);

#endif
