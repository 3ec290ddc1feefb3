/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * streams.cc: a FastCGI program with C++'s streams, for either library.  What it does is
 * in the query: words, echo, peek, unget, lines, numbers, bytes, closed, attach.
 */
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>

#include <fcgio.h>

static void words(std::istream &in, std::ostream &out)
{
    std::string word;
    int count = 0;

    for (; in >> word; count++)
        out << word << '|';
    out << count << in.eof() << std::endl;
}

static void peek(std::istream &in, std::ostream &out)
{
    int c = in.peek();

    out << c << ' ' << in.get() << ' ' << in.get() << '\n';
}

/* By more than one character only where there is room for that. */
static void unget(std::istream &in, std::ostream &out, int count)
{
    char bytes[4] = "";

    in.read(bytes, 3);
    for (int i = 0; i < count; i++)
        in.unget();
    out << in.good() << ' ' << (char)in.get() << std::flush;
}

static void lines(std::istream &in, std::ostream &out)
{
    std::string line;

    while (std::getline(in, line))
        out << line.size() << ':' << line << "\r\n";
}

static void bytes(std::istream &in, std::ostream &out)
{
    std::string body((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());

    out << body.size() << '\n';
    out.write(body.data(), (std::streamsize)body.size());
}

static void numbers(std::ostream &out)
{
    for (int i = 0; i < 3000; i++)
        out << i << (i % 50 == 49 ? '\n' : ' ');
    out << true << ' ' << 3.25 << ' ' << std::hex << 255;
}

static void answer(const std::string &query, std::istream &in, std::ostream &out, bool has_room)
{
    out << "Content-Type: text/plain\r\nX-Room: " << has_room << "\r\n\r\n";
    if (query == "words")
        words(in, out);
    else if (query == "peek")
        peek(in, out);
    else if (query == "unget")
        unget(in, out, has_room ? 3 : 0);
    else if (query == "lines")
        lines(in, out);
    else if (query == "numbers")
        numbers(out);
    else if (query == "echo")
        out << in.rdbuf();
    else
        bytes(in, out);
    out << std::flush;
}

/* A stream whose other side is closed says so. */
static void write_to_closed(FCGX_Request &request, std::ostream &out)
{
    out << "Content-Type: text/plain\r\n\r\nsome" << std::flush;
    FCGX_FClose(request.out);
    out << "more" << std::flush;
    std::cerr << (out.bad() ? "the stream is bad\n" : "the stream is good\n");
}

int main()
{
    FCGX_Request request;

    if (FCGX_Init() != 0)
        return 1;
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        const char *text = FCGX_GetParam("QUERY_STRING", request.envp);
        std::string query = text != NULL ? text : "";
        bool has_room = query.compare(0, 5, "room-") == 0;
        char in_room[100], out_room[64];
        fcgi_streambuf in_buffer(request.in, has_room ? in_room : NULL, has_room ? sizeof(in_room) : 0);
        fcgi_streambuf out_buffer(request.out, has_room ? out_room : NULL,
                                  has_room ? sizeof(out_room) : 0);
        std::istream in(&in_buffer);
        std::ostream out(&out_buffer);

        if (query == "closed") {
            write_to_closed(request, out);
        } else if (query == "attach") {
            fcgi_istream early;
            fcgi_ostream late(request.out);

            early.attach(request.in);
            late.attach(request.out);
            answer("words", early, late, false);
        } else {
            answer(has_room ? query.substr(5) : query, in, out, has_room);
        }
    }
    return 0;
}
