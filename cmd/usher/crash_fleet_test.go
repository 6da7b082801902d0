//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover/storetest/redistest"
	"usher/messenger"
	"usher/messenger/simulator"
)

// What Meta knows the fleet by.
const (
	fleetApp    messenger.AppID  = "1517776481860111"
	fleetPage   messenger.PageID = "1000000000000077"
	fleetSecret                  = "the-secret-of-the-fleet"
	fleetToken                   = "the-token-of-the-fleet"
)

// fleet is what stands between Meta and a Redis: replicas of Usher, each a process
// of its own that can be killed and frozen, behind one address that takes them in
// turn.
type fleet struct {
	t     *testing.T
	meta  *simulator.Meta
	redis *redis.Client
	dir   string   // with the settings and the script
	env   []string // of a replica
	crowd *crowd

	mu    sync.Mutex
	ships []*ship
	turn  int
}

// seamarks are the times that a fleet sails by.
type seamarks struct {
	lease, renew, margin, callTimeout, echoGrace time.Duration
}

// patient is how long a condition is waited for: far longer than it takes.
const patient = 2 * time.Minute

// newFleet returns a fleet without ships. Meta delivers batch events at a time.
func newFleet(t *testing.T, at seamarks, batch int) *fleet {
	t.Helper()
	address := redistest.Start(t, "--appendonly", "yes")
	f := &fleet{t: t, dir: t.TempDir(), redis: redis.NewClient(&redis.Options{Addr: address}), crowd: &crowd{}}
	t.Cleanup(func() { _ = f.redis.Close() })
	front := httptest.NewServer(http.HandlerFunc(f.forward))
	t.Cleanup(front.Close)
	meta, err := simulator.New(simulator.Options{
		App: fleetApp, AppSecret: fleetSecret, Page: fleetPage, PageToken: fleetToken,
		WebhookURL: front.URL, Batch: batch, Retries: []time.Duration{10 * time.Millisecond},
		LedgerSize: 1_000_000, Log: f.crowd.hears, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.meta = meta
	graph := httptest.NewServer(meta)
	t.Cleanup(graph.Close)
	t.Cleanup(func() { graph.CloseClientConnections() }) // who is frozen holds some
	t.Cleanup(meta.Close)
	f.write("usher.yaml", fmt.Sprintf(`
listen: "127.0.0.1:0"
private_listen: "127.0.0.1:0"
redis: {url: "redis://%s/0"}
partitions: {lease: %s, renew: %s, margin: %s}
outbox: {call_timeout: %s, echo_grace: %s}
stop_timeout: 60s
messenger:
  app_id: "%s"
  app_secret: %s
  verify_token: any
  graph_url: %s
  pages: [{id: "%s", name: Harbour, access_token: %s}]
handover: {time_limit: 12h, messages: {handoff: %s, back: %s, disclosure: %s}}
bot: {script: bot.yaml}
log: {format: json}
`, address, at.lease, at.renew, at.margin, at.callTimeout, at.echoGrace, fleetApp, fleetSecret, graph.URL, fleetPage, fleetToken, passesOn, isBack, discloses))
	f.write("bot.yaml", crowdScript())
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "USHER_") {
			f.env = append(f.env, pair)
		}
	}
	return f
}

func (f *fleet) write(name, content string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// ship is a replica of Usher: `usher serve` in a process of its own.
type ship struct {
	t       *testing.T
	name    string
	process *os.Process
	log     *shipLog
	url     string
	ended   chan struct{} // closed when the process has
	code    int           // its exit code then

	sick time.Time // the front did not reach it then
}

// launch starts a replica and waits until it serves.
func (f *fleet) launch() *ship {
	f.t.Helper()
	cmd := osexec.Command("usher", "serve", "--config", filepath.Join(f.dir, "usher.yaml"))
	cmd.Env = f.env
	stderr, err := cmd.StderrPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	s := &ship{
		t: f.t, name: fmt.Sprintf("replica %d", len(f.ships)), process: cmd.Process,
		log: newShipLog(), ended: make(chan struct{}),
	}
	f.mu.Unlock()
	go func() {
		s.log.read(stderr)
		_ = cmd.Wait() // the exit code tells
		s.code = cmd.ProcessState.ExitCode()
		close(s.ended)
	}()
	f.t.Cleanup(func() {
		_ = s.process.Kill() // it may have ended
		<-s.ended
		s.log.inspect(f.t, s.name)
	})
	select {
	case s.url = <-s.log.up:
	case <-s.ended:
		f.t.Fatalf("%s ended at once with code %d", s.name, s.code)
	}
	f.mu.Lock()
	f.ships = append(f.ships, s)
	f.mu.Unlock()
	return s
}

// kill is kill -9.
func (s *ship) kill() { s.signal(syscall.SIGKILL); <-s.ended }

// terminate is what an orchestrator does; it returns when the process has ended.
func (s *ship) terminate() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	<-s.ended
	if s.code != exitOK {
		s.t.Errorf("%s exits %d after SIGTERM, want 0", s.name, s.code)
	}
}

