package graph

import (
	"bytes"
	"net/http"
)

// readHead reads the head of an answer, status line and headers, if all of it is in b
// and it is like nearly all of them: HTTP/1.1, a final status, a length, and the
// connection stays. It returns how long head and body are, in bytes. Whatever else
// there may be is left to net/http, whose head costs more than the rest of a call.
func (x *exchange) readHead(b []byte) (head, body int, plain bool) {
	const newline, end = "\r\n", "\r\n\r\n"
	head = bytes.Index(b, []byte(end))
	if head < 0 {
		return 0, 0, false
	}
	x.head = append(x.head[:0], b[:head]...)
	first, rest, _ := bytes.Cut(x.head, []byte(newline))
	if !x.readStatus(first) {
		return 0, 0, false
	}
	body = -1
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte(newline))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !toLowerToken(name) || !isText(value) {
			return 0, 0, false
		}
		value = bytes.Trim(value, " \t")
		switch string(name) {
		case "content-length":
			length := decimal(value)
			if body >= 0 || length < 0 {
				return 0, 0, false
			}
			body = length
		case "transfer-encoding":
			return 0, 0, false
		case "connection":
			if !bytes.EqualFold(value, []byte("keep-alive")) {
				return 0, 0, false
			}
		default:
			x.note(name, value)
		}
	}
	return head + len(end), body, body >= 0
}

// readStatus reads a status line.
func (x *exchange) readStatus(line []byte) (plain bool) {
	line, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	status, reason, _ := bytes.Cut(line, []byte(" "))
	x.status = decimal(status)
	return ok && len(status) == 3 && x.status >= 200 && x.status != http.StatusNoContent && x.status != http.StatusNotModified && isText(reason)
}

// note keeps a header that is read.
func (x *exchange) note(name, value []byte) {
	var at int
	switch string(name) {
	case "x-app-usage":
		at = appUsage
	case "x-page-usage":
		at = pageUsage
	case "x-business-use-case-usage":
		at = businessUsage
	case "retry-after":
		at = retryAfter
	default:
		return
	}
	if x.told[at] == nil { // the first counts
		x.told[at] = value
	}
}

// decimal returns a number of at most nine digits; -1 for anything else.
func decimal(b []byte) int {
	if len(b) == 0 || len(b) > 9 {
		return -1
	}
	n := 0
	for _, d := range b {
		if d < '0' || d > '9' {
			return -1
		}
		n = 10*n + int(d-'0')
	}
	return n
}

// toLowerToken makes the letters of a header's name small; it tells whether that is all
// that the name has, but for hyphens and digits.
func toLowerToken(name []byte) bool {
	for i, b := range name {
		switch {
		case 'A' <= b && b <= 'Z':
			name[i] = b + 'a' - 'A'
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '-':
		default:
			return false
		}
	}
	return len(name) > 0
}

// isText tells whether a header may hold b.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
