package graph_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/messenger/graph"
)

// answers is a network whose server answers each request on a connection with text.
func answers(text string) *network {
	n := &network{}
	n.serve = func(conn net.Conn) {
		for buffered := bufio.NewReader(conn); ; {
			r, err := http.ReadRequest(buffered)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body) // what it lacks shows in the next request
			n.requests.Add(1)
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
	return n
}

// ok is an answer of Graph as it may be on the wire.
func ok(t *testing.T, header string) string {
	t.Helper()
	sent := recorded(t, "sent")
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", header, len(sent), sent)
}

func TestTransportReadsAnswers(t *testing.T) {
	t.Parallel()
	sent := recorded(t, "sent")
	hint := "HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("x", 40<<10) + "\r\n\r\n"
	long := func(n int) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n{%s}", n, strings.Repeat(" ", n-2))
	}
	tests := map[string]struct {
		answer string
		want   error
		dials  int32 // of two calls
	}{
		"plain":                      {ok(t, ""), nil, 1},
		"in_chunks":                  {fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(sent), sent), nil, 1},
		"after_hints":                {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok(t, ""), nil, 1},
		"and_hangs_up":               {ok(t, "Connection: close\r\n"), nil, 2},
		"with_more_than_was_asked":   {ok(t, "") + "HTTP/1.1 200 OK\r\n\r\n", nil, 2},
		"of_an_older_version":        {strings.Replace(ok(t, ""), "1.1", "1.0", 1), nil, 2},
		"with_too_long_a_header":     {ok(t, "X-Long: "+strings.Repeat("x", 2<<20)+"\r\n"), graph.ErrUnknownOutcome, 2},
		"of_another_protocol":        {"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", graph.ErrUnknownOutcome, 2},
		"that_changes_the_protocol":  {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", graph.ErrUnknownOutcome, 2},
		"with_folded_headers":        {strings.Replace(ok(t, ""), "Content-Length", "X-Long: a\r\n b\r\nContent-Length", 1), nil, 1},
		"as_long_as_may_be":          {long(1 << 20), nil, 1},
		"with_too_long_a_body":       {long(1<<20 + 1), graph.ErrUnknownOutcome, 2},
		"in_chunks_and_more":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nHTTP", nil, 2},
		"after_long_hints":           {hint + hint + ok(t, ""), nil, 1},
		"that_is_no_http":            {"220 mail.example.com ESMTP\r\n", graph.ErrUnknownOutcome, 2},
		"that_is_cut_off_in_a_chunk": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n", graph.ErrUnknownOutcome, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := answers(tt.answer)
			c := n.client(t)
			for range 2 {
				if err := send(t.Context(), c); tt.want == nil && err != nil {
					t.Fatal(err)
				} else if tt.want != nil {
					means(t, err, tt.want)
				}
			}
			if dials := n.dials.Load(); dials != tt.dials {
				t.Errorf("%d connections for two calls, want %d", dials, tt.dials)
			}
		})
	}
}

// What another server closed while nobody used it costs no call.
func TestClosedConnectionIsNotUsed(t *testing.T) {
	t.Parallel()
	sent := recorded(t, "sent")
	for name, start := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, sent) }))
			defer srv.Close()
			dials := 0
			dial := func(ctx context.Context, network, address string) (net.Conn, error) {
				dials++
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				return conn, err
			}
			var trusted *x509.CertPool
			if cert := srv.Certificate(); cert != nil {
				trusted = x509.NewCertPool()
				trusted.AddCert(cert)
			}
			c := clientOf(t, graph.Options{BaseURL: srv.URL}).Over(t, dial, trusted)
			for range 3 {
				for range 2 {
					if err := send(t.Context(), c); err != nil {
						t.Fatal(err)
					}
				}
				srv.CloseClientConnections()
			}
			if dials != 3 {
				t.Errorf("%d connections, want 3: one each time the server had hung up", dials)
			}
		})
	}
}

