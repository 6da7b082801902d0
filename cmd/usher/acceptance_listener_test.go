package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"usher/handover/storetest/redistest"
	"usher/messenger"
	"usher/messenger/simulator"
)

// What the world outside reaches.
func TestPublicListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newRecorder(t).url)
	w.env["USHER_PRIVATE_TOKEN"] = "operators-only"
	r := w.serve(t)
	const verify = "/webhook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
	tests := map[string]struct {
		url    string
		header http.Header
		status int
		says   string
	}{
		"verify":                  {r.url + verify + testVerify, nil, http.StatusOK, "1158201444"},
		"verify_with_wrong_token": {r.url + verify + "guessed", nil, http.StatusForbidden, "Forbidden"},
		"healthz":                 {r.url + "/healthz", nil, http.StatusOK, `{"status":"ok"}` + "\n"},
		"readyz":                  {r.url + "/readyz", nil, http.StatusOK, `{"status":"ok"}` + "\n"},
		"readyz_verbose": {
			r.url + "/readyz?verbose", nil, http.StatusOK,
			`{"status":"ok","checks":[{"name":"redis","status":"ok"},{"name":"store","status":"ok"}]}` + "\n",
		},
		"metrics_need_the_token": {r.private + "/metrics", nil, http.StatusUnauthorized, ""},
		"no_metrics_in_public":   {r.url + "/metrics", nil, http.StatusNotFound, ""},
		"no_profiles_in_public":  {r.url + "/debug/pprof/cmdline", nil, http.StatusNotFound, ""},
		"pages": {
			r.private + "/pages",
			http.Header{"Authorization": {"Bearer operators-only"}},
			http.StatusOK,
			`{"pages":[{"page":"` + testPage + `","name":"My Page","state":"open","waiting":0}],"deliveries":[{"page":"` + testPage + `"`,
		},
		"pages_need_the_token":    {r.private + "/pages", nil, http.StatusUnauthorized, ""},
		"no_pages_in_public":      {r.url + "/pages", nil, http.StatusNotFound, ""},
		"profiles_need_the_token": {r.private + "/debug/pprof/cmdline", nil, http.StatusUnauthorized, ""},
		"profiles_and_wrong_token": {
			r.private + "/debug/pprof/cmdline", http.Header{"Authorization": {"Bearer guessed"}}, http.StatusUnauthorized, "",
		},
		"profiles": {r.private + "/debug/pprof/cmdline", http.Header{"Authorization": {"Bearer operators-only"}}, http.StatusOK, os.Args[0]},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := get(t, tt.url, tt.header)
			if status != tt.status || !strings.HasPrefix(body, tt.says) {
				t.Errorf("GET %s is answered %d %q, want %d %q", tt.url, status, body, tt.status, tt.says)
			}
		})
	}
}

// A Page that is not subscribed to all is subscribed by usher serve.
func TestSubscriptionsAreSetRight(t *testing.T) {
	t.Parallel()
	meta, graphURL := newTestMeta(t, simulator.Options{Fields: []string{"messages", "message_reads"}})
	w := newWorld(t, graphURL)
	r := w.serve(t)
	eventually(t, "the Page is subscribed to all, and to what it was", func() bool {
		is, _ := meta.Subscribed(testApp)
		return len(without(fields, is)) == 0 && slices.Contains(is, "message_reads")
	})
	meta.ListenAt(r.url + "/webhook")
	must(t)(meta.Customer("7000000000000001").Says("hello"))
	eventually(t, "a delivery is noted", func() bool {
		_, body := get(t, r.private+"/pages", nil)
		return strings.Contains(body, `"delivered":`) && strings.Contains(body, `"subscribed":`)
	})
	out := w.usher(t, "check", "--live")
	for _, want := range []string{", deliveries: the last came 1m ago\n", ", subscriptions: all there\n"} {
		if want = "✔ Page " + testPage + " (My Page)" + want; !strings.Contains(out, want) {
			t.Errorf("usher check --live lacks %q:\n%s", want, out)
		}
	}
	_, figures := get(t, r.private+"/metrics", nil)
	if want := `usher_delivery_watch_total{page="` + testPage + `",saw="resubscribed"} 1` + "\n"; !strings.Contains(figures, want) {
		t.Errorf("/metrics lacks %q", want)
	}
}

