package door_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"usher/messenger/webhook/door"
)

// net/http keeps a connection for half a second after it has refused what came there.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// Bounds of the servers under test.
const (
	headTime  = 5 * time.Second
	readTime  = 15 * time.Second
	writeTime = 60 * time.Second
	idleTime  = 45 * time.Second
)

func options(h http.Handler) door.Options {
	return door.Options{
		Handler: h, ReadHeaderTimeout: headTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		Panicked: func(any, []byte) {}, Now: time.Now,
	}
}

func bare(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime, MaxHeaderBytes: 16 << 10,
		ErrorLog: nil,
	}
}

// house is a server behind a door; net/http gets what the door leaves to it.
type house struct {
	address string
	door    *door.Door
	http    *http.Server
	left    atomic.Int64 // connections to net/http
}

func (h *house) close(tb testing.TB) {
	tb.Helper()
	if err := errors.Join(h.http.Close(), h.door.Wait(context.Background())); err != nil {
		tb.Error(err)
	}
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func open(tb testing.TB, o door.Options) *house {
	tb.Helper()
	l := listen(tb)
	h := &house{address: l.Addr().String(), door: door.New(l, o), http: bare(o.Handler)}
	h.http.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			h.left.Add(1)
		}
	}
	go func() { _ = h.http.Serve(h.door) }()
	return h
}

// mirror answers with what it was asked, as the path says.
var mirror = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/unread" {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("X-Body", fmt.Sprintf("%q %v", body, err))
	}
	w.Header().Set("X-Said", fmt.Sprintf("%s %s %s %s %q %s %d", r.Method, r.URL.Path, r.URL.RawQuery, r.RequestURI, r.Host, r.Proto, r.ContentLength))
	var headers []string
	for name, values := range r.Header {
		headers = append(headers, fmt.Sprintf("%s=%q", name, values))
	}
	slices.Sort(headers)
	w.Header().Set("X-Headers", strings.Join(headers, "; "))
	switch r.URL.Path {
	case "/empty":
	case "/none":
		w.WriteHeader(http.StatusNoContent)
	case "/refused":
		w.Header().Set("Content-Type", "text/plain")
		w.Header()["X-Two"] = []string{"a", "b\r\nX-Three: c"}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "no")
	case "/last":
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, "bye")
	case "/abort":
		panic(http.ErrAbortHandler)
	default:
		_, _ = w.Write([]byte("<p>"))
		_, _ = io.WriteString(w, "hello")
	}
})

func post(path, body string, headers ...string) string {
	head := append([]string{"POST " + path + " HTTP/1.1", "Host: usher.example", fmt.Sprint("Content-Length: ", len(body))}, headers...)
	return strings.Join(head, "\r\n") + "\r\n\r\n" + body
}

// talk says something to a server, all at once, and returns its answers.
func talk(tb testing.TB, address, says string) (answers []string) {
	tb.Helper()
	raw, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
	go func() {
		_, _ = io.WriteString(raw, says) // it may have heard enough before the end
		if tcp, ok := raw.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	}()
	r := bufio.NewReader(raw)
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return answers
		}
		body, err := io.ReadAll(res.Body)
		err = errors.Join(err, res.Body.Close())
		res.Header.Del("Date")
		answers = append(answers, fmt.Sprintf("%s %v %v %q %v", res.Status, res.Close, res.Header, body, err))
	}
}

const chunked = "POST /chunked HTTP/1.1\r\nHost: us\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"

