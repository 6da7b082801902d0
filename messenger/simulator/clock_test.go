package simulator_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"usher/messenger/simulator"
)

func stillWorld(t *testing.T, edits ...func(*simulator.Options)) (*world, *simulator.Clock) {
	t.Helper()
	clock := simulator.StillClock(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))
	edits = append(edits, func(o *simulator.Options) { o.Now, o.Clock = nil, clock })
	return newWorld(t, edits...), clock
}

// A clock put forward by a day runs what falls due on the way, each at its time.
func TestForward(t *testing.T) {
	t.Parallel()
	w, clock := stillWorld(t)
	w.ear.status = func() int { return http.StatusServiceUnavailable }
	start := clock.Now()
	w.says("hello")
	if err := w.Forward(t.Context(), 45*time.Second); err != nil {
		t.Fatal(err)
	}
	var attempts []time.Duration
	for _, e := range w.Snapshot() {
		if e.Delivery != nil {
			attempts = append(attempts, e.At.Sub(start))
		}
	}
	if want := []time.Duration{0, 0, 0, 0, 5 * time.Second, 20 * time.Second}; !slices.Equal(attempts, want) {
		t.Errorf("attempts after %v, want %v", attempts, want)
	}
	if got := clock.Now().Sub(start); got != 45*time.Second {
		t.Errorf("the clock stands at %v, want 45s", got)
	}
}

// Slow deliveries wait for a still clock, and nobody waits for them.
func TestForwardPastLatency(t *testing.T) {
	t.Parallel()
	w, clock := stillWorld(t)
	start := clock.Now()
	w.Latency(func(string) time.Duration { return time.Second })
	w.says("hello")
	w.says("and again")
	if err := w.Quiet(t.Context()); err != nil || len(w.ear.take()) != 0 {
		t.Fatalf("Quiet = %v with something delivered, want nothing yet", err)
	}
	if err := w.Forward(t.Context(), 1500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if heard := w.ear.take(); !slices.Equal(heard, []string{`messaging message "hello"`}) {
		t.Errorf("heard %q after 1.5 s", heard)
	}
	if err := w.Forward(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	var last time.Time
	for _, e := range w.Snapshot() {
		last = e.At
	}
	if got := last.Sub(start); got != 2*time.Second {
		t.Errorf("the second came after %v, want 2s", got)
	}
}

func TestRunningClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clock := simulator.RunningClock()
		begun := clock.Now()
		rang := make(chan time.Time, 3)
		ring := func() { rang <- clock.Now() }
		clock.After(time.Minute, ring)
		if stop := clock.After(time.Second, ring); !stop() || stop() {
			t.Error("stop tells wrongly whether the alarm was still to come")
		}
		if at := <-rang; at.Sub(begun) != time.Minute {
			t.Errorf("rang after %v, want 1m", at.Sub(begun))
		}
		if len(rang) != 0 {
			t.Error("a stopped alarm rang")
		}
	})
}

func TestForwardNeedsAClock(t *testing.T) {
	t.Parallel()
	if err := newWorld(t).Forward(t.Context(), time.Second); !errors.Is(err, simulator.ErrNoClock) {
		t.Errorf("Forward = %v, want ErrNoClock", err)
	}
	_, err := simulator.New(simulator.Options{
		App: bot, AppSecret: "s", Page: page, PageToken: token, Now: time.Now, Clock: simulator.RunningClock(),
	})
	if err == nil {
		t.Error("two clocks were accepted")
	}
}

// Alarms ring in the order of their times, whatever the order in which they were
// set, and each sees its own time.
func TestForwardInOrder(t *testing.T) {
	t.Parallel()
	w, clock := stillWorld(t)
	start := clock.Now()
	var rang []time.Duration
	for _, d := range []time.Duration{3 * time.Second, time.Second, 2 * time.Second, time.Hour} {
		clock.After(d, func() { rang = append(rang, clock.Now().Sub(start)) })
	}
	if err := w.Forward(t.Context(), 3*time.Second); err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}; !slices.Equal(rang, want) {
		t.Errorf("rang after %v, want %v", rang, want)
	}
}