// A Page of which Meta takes no calls is told of, and Meta is not sent away for it.
func TestPageThatIsHeldBack(t *testing.T) {
	t.Parallel()
	w := newMetaWorld(t)
	w.meta.FailNext(simulator.EdgeMessages, simulator.Failure{Code: 80006, For: time.Hour})
	must(t)(w.meta.Customer("7000000000000001").Says("hello"))
	var told struct {
		Pages []struct {
			State, Reason string
			Until         time.Time
			Waiting       int
		}
	}
	eventually(t, "the Page is limited, and the answer waits", func() bool {
		_, body := get(t, w.private+"/pages", nil)
		if err := json.Unmarshal([]byte(body), &told); err != nil || len(told.Pages) != 1 {
			t.Fatalf("GET /pages is answered %q, %v", body, err)
		}
		return told.Pages[0].State == "limited" && told.Pages[0].Waiting == 1
	})
	if p := told.Pages[0]; p.Until.IsZero() || !strings.Contains(p.Reason, "code 80006") {
		t.Errorf("GET /pages tells %+v, want until when, and why", p)
	}
	if status, body := get(t, w.url+"/readyz", nil); status != http.StatusOK {
		t.Errorf("/readyz answers %d %s, want 200", status, body)
	}
	out := w.usher(t, "check", "--live")
	if want := "? Page " + testPage + " (My Page), calls: Meta takes no more for now, and all wait for another "; !strings.Contains(out, want) || !strings.Contains(out, "code 80006") {
		t.Errorf("usher check --live lacks %q:\n%s", want, out)
	}
}

// A delivery over 8 MiB is refused, one just below is not, both signed.
func TestLongDelivery(t *testing.T) {
	t.Parallel()
	graph := newRecorder(t)
	w := newWorld(t, graph.url)
	r := w.serve(t)
	const psid = "7000000000000001"
	body := live(says(psid, "m_1", "hello"))
	const limit = 8 << 20
	for length, want := range map[int]int{limit: http.StatusOK, limit + 1: http.StatusRequestEntityTooLarge} {
		long := append(bytes.Clone(body), bytes.Repeat([]byte(" "), length-len(body))...)
		if status := r.post(t, long); status != want {
			t.Errorf("%d bytes are answered %d, want %d", length, status, want)
		}
	}
	w.settled(t)
	row{T: t, world: w, graph: graph}.want(psid, sawGreeting)
}

// While Redis is down nothing is acknowledged, and the reason stands in /readyz.
// Once it is back, what Meta delivers again is answered, once.
func TestRedisStops(t *testing.T) {
	t.Parallel()
	graph := newRecorder(t)
	store := startStopper(t)
	w := newWorldOn(t, store.addr, graph.url)
	r := w.serve(t)
	const psid = "7000000000000001"
	first, second := live(says(psid, "m_1", "hello")), live(says(psid, "m_2", "opening hours"))
	if status := r.post(t, first); status != http.StatusOK {
		t.Fatalf("the webhook answers %d, want 200", status)
	}
	w.settled(t)

	store.stop(t)
	if status := r.post(t, second); status != http.StatusServiceUnavailable {
		t.Errorf("without Redis the webhook answers %d, want 503", status)
	}
	if status, body := get(t, r.url+"/readyz", nil); status != http.StatusServiceUnavailable || !strings.Contains(body, "Redis does not answer") {
		t.Errorf("without Redis /readyz answers %d %s, want 503 and the reason", status, body)
	}
	if _, body := get(t, r.url+"/readyz?verbose", nil); !strings.Contains(body, `{"name":"redis","status":"failed","reason":"Redis does not answer"},{"name":"store","status":"unknown"}`) {
		t.Errorf("without Redis /readyz?verbose answers %s", body)
	}
	if status, body := get(t, r.private+"/metrics", nil); status != http.StatusOK || !strings.Contains(body, "\nusher_redis_up 0\n") {
		t.Errorf("without Redis /metrics answers %d, want that Redis is down:\n%s", status, body)
	}
	if status, _ := get(t, r.url+"/healthz", nil); status != http.StatusOK {
		t.Errorf("without Redis /healthz answers %d, want 200: a restart would not help", status)
	}

	store.start(t)
	eventually(t, "the delivery is accepted again", func() bool { return r.post(t, second) == http.StatusOK })
	if status := r.post(t, second); status != http.StatusOK {
		t.Errorf("the delivery, repeated, is answered %d, want 200", status)
	}
	if status := r.post(t, first); status != http.StatusOK {
		t.Errorf("the first delivery, repeated, is answered %d, want 200", status)
	}
	w.settled(t)
	row{T: t, world: w, graph: graph}.want(psid, sawGreeting, sawHours)
	if status, body := get(t, r.url+"/readyz", nil); status != http.StatusOK {
		t.Errorf("with Redis back /readyz answers %d %s, want 200", status, body)
	}
}

