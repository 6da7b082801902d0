package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"usher/cmd/usher-bench/check"
)

// fleet are the replicas of Usher behind one address, and what they logged.
type fleet struct {
	path, dir string // of the program; of its settings
	env       []string
	client    *http.Client
	witness   *witness
	secrets   []string    // no line of log may hold one
	troubled  func() bool // tells whether a fault is under way
	twice     atomic.Bool // each delivery goes to two replicas at once

	mu       sync.Mutex
	replicas []*replica // by number; nil where none was started yet
	turn     int
	evidence fleetEvidence
}

// fleetEvidence is what is seen of replicas from outside.
type fleetEvidence struct {
	answers  check.Answers
	stops    []check.Stop
	starts   []check.Start
	lines    int
	leaks    []string
	panics   []string
	lost     int // "Partition lost"
	reloaded int
	warnings map[string]int // and errors, by message
	calm     *hdr.Histogram // µs from a delivery to its 200
	shaken   *hdr.Histogram // likewise, where a fault was under way
	last     string         // line of log
}

// replica is `usher serve` in a process of its own.
type replica struct {
	*child

	number  int
	webhook string // its address
	private string

	reach     context.Context //nolint:containedctx // ends when the load balancer gives the replica up
	lose      context.CancelFunc
	disturbed int // how often it was stopped or woken
	frozen    bool
}

// addresses are where a replica serves.
type addresses struct{ public, private string }

func newFleet(path, dir string, w *witness, secrets ...string) *fleet {
	f := &fleet{
		path: path, dir: dir, witness: w, secrets: secrets,
		client:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		troubled: func() bool { return false },
		evidence: fleetEvidence{
			warnings: map[string]int{}, calm: hdr.New(leastLatency, mostLatency, digits), shaken: hdr.New(leastLatency, mostLatency, digits),
		},
	}
	for _, pair := range os.Environ() { //nolint:forbidigo // less what would change the settings
		if !strings.HasPrefix(pair, "USHER_") {
			f.env = append(f.env, pair)
		}
	}
	return f
}

// launch starts replica number and waits until it serves, or ends.
func (f *fleet) launch(ctx context.Context, number int) error {
	up := make(chan addresses, 1)
	r := &replica{number: number}
	c, err := start(fmt.Sprintf("replica %d", number), f.env, func(line string) { f.reads(line, up) },
		f.path, "serve", "--config", filepath.Join(f.dir, "usher.yaml"))
	if err != nil {
		return err
	}
	r.child = c
	timeout := time.NewTimer(startWithin)
	defer timeout.Stop()
	select {
	case at := <-up:
		r.webhook, r.private = "http://"+at.public+"/webhook", "http://"+at.private
	case <-c.ended:
		return nil // Redis may be down just now; who keeps the fleet up tries again
	case <-timeout.C:
		return errors.Join(fmt.Errorf("%s: %w", c.name, errTimeout), c.kill())
	case <-ctx.Done():
		return errors.Join(ctx.Err(), c.kill())
	}
	r.reach, r.lose = context.WithCancel(context.WithoutCancel(ctx))
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.replicas) <= number {
		f.replicas = append(f.replicas, nil)
	}
	f.replicas[number] = r
	return nil
}

// ensure starts replica number until it serves.
func (f *fleet) ensure(ctx context.Context, number int) error {
	for ctx.Err() == nil {
		if r := f.replica(number); r != nil && r.running() {
			return nil
		}
		if err := f.launch(ctx, number); err != nil {
			return err
		}
		pause(ctx, 20*time.Millisecond)
	}
	return ctx.Err()
}

func (f *fleet) replica(number int) *replica {
	f.mu.Lock()
	defer f.mu.Unlock()
	if number < len(f.replicas) {
		return f.replicas[number]
	}
	return nil
}

// running counts the replicas that are there and not frozen.
func (f *fleet) running() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.replicas {
		if r != nil && r.running() && !r.frozen {
			n++
		}
	}
	return n
}

