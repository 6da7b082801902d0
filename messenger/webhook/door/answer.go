package door

import (
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// answer is the answer to a request. It is written in one piece when the handler has
// ended.
type answer struct {
	header http.Header
	status int // 0 until it is said
	body   []byte
	out    []byte
	names  []string
}

// maxKept is how much memory an answer keeps for the next one, in bytes.
const maxKept = 16 << 10

func (a *answer) reset() {
	if cap(a.body)+cap(a.out) > maxKept {
		a.body, a.out = nil, nil
	}
	if a.header == nil {
		a.header = make(http.Header, 8)
	}
	clear(a.header)
	a.status, a.body = 0, a.body[:0]
}

// Header is what the answer's headers will be.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader says the status. Only the first one counts, and none below 200 does.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, b...)
	return len(b), nil
}

// WriteString is Write without a copy.
func (a *answer) WriteString(s string) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, s...)
	return len(s), nil
}

// closing tells whether the handler wants the connection to end.
func (a *answer) closing() bool { return a.header.Get("Connection") == "close" }

// compose returns the answer as it is written. The last one of a connection says that
// it is.
func (a *answer) compose(date string, last bool) []byte {
	a.WriteHeader(http.StatusOK)
	if bodiless := a.status == http.StatusNoContent || a.status == http.StatusNotModified; bodiless {
		a.body = a.body[:0]
	} else {
		if len(a.body) > 0 && len(a.header["Content-Type"]) == 0 {
			a.header.Set("Content-Type", http.DetectContentType(a.body))
		}
		a.header["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	}
	if last {
		a.header.Set("Connection", "close")
	}
	if len(a.header["Date"]) == 0 {
		a.header["Date"] = []string{date}
	}
	out := a.out[:0]
	out = append(out, "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(a.status), 10)
	out = append(out, ' ')
	out = append(out, http.StatusText(a.status)...)
	out = append(out, crlf...)
	a.names = a.names[:0]
	for name := range a.header {
		a.names = append(a.names, name)
	}
	slices.Sort(a.names)
	for _, name := range a.names {
		for _, value := range a.header[name] {
			out = append(out, name...)
			out = append(out, ": "...)
			out = appendValue(out, value)
			out = append(out, crlf...)
		}
	}
	out = append(out, crlf...)
	out = append(out, a.body...)
	a.out = out
	return out
}

// appendValue appends the value of a header. Whatever a handler puts there, a line ends
// where we end it.
func appendValue(out []byte, value string) []byte {
	for i := range len(value) {
		if c := value[i]; c == '\r' || c == '\n' {
			out = append(out, ' ')
		} else {
			out = append(out, c)
		}
	}
	return out
}

// date is the time of day as headers have it, made once a second.
type date struct{ last atomic.Pointer[stamp] }

type stamp struct {
	second int64
	text   string
}

func (d *date) at(now time.Time) string {
	last := d.last.Load()
	if last == nil || last.second != now.Unix() {
		last = &stamp{now.Unix(), now.UTC().Format(http.TimeFormat)}
		d.last.Store(last)
	}
	return last.text
}