// A Redis that answers and takes no writes is not ready for deliveries, and one that
// holds another installation neither.
func TestRedisRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newRecorder(t).url)
	r := w.serve(t)
	ready := func(want int, says string) {
		t.Helper()
		if status, body := get(t, r.url+"/readyz?verbose", nil); status != want || !strings.Contains(body, says) {
			t.Errorf("/readyz?verbose answers %d %s, want %d and %s", status, body, want, says)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ready(http.StatusOK, `"status":"ok"`)
	must(w.rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
	ready(http.StatusServiceUnavailable, `{"name":"redis","status":"ok"},{"name":"store","status":"failed","reason":"Redis refuses to store"}`)
	if status := r.post(t, live(says("7000000000000001", "m_1", "hello"))); status != http.StatusServiceUnavailable {
		t.Errorf("a delivery is answered %d, want 503", status)
	}
	must(w.rdb.ConfigSet(t.Context(), "maxmemory", "0").Err())
	ready(http.StatusOK, `"status":"ok"`)
	must(w.rdb.HSet(t.Context(), "usher:install", "partitions", 32).Err())
	ready(http.StatusServiceUnavailable, `"reason":"Redis holds another installation"`)
	must(w.rdb.HSet(t.Context(), "usher:install", "partitions", 64).Err())
}

// stopper is a Redis that can be stopped and started again with what it had.
type stopper struct {
	addr, dir string
	again     *osexec.Cmd
}

func startStopper(t *testing.T) *stopper {
	t.Helper()
	s := &stopper{dir: t.TempDir()}
	t.Cleanup(func() { // after who uses it
		if s.again != nil {
			_ = s.again.Process.Kill() // it may have ended by itself
			_ = s.again.Wait()
		}
	})
	s.addr = redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--dir", s.dir)
	return s
}

func (s *stopper) stop(t *testing.T) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
	defer c.Close()                                       //nolint:errcheck // its server is gone
	if err := c.Shutdown(t.Context()).Err(); err != nil { // the end of the connection is its answer
		t.Fatal(err)
	}
	eventually(t, "Redis has stopped", func() bool { return c.Ping(t.Context()).Err() != nil })
}

func (s *stopper) start(t *testing.T) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.again = osexec.CommandContext(context.WithoutCancel(t.Context()), redistest.Servers()[0], "--bind", "127.0.0.1", "--port", port,
		"--dir", s.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	if err := s.again.Start(); err != nil {
		t.Fatal(err)
	}
}

// Who dribbles a request does not keep the program from stopping, nor make it fail.
func TestStopCutsOffWhoDribbles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newRecorder(t).url)
	w.env["USHER_STOP_TIMEOUT"] = "1s"
	r := w.serve(t)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it was cut off
	body := live(says("7000000000000001", "m_1", "hello"))
	request := fmt.Sprintf("POST /webhook HTTP/1.1\r\nHost: usher\r\nX-Hub-Signature-256: %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n",
		signed(body).Get("X-Hub-Signature-256"), len(body))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n') // the handler reads the body
	if err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the request is met with %q, %v, want 100 Continue", line, err)
	}
	if code := r.stop(); code != exitOK {
		t.Errorf("usher serve exits %d, want 0\n%s", code, r.logs)
	}
}

// What net/http complains of is for who debugs.
func TestListenersComplainAtDebug(t *testing.T) {
	t.Parallel()
	for level, want := range map[zerolog.Level]string{
		zerolog.InfoLevel:  "",
		zerolog.DebugLevel: `{"level":"debug","says":"http: TLS handshake error","message":"Listener complained"}` + "\n",
	} {
		var logs notebook
		stdLog(zerolog.New(&logs).Level(level)).Print("http: TLS handshake error\n")
		if got := logs.String(); got != want {
			t.Errorf("at level %v the log is %q, want %q", level, got, want)
		}
	}
}