// A connection that was idle for long is not used: who knows what is between.
func TestIdleConnectionIsLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := answers(ok(t, ""))
		c := n.client(t)
		for i, wait := range []time.Duration{0, 49 * time.Second, 51 * time.Second, 49 * time.Second} {
			time.Sleep(wait)
			if err := send(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if want, dials := int32(1+i/2), n.dials.Load(); dials != want {
				t.Errorf("after %v: %d connections so far, want %d", wait, dials, want)
			}
		}
	})
}

// What one answer told is not what the next one tells.
func TestAnswersDoNotMix(t *testing.T) {
	t.Parallel()
	limit := recorded(t, "limit_app")
	answers := []string{
		fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n%s", len(limit), limit),
		fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s", len(limit), limit),
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
	}
	c := clientOf(t, graph.Options{BaseURL: "http://localhost"}).Over(t, (&network{serve: func(conn net.Conn) {
		buffered := bufio.NewReader(conn)
		for _, answer := range answers {
			r, err := http.ReadRequest(buffered)
			if err != nil {
				t.Errorf("request: %v", err)
				return
			}
			if n, err := io.Copy(io.Discard, r.Body); (n > 0) != (r.Method == http.MethodPost) || err != nil {
				t.Errorf("%s with a body of %d bytes: %v", r.Method, n, err)
			}
			_, _ = io.WriteString(conn, answer)
		}
	}}).dial, nil)
	for _, want := range []time.Duration{7 * time.Second, 0} {
		var e *graph.Error
		if err := send(t.Context(), c); !errors.As(err, &e) || e.RetryAfter != want {
			t.Errorf("error = %v, want one that asks to wait %v", err, want)
		}
	}
	if o, err := c.Owner(t.Context(), ada); !o.Idle || err != nil {
		t.Errorf("Owner = %+v, %v, want idle", o, err)
	}
	if mid, err := c.Send(t.Context(), ada, graph.Message{Text: "hello"}); mid != "" || err != nil {
		t.Errorf("Send = %q, %v, want no mid: the answer tells none", mid, err)
	}
}

// Calls that are made at the same time share memory, but nothing of what is in it.
func TestCallsDoNotMix(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var said struct {
			Message struct {
				Text string `json:"text"`
			} `json:"message"`
		}
		if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
			t.Errorf("request: %v", err)
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"message_id": said.Message.Text})
	}))
	t.Cleanup(srv.Close)
	for name, transport := range map[string]http.RoundTripper{"own": nil, "net_http": srv.Client().Transport} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clientOf(t, graph.Options{BaseURL: srv.URL, Transport: transport})
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					for j := range 50 {
						text := strings.Repeat(fmt.Sprintf("%d.%d ", i, j), 1+j*j/20)
						if mid, err := c.Send(t.Context(), ada, graph.Message{Text: text}); err != nil || string(mid) != text {
							t.Errorf("Send = %q, %v, want %q", mid, err, text)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// Where the environment names a proxy, calls go through it. It is looked at once in the
// life of a process, so that this takes one of its own.
func TestProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	if os.Getenv("HTTPS_PROXY") == "http://"+os.Getenv("TEST_PROXY") {
		if err := send(t.Context(), clientOf(t, graph.Options{})); !errors.Is(err, graph.ErrTransient) {
			t.Errorf("error = %v, want one of the proxy's", err)
		}
		return
	}
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.RequestURI
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	self.Env = append(os.Environ(), "HTTPS_PROXY="+proxy.URL, "NO_PROXY=", "TEST_PROXY="+strings.TrimPrefix(proxy.URL, "http://"))
	if out, err := self.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	select {
	case got := <-asked:
		if want := "CONNECT graph.facebook.com:443"; got != want {
			t.Errorf("the proxy was asked for %q, want %q", got, want)
		}
	default:
		t.Error("the proxy was not asked")
	}
}
