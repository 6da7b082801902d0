package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usher/cmd/usher/page"
	"usher/config"
	"usher/handover"
)

// runDemo runs `usher demo` until its page is served, gives its address to look, and
// stops it.
func runDemo(t *testing.T, look func(url string), args ...string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	address := regexp.MustCompile(`http://[^ ]+/`)
	up := make(chan struct{})
	out := &watched{stop: sync.OnceFunc(func() { close(up) }), signs: []string{"Ctrl-C ends it"}}
	var code int
	var running sync.WaitGroup
	running.Go(func() {
		code = run(ctx, append([]string{"demo"}, args...), func(string) (string, bool) { return "", false }, strings.NewReader(""), out, out)
	})
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	select {
	case <-up:
		look(address.FindString(out.String()))
	case <-ended:
	}
	stop()
	<-ended
	if code != exitOK {
		t.Errorf("demo %v exits %d\n%s", args, code, out)
	}
}

// The demo serves its page where it says, and leaves nothing behind: no goroutine,
// no port.
func TestDemoLeavesNothing(t *testing.T) { //nolint:paralleltest // it counts goroutines
	before := goleak.IgnoreCurrent()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var url string
	var open []io.ReadCloser
	runDemo(t, func(at string) {
		url = at
		for _, path := range []string{"", "events"} { // the stream is cut by the end, not before
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(r) //nolint:bodyclose // below, when the demo has ended
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, res.Body)
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", path, res.StatusCode)
			}
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at+"act", strings.NewReader(`{"do":"play","psid":"7000000000000001","text":"killed"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		res, err := client.Do(r)
		if err != nil || res.StatusCode != http.StatusNoContent {
			t.Fatal(res, err)
		}
		_ = res.Body.Close()
	}, "--listen", "127.0.0.1:0")
	for _, body := range open {
		_, _ = io.Copy(io.Discard, body) // it ends
		_ = body.Close()
	}
	if r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody); err != nil {
		t.Error(err)
	} else if res, err := client.Do(r); err == nil {
		_ = res.Body.Close()
		t.Error("it still answers")
	}
	goleak.VerifyNone(t, before)
}

// Where the usual port is taken the demo finds another; where it was asked for, it
// says so.
func TestDemoPortIsTaken(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	if l, err := lc.Listen(t.Context(), "tcp", demoAddress); err == nil { // else it is taken already
		defer func() { _ = l.Close() }()
	}
	runDemo(t, func(url string) {
		if !strings.HasPrefix(url, "http://127.0.0.1:") || strings.Contains(url, demoAddress) {
			t.Errorf("it is at %q, want another port of this machine", url)
		}
	})
	if code, _, stderr := exec(t, nil, "demo", "--listen", demoAddress); code != exitFailed || !strings.Contains(stderr, "--listen: ") {
		t.Errorf("with --listen it exits %d and says %q", code, stderr)
	}
}

// A reader that comes back gets what it lacks, and no more.
func TestDemoStreamResumes(t *testing.T) {
	t.Parallel()
	b := browse(t, newTheatre(t, func(o *theatreOptions) { o.start = 1000 }))
	b.act(page.DoSays, ann, "hello")
	b.untilAnn("the greeting", func(c page.Customer) bool { return strings.HasPrefix(last(c), "Hello!") })
	b.untilTold(kindWebhook, "echo on messaging → 200")
	b.mu.Lock()
	have := b.entries
	b.mu.Unlock()
	for i, e := range have {
		if e.Seq != int64(1001+i) {
			t.Fatalf("entry %d has number %d", i, e.Seq)
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	again := &visitor{t: t, url: b.url, changed: make(chan struct{})}
	var reading sync.WaitGroup
	defer reading.Wait()
	defer leave()
	reading.Go(func() { again.read(ctx, have[2].Seq) })
	again.until("all it lacks", func(page.State) bool {
		again.mu.Lock()
		defer again.mu.Unlock()
		return len(again.entries) > 0 && again.entries[len(again.entries)-1].Seq >= have[len(have)-1].Seq
	})
	again.mu.Lock()
	defer again.mu.Unlock()
	if again.entries[0].Seq != have[3].Seq {
		t.Errorf("it gets %d first, want %d", again.entries[0].Seq, have[3].Seq)
	}
}

// Each cause has words for people.
func TestWhy(t *testing.T) {
	t.Parallel()
	cfg, _, err := demoSettings()
	if err != nil {
		t.Fatal(err)
	}
	h := cfg.Handover
	h.TimeLimit = config.TimeLimit{After: 90 * time.Minute}
	for _, tt := range []struct {
		phase handover.Phase
		cause handover.Cause
		want  string
	}{
		{handover.Bot, "", "nobody has asked for a person yet"},
		{handover.Waiting, handover.CauseButton, "Ann tapped Talk to a human"},
		{handover.Bot, handover.CauseButton, "Ann tapped Back to bot"},
		{handover.Waiting, handover.CauseKeyword, "Ann asked for a person"},
		{handover.Bot, handover.CauseKeyword, "Ann asked for the bot"},
		{handover.Waiting, handover.CauseMisunderstood, "the bot did not understand Ann 3 times in a row"},
		{handover.Bot, handover.CauseTimeLimit, "no agent wrote for 1h30m"},
		{handover.Bot, "a new one", "a new one"},
	} {
		if got := why(h, "Ann", handover.State{Phase: tt.phase, Cause: tt.cause}); got != tt.want {
			t.Errorf("%s by %s: %q, want %q", tt.phase, tt.cause, got, tt.want)
		}
	}
}
