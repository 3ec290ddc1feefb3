/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgio.h: C++'s streams for FastCGI programs: a buffer for std::istream or std::ostream
 * whose other side is a request's stream.  It is all here, and needs no library beside
 * -ldoor_fcgi.  See fcgiapp.h.
 *
 * With room of its own (the last two arguments, or setbuf()) a buffer can go back by more
 * than one character; without, the request's stream is the buffer.  What is in such room
 * is written when it is full, at a flush, and when the buffer is destroyed: that has to be
 * before the request's end.
 */
#ifndef DOOR_FCGI_FCGIO_H
#define DOOR_FCGI_FCGIO_H

#include <climits>
#include <iostream>

#include "fcgiapp.h"

class fcgi_streambuf : public std::streambuf {
public:
    fcgi_streambuf(FCGX_Stream *stream = 0) { begin(stream, 0, 0); }
    fcgi_streambuf(FCGX_Stream *stream, char *room, int size) { begin(stream, room, size); }
    fcgi_streambuf(char *room, std::streamsize size) { begin(0, room, size); }
    virtual ~fcgi_streambuf() { write_room(); }

    /* What was in its room is dropped. */
    int attach(FCGX_Stream *stream)
    {
        begin(stream, room_, size_);
        return 0;
    }

protected:
    virtual std::streambuf *setbuf(char *room, std::streamsize size)
    {
        begin(stream_, room, size);
        return this;
    }

    /* ---- reading */

    virtual int_type underflow()
    {
        if (size_ == 0)
            return stream_ != 0 ? FCGX_UnGetChar(FCGX_GetChar(stream_), stream_) : end();
        if (gptr() == egptr()) {
            int len = stream_ != 0 ? FCGX_GetStr(room_, limited(size_), stream_) : 0;

            setg(room_, room_, room_ + (len > 0 ? len : 0));
        }
        return gptr() != egptr() ? traits_type::to_int_type(*gptr()) : end();
    }

    virtual int_type uflow()
    {
        if (size_ != 0)
            return std::streambuf::uflow();
        return stream_ != 0 ? FCGX_GetChar(stream_) : end();
    }

    virtual std::streamsize xsgetn(char *text, std::streamsize len)
    {
        std::streamsize got = 0;
        int some;

        if (size_ != 0)
            return std::streambuf::xsgetn(text, len);
        while (stream_ != 0 && got < len &&
               (some = FCGX_GetStr(text + got, limited(len - got), stream_)) > 0)
            got += some;
        return got;
    }

    /* ---- writing */

    virtual int_type overflow(int_type c = traits_type::eof())
    {
        if (write_room() == -1)
            return end();
        if (traits_type::eq_int_type(c, end()))
            return traits_type::not_eof(c);
        return FCGX_PutChar(c, stream_) != EOF ? c : end();
    }

    virtual std::streamsize xsputn(const char *text, std::streamsize len)
    {
        std::streamsize put = 0;

        if (size_ != 0)
            return std::streambuf::xsputn(text, len);
        while (stream_ != 0 && put < len) {
            int some = FCGX_PutStr(text + put, limited(len - put), stream_);

            if (some <= 0)
                break;
            put += some;
        }
        return put;
    }

    virtual int sync()
    {
        return write_room() == -1 || FCGX_FFlush(stream_) != 0 ? -1 : 0;
    }

private:
    FCGX_Stream *stream_; /* or NULL */
    char *room_;          /* the program's */
    std::streamsize size_;

    fcgi_streambuf(const fcgi_streambuf &);
    fcgi_streambuf &operator=(const fcgi_streambuf &);

    static int_type end() { return traits_type::eof(); }
    static int limited(std::streamsize len) { return len < INT_MAX ? (int)len : INT_MAX; }

    /* The room is for either direction: a stream has one. */
    void begin(FCGX_Stream *stream, char *room, std::streamsize size)
    {
        stream_ = stream;
        room_ = room;
        size_ = room != 0 && size > 0 ? size : 0;
        setg(room_, room_, room_);
        setp(room_, room_ + size_);
    }

    /* 0, or -1. */
    int write_room()
    {
        int len = size_ != 0 ? (int)(pptr() - pbase()) : 0;

        if (stream_ == 0)
            return -1;
        if (len > 0 && FCGX_PutStr(pbase(), len, stream_) != len)
            return -1;
        setp(room_, room_ + size_);
        return 0;
    }
};

/* A stream with a buffer of its own. */
class fcgi_istream : public std::istream {
public:
    fcgi_istream(FCGX_Stream *stream = 0) : std::istream(0), buffer_(stream) { init(&buffer_); }
    virtual void attach(FCGX_Stream *stream) { buffer_.attach(stream); }

private:
    fcgi_streambuf buffer_;
};

class fcgi_ostream : public std::ostream {
public:
    fcgi_ostream(FCGX_Stream *stream = 0) : std::ostream(0), buffer_(stream) { init(&buffer_); }
    virtual void attach(FCGX_Stream *stream) { buffer_.attach(stream); }

private:
    fcgi_streambuf buffer_;
};

#endif
