package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// startGraph serves a Graph API until the test ends.
func startGraph(t *testing.T, answer func([]byte) []byte) *graphServer {
	t.Helper()
	g, err := listenGraph(t.Context(), "127.0.0.1:0", 0, answer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// webhookAt is a hook for what h serves.
func webhookAt(t *testing.T, h http.HandlerFunc) (*hook, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	to, err := newHook(server.URL + "/webhook?a=b")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(to.close)
	return to, server
}

// A real server understands what is posted, keeps the connection, and what it answers
// is understood, however it is framed.
func TestHookPosts(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex // what is sent over two connections is in no order
	peers := map[string]bool{}
	to, _ := webhookAt(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		peers[r.RemoteAddr] = true
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "body" || r.Header.Get("X-Hub-Signature-256") != "sha256=00" || r.RequestURI != "/webhook?a=b" {
			t.Errorf("posted %q to %s, %v, %v", body, r.RequestURI, r.Header, err)
		}
		switch len(peers) {
		case 1:
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, "EVENT_RECEIVED")
			peers["one more"] = true
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "not now")
			http.NewResponseController(w).Flush() //nolint:errcheck // then it is chunked
			peers["and one more"] = true
		default:
			w.Header().Set("Connection", "close")
		}
	})
	for i, want := range []int{200, 503, 200, 200} {
		if status, err := to.post(t.Context(), "sha256=00", []byte("body")); err != nil || status != want {
			t.Fatalf("post %d = %d, %v, want %d", i, status, err, want)
		}
	}
	if len(to.idle) != 0 {
		t.Error("a connection is kept that the server closes")
	}
}

// A server may close a connection while it is idle.
func TestHookPostsAgainOnANewConnection(t *testing.T) {
	t.Parallel()
	var posts atomic.Int64
	to, server := webhookAt(t, func(http.ResponseWriter, *http.Request) { posts.Add(1) })
	for range 2 {
		if status, err := to.post(t.Context(), "", nil); err != nil || status != http.StatusOK {
			t.Fatalf("post = %d, %v", status, err)
		}
		server.CloseClientConnections()
	}
	if n := posts.Load(); n != 2 {
		t.Errorf("%d posts came, want 2", n)
	}
	server.Close()
	if _, err := to.post(t.Context(), "", nil); err == nil {
		t.Error("post to a server that is gone succeeded")
	}
}

func TestHookGivesUp(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"nothing":    "",
		"no_http":    "SSH\n",
		"no_status":  "HTTP/1.1 abc\r\n\r\n",
		"bad_length": "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"cut_off":    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close() //nolint:errcheck // of a test
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = io.ReadFull(conn, make([]byte, 10))
					_, _ = io.WriteString(conn, answer)
					_ = conn.Close()
				}
			}()
			to, err := newHook("http://" + l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if status, err := to.post(t.Context(), "", []byte("0123456789")); err == nil {
				t.Errorf("post = %d, want an error", status)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	t.Cleanup(cancel)
	released := make(chan struct{})
	to, _ := webhookAt(t, func(http.ResponseWriter, *http.Request) { <-released })
	if _, err := to.post(ctx, "", nil); err == nil {
		t.Error("post to a server that hangs succeeded")
	}
	close(released)
	for _, bad := range []string{"", "127.0.0.1:80", "ftp://host/", "http://", "http://%zz"} {
		if _, err := newHook(bad); err == nil || !errors.Is(err, errWire) && !strings.Contains(err.Error(), "parse") {
			t.Errorf("newHook(%q) = %v, want an error", bad, err)
		}
	}
}

// Over https the server must be who it says, as Meta asks of everybody; without a port
// it is the scheme's.
func TestHookOverTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	to, err := newHook(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.post(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("post to a server that nobody vouches for = %v, want its certificate refused", err)
	}
	for url, want := range map[string]string{
		"https://usher.example/webhook": "usher.example:443", "http://usher.example": "usher.example:80", "http://[::1]:7": "[::1]:7",
	} {
		if h, err := newHook(url); err != nil || h.address != want {
			t.Errorf("newHook(%q) = %+v, %v, want the address %s", url, h, err, want)
		}
	}
}