// reads notes what a line of log tells.
func (f *fleet) reads(line string, up chan<- addresses) {
	var l struct {
		Level, Message, Listen string
		PrivateListen          string `json:"private_listen"`
	}
	_ = json.Unmarshal([]byte(line), &l) // a start's last words are plain text
	if l.Message == "Usher is up" {
		up <- addresses{l.Listen, l.PrivateListen}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e := &f.evidence
	e.lines++
	e.last = line
	for _, s := range f.secrets {
		if strings.Contains(line, s) {
			e.leaks = append(e.leaks, strings.ReplaceAll(line, s, "…"))
			break
		}
	}
	switch {
	case strings.Contains(line, "panic"), strings.Contains(line, "DATA RACE"), strings.HasPrefix(line, "fatal error"):
		e.panics = append(e.panics, line)
	case strings.HasPrefix(l.Message, "Partition lost"):
		e.lost++
	case strings.HasPrefix(l.Message, "Store is at another step"):
		e.reloaded++
	}
	if l.Level == "warn" || l.Level == "error" {
		e.warnings[l.Message]++
	}
}

var errNotReached = errors.New("nothing came to the place within its time")

// arm kills a replica where the next event comes to a place, see its failpoints.
func (r *replica) arm(ctx context.Context, place string) error {
	if _, err := fmt.Fprintln(r.stdin, place); err != nil && r.running() {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	timeout := time.NewTimer(reachWithin)
	defer timeout.Stop()
	select {
	case <-r.ended:
		return nil
	case <-timeout.C:
	case <-ctx.Done():
	}
	return errNotReached
}

// reachWithin is how long a place may take to be reached: every one is on the way of
// each event, but a replica may be cut off from Redis.
const reachWithin = 2 * time.Second

// freeze stops a replica in the midst of what it does. A load balancer notices
// after a while.
func (f *fleet) freeze(r *replica) error {
	f.disturb(r, true)
	time.AfterFunc(noticed, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if r.frozen {
			r.lose()
		}
	})
	return r.signal(syscall.SIGSTOP)
}

// noticed is how long a load balancer takes to see that a replica is gone.
const noticed = 200 * time.Millisecond

func (f *fleet) thaw(r *replica) error {
	err := r.signal(syscall.SIGCONT)
	f.disturb(r, false)
	return err
}

func (f *fleet) disturb(r *replica, frozen bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.frozen = frozen
	r.disturbed++
	if !frozen && r.reach.Err() != nil {
		r.reach, r.lose = context.WithCancel(context.WithoutCancel(r.reach))
	}
}

// stop is what an orchestrator does.
func (f *fleet) stop(r *replica, patience time.Duration) error {
	at := now()
	took, err := r.terminate(patience)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.evidence.stops = append(f.evidence.stops, check.Stop{Replica: r.name, At: at, Took: took, Code: r.code})
	return nil
}

// startWrong starts Usher with a setting that it must refuse.
func (f *fleet) startWrong(ctx context.Context, settings string) error {
	file := filepath.Join(f.dir, "wrong.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(settings, "listen:", "listenn:", 1)), 0o600); err != nil {
		return err
	}
	var said strings.Builder
	up := make(chan addresses, 1)
	c, err := start("a wrong start", f.env, func(line string) { said.WriteString(line); f.reads(line, up) }, f.path, "serve", "--config", file)
	if err != nil {
		return err
	}
	select {
	case <-c.ended:
	case <-up: // it serves
		if err := c.kill(); err != nil {
			return err
		}
	case <-ctx.Done():
		return c.kill()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.evidence.starts = append(f.evidence.starts, check.Start{Code: c.code, Place: strings.Contains(said.String(), "wrong.yaml:1:")})
	return nil
}

// ServeHTTP hands a delivery to one replica, as a load balancer does. It does not
// try another one: that is Meta's business.
func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	copies := 1
	if f.twice.Load() {
		copies = 2
	}
	at := f.witness.seq.Add(1)
	statuses, errs := make([]int, copies), make([]error, copies)
	var all sync.WaitGroup
	for i := range copies {
		all.Go(func() {
			statuses[i], errs[i] = f.deliver(r.Context(), body, r.Header)
			errs[i] = errors.Join(errs[i], f.witness.delivered(at, body, errs[i] == nil && statuses[i] == http.StatusOK))
		})
	}
	all.Wait()
	status, err := slices.Max(statuses), errors.Join(errs...) // what one could not take is offered again
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(status)
}

var errNobody = errors.New("no replica is up")

// deliver posts a body to the replica whose turn it is.
func (f *fleet) deliver(ctx context.Context, body []byte, header http.Header) (status int, err error) {
	f.mu.Lock()
	var to *replica
	for range f.replicas {
		f.turn++
		if r := f.replicas[f.turn%len(f.replicas)]; r != nil && r.running() && r.reach.Err() == nil {
			to = r
			break
		}
	}
	if to == nil {
		f.mu.Unlock()
		return 0, errNobody
	}
	reach, disturbed := to.reach, to.disturbed
	f.mu.Unlock()

	reached, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(reach, cancel)()
	req, err := http.NewRequestWithContext(reached, http.MethodPost, to.webhook, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header = header.Clone()
	began, troubled := now(), f.troubled()
	res, err := f.client.Do(req)
	took := now().Sub(began)
	if err == nil {
		status = res.StatusCode
		_, _ = io.Copy(io.Discard, res.Body) // its status says all
		_ = res.Body.Close()
	} else if ctx.Err() == nil || took <= check.AckBudget {
		return 0, err // it is not Meta that gave up
	}
	troubled = troubled || f.troubled()

	f.mu.Lock()
	defer f.mu.Unlock()
	if to.disturbed == disturbed { // else it was not there to answer
		f.evidence.answered(status, took, troubled)
	}
	return status, err
}

// answered notes how a delivery was answered; no status is where Meta gave up
// waiting.
func (e *fleetEvidence) answered(status int, took time.Duration, troubled bool) {
	a := &e.answers
	if status != http.StatusOK {
		a.Refused++
		a.Slowest = max(a.Slowest, took)
		if took > check.AckBudget {
			a.Late++
		}
		return
	}
	a.OK++
	h := e.calm
	if troubled {
		h = e.shaken
	}
	_ = h.RecordValue(min(took.Microseconds(), mostLatency)) // within its bounds
}

func (f *fleet) lastLine() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.evidence.last
}

// close ends all replicas.
func (f *fleet) close() error {
	f.mu.Lock()
	replicas := slices.Clone(f.replicas)
	f.mu.Unlock() // who ends has last words, and they are noted
	var errs []error
	for _, r := range replicas {
		if r != nil {
			r.lose()
			errs = append(errs, r.kill())
		}
	}
	f.client.CloseIdleConnections()
	return errors.Join(errs...)
}
