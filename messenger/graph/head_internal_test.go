package graph

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
)

// usualHead is the head of an answer as Meta writes it.
const usualHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nX-App-Usage: {\"call_count\":28}\r\n" +
	"x-business-use-case-usage:{\"1\":[]}\t\r\nRetry-After: 7\r\nConnection: Keep-Alive\r\nContent-Length: 12\r\n\r\n"

func TestUsualHeadIsPlain(t *testing.T) {
	t.Parallel()
	var x exchange
	head, body, plain := x.readHead([]byte(usualHead + "{\"x\": \"\r\n\r\n\"}"))
	if head != len(usualHead) || body != 12 || !plain || x.status != 200 {
		t.Errorf("readHead = %d, %d, %t with status %d; want %d, 12, true, 200", head, body, plain, x.status, len(usualHead))
	}
	for i, want := range [toldHeaders]string{appUsage: `{"call_count":28}`, businessUsage: `{"1":[]}`, retryAfter: "7"} {
		if got := string(x.told[i]); got != want {
			t.Errorf("header %d is %q, want %q", i, got, want)
		}
	}
}

// What is plain to us, net/http reads in the same way.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		usualHead,
		"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nRetry-After: a\r\nretry-after: b\r\nContent-Length: 002\r\n\r\n",
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length:\r\ncontent-length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, close\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: 1\r\n 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\n Content-Length: 2\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nNothing\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: 2\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\nX: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: 1\n\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: \x7f\xff\r\nContent-Length: 2\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var x exchange
		head, body, plain := x.readHead(b)
		if !plain {
			return
		}
		r := bytes.NewReader(b)
		buffered := bufio.NewReaderSize(r, len(b))
		resp, err := http.ReadResponse(buffered, nil)
		if err != nil {
			t.Fatalf("%q is plain to us; net/http: %v", b, err)
		}
		rest, _ := io.ReadAll(buffered) // which reads from memory
		_ = resp.Body.Close()           // it was read
		if resp.StatusCode != x.status || resp.ContentLength != int64(body) || resp.Close || resp.Proto != "HTTP/1.1" || len(resp.TransferEncoding) > 0 {
			t.Errorf("%q: status %d and length %d; net/http: %+v", b, x.status, body, resp)
		}
		if want := len(b) - len(rest); head != want {
			t.Errorf("%q: the head is %d bytes long, net/http: %d", b, head, want)
		}
		var y exchange
		y.room = len(b)
		resp.Body = http.NoBody
		if err := y.read(resp); err != nil {
			t.Fatal(err)
		}
		for i := range x.told {
			if !bytes.Equal(x.told[i], y.told[i]) {
				t.Errorf("%q: header %d is %q, net/http: %q", b, i, x.told[i], y.told[i])
			}
		}
	})
}