// build builds the program as it is shipped, and returns its path.
func build(t *testing.T) string {
	t.Helper()
	if _, err := osexec.LookPath("go"); err != nil {
		t.Skip("no go on PATH to build the program with")
	}
	bin := filepath.Join(t.TempDir(), "usher")
	cmd := osexec.CommandContext(t.Context(), "go", "build", "-o", bin, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// child runs the program as a process of its own, which the test stops.
func (w *world) child(t *testing.T, bin string) (*replica, *osexec.Cmd) {
	t.Helper()
	r := &replica{logs: &notebook{}}
	cmd := osexec.CommandContext(context.WithoutCancel(t.Context()), bin, "serve", "--config", w.config)
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "USHER_") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	for name, value := range w.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stderr = r.logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended by itself
	r.awaitUp(t)
	return r, cmd
}

// A SIGTERM under load ends the program cleanly and soon. What it acknowledged is
// answered, once, by whoever comes next.
func TestSIGTERMUnderLoad(t *testing.T) {
	t.Parallel()
	graph := newRecorder(t)
	w := newWorld(t, graph.url)
	bin := build(t)
	r, cmd := w.child(t, bin)

	// The first calls are held until the program stops, so that some are under way.
	answer := make(chan struct{})
	release := sync.OnceFunc(func() { close(answer) })
	defer release()
	psid := func(n int64) messenger.PSID { return messenger.PSID(strconv.FormatInt(7000000000001000+n, 10)) }
	const held = 8
	for n := range int64(held) {
		graph.fail(psid(n), fault{hold: answer})
	}
	// Customers write until nobody accepts what they write.
	var customers, accepted atomic.Int64
	var acknowledged sync.Map
	var posts sync.WaitGroup
	for range 4 {
		posts.Go(func() {
			for {
				n := customers.Add(1) - 1
				body := live(says(psid(n), "m_"+strconv.FormatInt(n, 10), "hello"))
				status, err := deliver(t.Context(), r.url, body, signed(body))
				if err != nil {
					return
				}
				if status == http.StatusOK {
					acknowledged.Store(n, true)
					accepted.Add(1)
				}
			}
		})
	}
	eventually(t, "there is load, and calls are under way", func() bool { return accepted.Load() > 100 && len(graph.of(psid(0))) > 0 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the program stops", func() bool { return strings.Contains(r.logs.String(), "Stopping") })
	release()
	posts.Wait()
	if err := wait(t, cmd); err != nil {
		t.Errorf("after SIGTERM the program ends with %v, want exit code 0\n%s", err, r.logs)
	}

	w.serve(t) // the next one
	w.settled(t)
	for n := range customers.Load() {
		_, owed := acknowledged.Load(n)
		if got := len(graph.of(psid(n))); got > 1 || got == 0 && owed {
			t.Errorf("customer %d is answered %d times; was the message acknowledged: %v", n, got, owed)
		}
	}
}

// Where far more comes than can be replied to, the webhook lets Meta wait a little.
func TestServeSlowsDeliveriesDown(t *testing.T) {
	t.Parallel()
	graph := newRecorder(t)
	w := newWorld(t, graph.url)
	w.env["USHER_OUTBOX_SEND_RATE"], w.env["USHER_OUTBOX_PARALLEL"] = "100000", "1"
	answer := make(chan struct{})
	release := sync.OnceFunc(func() { close(answer) })
	defer release()
	const customers, together = 2100, 700
	psid := func(n int) messenger.PSID { return messenger.PSID(strconv.Itoa(7000000000001000 + n)) }
	for n := range customers { // whoever comes first holds up all others
		graph.fail(psid(n), fault{hold: answer})
	}
	r := w.serve(t)
	write := func(from, to int) {
		t.Helper()
		var messages []item
		for n := from; n < to; n++ {
			messages = append(messages, says(psid(n), "m_"+strconv.Itoa(n), "hello"))
		}
		if status := r.post(t, live(messages...)); status != http.StatusOK {
			t.Fatalf("%d messages are answered with %d", to-from, status)
		}
	}
	figure := func(name string) string {
		_, text := get(t, r.private+"/metrics", nil)
		_, rest, _ := strings.Cut(text, "\n"+name+" ")
		value, _, _ := strings.Cut(rest, "\n")
		return value
	}
	for n := 0; n < customers; n += together {
		write(n, n+together)
	}
	eventually(t, "all wait for the first call", func() bool { return figure("usher_outbox_effects") == strconv.Itoa(customers) })
	before := figure("usher_deliveries_slowed_total")
	write(customers, customers+1)
	if after := figure("usher_deliveries_slowed_total"); before == "" || after == before {
		t.Errorf("%q deliveries were slowed down, and %q with one while %d calls wait", before, after, customers)
	}
	release()
	w.settled(t)
}

var errStillRunning = errors.New("still running when stop_timeout was over")

// wait waits for the program's end, for as long as stop_timeout is by default.
func wait(t *testing.T, cmd *osexec.Cmd) error {
	t.Helper()
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	select {
	case err := <-exited:
		return err
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		return errors.Join(errStillRunning, <-exited)
	}
}
