package door

import (
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// maxBody is how long a body of the common form may be, in bytes: with a thousand events
// it is about as long. A longer one is net/http's.
const maxBody = 256 << 10

const crlf = "\r\n"

// headLength returns how long the head at the beginning of b is, with the empty line
// at its end; of one that is not whole, how long b is.
func headLength(b []byte) (n int, whole bool) {
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return i + 4, true
	}
	return len(b), false
}

// readRequest reads a head, if it is of the common form:
//
//	POST /webhook HTTP/1.1
//	Host: usher.example
//	Content-Length: 321
//
// with a path of plain characters and no query, one Host, one Content-Length, and any
// headers that concern the message, not the connection. All else is net/http's.
func readRequest(head []byte) (req *http.Request, plain bool) {
	line, rest, _ := strings.Cut(string(head), crlf) // what is kept are parts of this one copy
	line, post := strings.CutPrefix(line, "POST ")
	path, http11 := strings.CutSuffix(line, " HTTP/1.1")
	if !post || !http11 || !isPath(path) {
		return nil, false
	}
	const usual = 10 // headers
	req = &http.Request{
		Method: http.MethodPost, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: -1, RequestURI: path, Header: make(http.Header, usual),
	}
	values := make([]string, 0, usual)
	for rest != crlf {
		line, after, ended := strings.Cut(rest, crlf)
		name, value, is := strings.Cut(line, ":")
		if value = strings.Trim(value, " \t"); !ended || !is || !isToken(name) || !isText(value) {
			return nil, false
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !readHeader(req, name, value) {
			return nil, false
		}
		if name != "Host" { // which is none any more
			values = append(values, value)
			is := req.Header[name]
			if req.Header[name] = values[len(values)-1 : len(values) : len(values)]; is != nil {
				req.Header[name] = append(is, value)
			}
		}
		rest = after
	}
	req.URL = &url.URL{Path: path}
	return req, req.Host != "" && req.ContentLength >= 0
}

// readHeader reads what a header says of the request; it tells whether that is of the
// common form.
func readHeader(req *http.Request, name, value string) bool {
	switch name {
	case "Host":
		first := req.Host == ""
		req.Host = value
		return first && isHost(value)
	case "Content-Length":
		first := req.ContentLength < 0
		req.ContentLength = length(value)
		return first && req.ContentLength >= 0 && req.ContentLength <= maxBody
	case "Connection", "Expect", "Http2-Settings", "Keep-Alive", "Pragma", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return false
	}
	return true
}

// length reads a Content-Length; it is -1 for what is none, or is too long.
func length(s string) int64 {
	n := int64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || n > maxBody {
			return -1
		}
		n = 10*n + int64(s[i]-'0')
	}
	if s == "" {
		return -1
	}
	return n
}

// isPath tells whether s is a path that means what it says.
func isPath(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '/' && !isAlphanumeric(c) && c != '-' && c != '_' || i > 0 && c == '/' && s[i-1] == '/' {
			return false
		}
	}
	return s != "" && s[0] == '/'
}

// isHost tells whether s is a name or an IPv4 address, with or without a port.
func isHost(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '-' && c != '.' && c != ':' {
			return false
		}
	}
	return s != ""
}

// isToken tells whether s is the name of a header, of the characters that names have.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '-' {
			return false
		}
	}
	return s != ""
}

// isText tells whether s is printable ASCII, spaces and tabs.
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// body is the body of a request.
type body struct {
	c    *conn
	left int64 // bytes
	err  error
}

func (b *body) Read(p []byte) (n int, err error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case b.left == 0:
		return 0, io.EOF
	}
	n, err = b.c.r.Read(p[:min(int64(len(p)), b.left)])
	if b.left -= int64(n); err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	b.err = err
	return n, err
}

// Close is the server's business.
func (*body) Close() error { return nil }

// drain reads what the handler has not, so that the next request can follow.
func (b *body) drain() error {
	for b.left > 0 && b.err == nil {
		n, err := b.c.r.Discard(int(b.left))
		b.left, b.err = b.left-int64(n), err
	}
	return b.err
}