func (s *ship) freeze() { s.signal(syscall.SIGSTOP) }
func (s *ship) thaw()   { s.signal(syscall.SIGCONT) }

func (s *ship) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Signal(sig); err != nil {
		s.t.Fatalf("%s: %v", s.name, err)
	}
}

// Bounds of the front: who does not answer in time is left out for a while.
const (
	frontTimeout = time.Second
	frontAvoids  = time.Second
)

// forward hands a delivery to one replica, as a load balancer does. It does not
// try another one: that is Meta's business.
func (f *fleet) forward(w http.ResponseWriter, r *http.Request) {
	s := f.next()
	if s == nil {
		http.Error(w, "no replica is up", http.StatusBadGateway)
		return
	}
	status, err := s.accept(r)
	if err != nil {
		f.mu.Lock()
		s.sick = time.Now()
		f.mu.Unlock()
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(status)
}

// next returns the replica whose turn it is: the front knows who has ended, and
// whom it did not reach of late.
func (f *fleet) next() *ship {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range f.ships {
		f.turn++
		s := f.ships[f.turn%len(f.ships)]
		select {
		case <-s.ended:
		default:
			if time.Since(s.sick) > frontAvoids {
				return s
			}
		}
	}
	return nil
}

func (s *ship) accept(r *http.Request) (status int, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), frontTimeout)
	defer cancel()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err
	}
	out, err := http.NewRequestWithContext(ctx, r.Method, s.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	out.Header = r.Header.Clone()
	res, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }() // it is read to its end
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// until waits for a condition.
func (f *fleet) until(what string, done func() bool) {
	f.t.Helper()
	if err := poll(f.t.Context(), done); err != nil {
		f.judge()
		f.t.Fatalf("waited in vain: %s: %v\n%s", what, err, f.crowd.unanswered())
	}
}

func poll(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// rest waits until nothing is pending anywhere: Meta has told all, Usher has
// decided all, and Meta was told all that was decided.
func (f *fleet) rest() {
	f.t.Helper()
	f.until("everybody is answered", f.crowd.answered)
	f.until("nothing is pending", func() bool {
		if f.left("ob") > 0 {
			return false
		}
		if err := f.meta.Settle(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		return f.left("in") == 0 && f.left("ob") == 0
	})
	if n := f.left("dlq"); n > 0 {
		f.t.Errorf("%d events were set aside in the dlq, want none", n)
	}
}

// left counts what stands in all partitions' streams ("in", "dlq") or outboxes ("ob").
func (f *fleet) left(name string) (n int64) {
	f.t.Helper()
	ctx := f.t.Context()
	keys, err := f.redis.Keys(ctx, "usher:{p*}:"+name).Result()
	for _, key := range keys {
		var some int64
		if name == "ob" {
			some, err = f.redis.HLen(ctx, key).Result()
		} else {
			some, err = f.redis.XLen(ctx, key).Result()
		}
		if err != nil {
			break
		}
		n += some
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// owned waits until every partition has an owner among n replicas.
func (f *fleet) owned(n int64) {
	f.t.Helper()
	f.until("every partition is owned", func() bool {
		ctx := f.t.Context()
		members, err := f.redis.ZCard(ctx, "usher:members").Result()
		if err != nil {
			f.t.Fatal(err)
		}
		owners := 0
		for p := range 64 {
			held, err := f.redis.HExists(ctx, fmt.Sprintf("usher:{p%d}:meta", p), "token").Result()
			if err != nil {
				f.t.Fatal(err)
			}
			if held {
				owners++
			}
		}
		return members == n && owners == 64
	})
}

// shipLog keeps what a replica logs.
type shipLog struct {
	up chan string // gets the address of the webhook

	mu    sync.Mutex
	lines []string
}

func newShipLog() *shipLog { return &shipLog{up: make(chan string, 1)} }

func (l *shipLog) read(r io.Reader) {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		l.mu.Lock()
		l.lines = append(l.lines, scan.Text())
		l.mu.Unlock()
		var line struct{ Message, Listen string }
		if json.Unmarshal(scan.Bytes(), &line) == nil && line.Message == "Usher is up" {
			l.up <- "http://" + line.Listen + "/webhook"
		}
	}
}

// count returns how many lines say so.
func (l *shipLog) count(says string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, says) {
			n++
		}
	}
	return n
}

// inspect wants no race and no panic; where the test failed it shows the log.
func (l *shipLog) inspect(t *testing.T, name string) {
	t.Helper()
	for _, bad := range []string{"WARNING: DATA RACE", "panic"} {
		if n := l.count(bad); n > 0 {
			t.Errorf("%s says %q %d times", name, bad, n)
		}
	}
	if t.Failed() {
		l.mu.Lock()
		defer l.mu.Unlock()
		t.Logf("%s said:\n%s", name, strings.Join(l.lines[:min(len(l.lines), 200)], "\n"))
	}
}