// conversations are what is said to a server; of plain ones nothing is left to net/http.
var conversations = map[string]struct {
	says  string
	plain bool
}{
	"delivery":               {post("/webhook", `{"object":"page"}`, "X-Hub-Signature-256: sha256=00", "Content-Type: application/json", "Accept: */*", "User-Agent: facebookexternalua"), true},
	"several":                {post("/a", "1") + post("/empty", "22") + post("/none", "") + post("/refused", "4444"), true},
	"nothing":                {"", false},
	"unread_body":            {post("/unread", "abc") + post("/webhook", "def"), true},
	"unread_body_breaks_off": {strings.TrimSuffix(post("/unread", "abc"), "bc"), true},
	"long_unread_body":       {post("/unread", strings.Repeat("x", 200<<10)) + post("/webhook", "def"), true},
	"header_twice":           {post("/a", "", "X-A: 1", "x-a: 2", "X-B:3", "X-C:", "X-D: \t 4 \t"), true},
	"odd_names":              {post("/a", "", "content-type: b", "aCCept: c"), true},
	"close":                  {post("/a", "1", "Connection: close") + post("/a", "2"), false},
	"keep_alive":             {post("/a", "1", "Connection: keep-alive") + post("/a", "2"), false},
	"handler_closes":         {post("/last", "1") + post("/a", "2"), true},
	"handler_aborts":         {post("/a", "1") + post("/abort", "1") + post("/a", "2"), true},
	"get":                    {"GET /a HTTP/1.1\r\nHost: us\r\n\r\n", false},
	"get_later":              {post("/a", "1") + "GET /b HTTP/1.1\r\nHost: us\r\n\r\n" + post("/c", "2"), false},
	"http10":                 {"POST /a HTTP/1.0\r\nHost: us\r\nContent-Length: 1\r\n\r\nx", false},
	"http2":                  {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false},
	"query":                  {post("/a?b=c", "1"), false},
	"escaped_path":           {post("/%61", "1"), false},
	"dots":                   {post("/a/../b", "1"), false},
	"no_path":                {post("", "1"), false},
	"whole_url":              {post("http://usher.example/a", "1"), false},
	"chunked":                {chunked + post("/a", "2"), false},
	"chunked_and_length":     {post("/a", "", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n", false},
	"no_length":              {"POST /a HTTP/1.1\r\nHost: us\r\n\r\n", false},
	"two_lengths":            {post("/a", "123", "Content-Length: 2") + post("/b", ""), false},
	"two_equal_lengths":      {post("/a", "123", "Content-Length: 3") + post("/b", ""), false},
	"lengths_in_one":         {"POST /a HTTP/1.1\r\nHost: us\r\nContent-Length: 3, 3\r\n\r\nabc", false},
	"signed_length":          {"POST /a HTTP/1.1\r\nHost: us\r\nContent-Length: +3\r\n\r\nabc", false},
	"negative_length":        {"POST /a HTTP/1.1\r\nHost: us\r\nContent-Length: -3\r\n\r\nabc", false},
	"empty_length":           {"POST /a HTTP/1.1\r\nHost: us\r\nContent-Length: \r\n\r\nabc", false},
	"huge_length":            {"POST /unread HTTP/1.1\r\nHost: us\r\nContent-Length: 99999999999999999999\r\n\r\nabc", false},
	"long_body":              {post("/a", strings.Repeat("x", 256<<10+1)), false},
	"longest_body":           {post("/empty", strings.Repeat("x", 256<<10)) + post("/a", "1"), true},
	"no_host":                {"POST /a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", false},
	"empty_host":             {"POST /a HTTP/1.1\r\nHost: \r\nContent-Length: 1\r\n\r\nx", false},
	"two_hosts":              {post("/a", "1", "Host: other"), false},
	"bad_host":               {"POST /a HTTP/1.1\r\nHost: a/b\r\nContent-Length: 1\r\n\r\nx", false},
	"expects":                {post("/a", "1", "Expect: 100-continue"), false},
	"expects_more":           {post("/a", "1", "Expect: wonders"), false},
	"upgrade":                {post("/a", "1", "Connection: Upgrade", "Upgrade: h2c"), false},
	"space_before_colon":     {post("/a", "1", "X-A : 1"), false},
	"folded":                 {post("/a", "1", "X-A: 1", " 2"), false},
	"no_colon":               {post("/a", "1", "X-A"), false},
	"control_characters":     {post("/a", "1", "X-A: \x01"), false},
	"not_ascii":              {post("/a", "1", "X-A: ä"), false},
	"underscore":             {post("/a", "1", "X_A: 1"), false},
	"bare_newlines":          {"POST /a HTTP/1.1\nHost: us\nContent-Length: 1\n\nx", false},
	"newline_in_a_header":    {post("/a", "1", "X-A: 1\nX-B: 2"), false},
	"return_in_a_header":     {post("/a", "1", "X-A: 1\rX-B: 2"), false},
	"newline_first":          {"\r\n" + post("/a", "1"), false},
	"two_spaces":             {"POST  /a HTTP/1.1\r\nHost: us\r\nContent-Length: 1\r\n\r\nx", false},
	"nonsense":               {"\x16\x03\x01 hello\r\n\r\n", false},
	"head_breaks_off":        {"POST /a HTTP/1.1\r\nHost: us\r\nConte", false},
	"body_breaks_off":        {strings.TrimSuffix(post("/a", "123456"), "56"), true},
	"later_head_breaks_off":  {post("/a", "1") + "POST /a HT", false},
	"later_bytes":            {post("/a", "1") + "POS", true},
	"first_bytes":            {"POS", false},
	"long_head":              {post("/a", "1", "X-A: "+strings.Repeat("a", 5000)) + post("/b", "2"), false},
	"too_long_head":          {post("/a", "1", "X-A: "+strings.Repeat("a", 40<<10)), false},
	"many_headers":           {post("/a", "1", strings.Split(strings.TrimSuffix(strings.Repeat("X-A: 1\n", 40), "\n"), "\n")...), true},
}

// Whatever is said, the answers are those of net/http; and what is of the common form it
// does not see.
func TestAnswersAreThoseOfNetHTTP(t *testing.T) {
	t.Parallel()
	plain := bare(mirror)
	l := listen(t)
	go func() { _ = plain.Serve(l) }()
	t.Cleanup(func() { _ = plain.Close() })
	for name, tt := range conversations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, options(mirror))
			defer h.close(t)
			got, want := talk(t, h.address, tt.says), talk(t, l.Addr().String(), tt.says)
			if !slices.Equal(got, want) {
				t.Errorf("it answers\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if left := h.left.Load(); left > 0 == tt.plain && tt.says != "" {
				t.Errorf("%d connections were left to net/http; is it of the common form: %v", left, tt.plain)
			}
		})
	}
}

// FuzzAnswersAreThoseOfNetHTTP looks for what is understood in another way.
func FuzzAnswersAreThoseOfNetHTTP(f *testing.F) {
	for _, tt := range conversations {
		f.Add(tt.says)
	}
	plain := bare(mirror)
	l := listen(f)
	go func() { _ = plain.Serve(l) }()
	f.Cleanup(func() { _ = plain.Close() })
	h := open(f, options(mirror))
	f.Cleanup(func() { h.close(f) })
	f.Fuzz(func(t *testing.T, says string) {
		if got, want := talk(t, h.address, says), talk(t, l.Addr().String(), says); !slices.Equal(got, want) {
			t.Errorf("%q is answered with\n%s\nwant\n%s", says, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// caller is a client that speaks one request at a time.
type caller struct {
	net.Conn

	r *bufio.Reader
}

func call(tb testing.TB, address string) *caller {
	tb.Helper()
	raw, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = raw.Close() })
	return &caller{raw, bufio.NewReader(raw)}
}

func (c *caller) say(tb testing.TB, what string) {
	tb.Helper()
	if _, err := io.WriteString(c, what); err != nil {
		tb.Fatal(err)
	}
}

// hears returns the status of the next answer, 0 where the connection has ended, and
// whether it is the last one.
func (c *caller) hears(tb testing.TB) (status int, last bool) {
	tb.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, true
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		tb.Error(err)
	}
	return res.StatusCode, res.Close
}

// held is a handler that answers when it is let.
type held struct{ begun, let chan struct{} }

func (h held) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h.begun <- struct{}{}
	<-h.let
	w.WriteHeader(http.StatusOK)
}

// At the end what is under way is answered, and nothing else is waited for.
func TestCloseLetsEndWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	handler := held{make(chan struct{}), make(chan struct{})}
	h := open(t, options(handler))
	resting, asking, mute := call(t, h.address), call(t, h.address), call(t, h.address)
	resting.say(t, post("/a", ""))
	<-handler.begun
	handler.let <- struct{}{}
	if status, last := resting.hears(t); status != http.StatusOK || last {
		t.Fatalf("answered with %d, last: %v", status, last)
	}
	asking.say(t, post("/a", ""))
	<-handler.begun
	if err := h.http.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*caller{"resting": resting, "mute": mute} {
		if status, _ := c.hears(t); status != 0 {
			t.Errorf("the %s one hears %d, want the end", name, status)
		}
	}
	if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", h.address); err == nil {
		t.Error("another one is let in")
	}
	ended := make(chan error)
	go func() { ended <- h.door.Wait(t.Context()) }()
	handler.let <- struct{}{}
	if status, last := asking.hears(t); status != http.StatusOK || !last {
		t.Errorf("what was under way is answered with %d, last: %v, want 200, the last one", status, last)
	}
	if err := <-ended; err != nil {
		t.Errorf("Wait() = %v", err)
	}
}

// What does not end in time is cut off.
func TestWaitCutsOff(t *testing.T) {
	t.Parallel()
	handler := held{make(chan struct{}), make(chan struct{})}
	h := open(t, options(handler))
	asking := call(t, h.address)
	asking.say(t, post("/a", ""))
	<-handler.begun
	ctx, cancel := context.WithCancel(t.Context())
	if err := h.http.Close(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := h.door.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait() = %v, want the context's error", err)
	}
	if status, _ := asking.hears(t); status != 0 {
		t.Errorf("it hears %d, want the end", status)
	}
	handler.let <- struct{}{}
	h.close(t)
}

// A handler that panics ends its connection, and no other.
func TestPanics(t *testing.T) {
	t.Parallel()
	told := make(chan any, 2)
	o := options(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/oops":
			panic("oops")
		case "/abort":
			panic(http.ErrAbortHandler)
		}
	}))
	o.Panicked = func(cause any, stack []byte) {
		if !strings.Contains(string(stack), "TestPanics") {
			t.Errorf("it is told of the stack %s", stack)
		}
		told <- cause
	}
	h := open(t, o)
	defer h.close(t)
	one, two, other := call(t, h.address), call(t, h.address), call(t, h.address)
	for c, path := range map[*caller]string{one: "/oops", two: "/abort"} {
		c.say(t, post(path, ""))
		if status, _ := c.hears(t); status != 0 {
			t.Errorf("%s: it hears %d, want the end", path, status)
		}
	}
	other.say(t, post("/a", ""))
	if status, _ := other.hears(t); status != http.StatusOK {
		t.Errorf("another connection hears %d", status)
	}
	if cause := <-told; cause != "oops" || len(told) > 0 {
		t.Errorf("it is told of %v and %d more, want oops alone", cause, len(told))
	}
}

// pipes is a listener in memory.
type pipes struct {
	conns  chan net.Conn
	faults chan error
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case err := <-p.faults:
		return nil, err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.closed); return nil }
func (*pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Who does not say what he has begun, or anything at all, is waited for as long as by
// net/http.
func TestWaitsAreBounded(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		says    []string
		answers int
		within  [2]time.Duration
	}{
		"nothing":       {nil, 0, [2]time.Duration{headTime, headTime}},
		"head":          {[]string{"POST /a HTT"}, 0, [2]time.Duration{headTime, headTime}},
		"later_head":    {[]string{post("/a", ""), "POST /a HTT"}, 1, [2]time.Duration{headTime, headTime}},
		"body":          {[]string{strings.TrimSuffix(post("/a", "123"), "3")}, 1, [2]time.Duration{readTime, readTime}},
		"later_nothing": {[]string{post("/a", ""), post("/a", "")}, 2, [2]time.Duration{idleTime - 5*time.Second, idleTime}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &pipes{conns: make(chan net.Conn), faults: make(chan error), closed: make(chan struct{})}
				handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
				d := door.New(l, options(handler))
				server := bare(handler)
				go func() { _ = server.Serve(d) }()
				client, conn := net.Pipe()
				l.conns <- conn
				c := &caller{client, bufio.NewReader(client)}
				answers := 0
				for i, says := range tt.says {
					go func() { _, _ = io.WriteString(client, says) }() // it may be cut off
					if i < len(tt.says)-1 {
						if status, _ := c.hears(t); status == http.StatusOK {
							answers++
						}
						time.Sleep(time.Second)
					}
				}
				begun := time.Now()
				for {
					status, last := c.hears(t)
					if status == http.StatusOK {
						answers++
					}
					if last {
						break
					}
				}
				if took := time.Since(begun); took < tt.within[0] || took > tt.within[1] || answers != tt.answers {
					t.Errorf("%d answers, and the end after %v; want %d, and %v", answers, took, tt.answers, tt.within)
				}
				if err := errors.Join(client.Close(), server.Close(), d.Wait(t.Context())); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What fails while connections are accepted is net/http's business.
func TestFaultsOfTheListener(t *testing.T) {
	t.Parallel()
	l := &pipes{conns: make(chan net.Conn), faults: make(chan error, 1), closed: make(chan struct{})}
	d := door.New(l, options(mirror))
	fault := errors.New("too many open files")
	l.faults <- fault
	if _, err := d.Accept(); !errors.Is(err, fault) {
		t.Errorf("Accept() = %v, want %v", err, fault)
	}
	client, conn := net.Pipe()
	l.conns <- conn
	c := &caller{client, bufio.NewReader(client)}
	c.say(t, post("/a", "1"))
	if status, _ := c.hears(t); status != http.StatusOK {
		t.Errorf("the next connection hears %d", status)
	}
	if err := errors.Join(d.Close(), d.Close(), d.Wait(t.Context()), client.Close()); err != nil {
		t.Error(err)
	}
	if _, err := d.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept() after the end = %v", err)
	}
}

// What an exchange costs, beside net/http.
func BenchmarkExchange(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "EVENT_RECEIVED")
	})
	says := post("/webhook", strings.Repeat("x", 400), "X-Hub-Signature-256: sha256="+strings.Repeat("0", 64), "Content-Type: application/json")
	run := func(b *testing.B, address string) {
		b.Helper()
		c := call(b, address)
		b.ReportAllocs()
		for b.Loop() {
			c.say(b, says)
			if status, _ := c.hears(b); status != http.StatusOK {
				b.Fatal(status)
			}
		}
	}
	b.Run("door", func(b *testing.B) {
		h := open(b, options(handler))
		defer h.close(b)
		run(b, h.address)
	})
	b.Run("net_http", func(b *testing.B) {
		l, server := listen(b), bare(handler)
		go func() { _ = server.Serve(l) }()
		defer func() { _ = server.Close() }()
		run(b, l.Addr().String())
	})
}
