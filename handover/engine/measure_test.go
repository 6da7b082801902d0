package engine_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/simulator"
)

// measures are what an engine measured.
type measures struct {
	mu  sync.Mutex
	all []engine.Measure
}

func (m *measures) watch(o *engine.Options) {
	o.Measure = func(x engine.Measure) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.all = append(m.all, x)
	}
}

// of returns what of one kind was measured, to the second.
func (m *measures) of(what engine.Quantity) (took []time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.all {
		if x.What == what {
			took = append(took, x.Took.Truncate(time.Second))
		}
	}
	return took
}

// An answer is measured once, from the acceptance of the event until Meta has taken
// its first message, however often that was tried; also where the customer's name
// had to be asked for before.
func TestReplyIsMeasured(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		script func(*engine.Options)
		edge   string
		heard  []string
	}{
		"at_the_second_attempt": {func(*engine.Options) {}, simulator.EdgeMessages, []string{"one of two", "two of two"}},
		"after_the_profile":     {withNames(t), simulator.EdgeMessages, []string{"Hi there!"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inTown(t, func(w *town) {
				var m measures
				w.serve(m.watch, tt.script)
				w.metas[page].FailNext(tt.edge, simulator.Failure{Code: 80006, For: 10 * time.Minute})
				w.says(page, person(0), "two")
				pass(time.Hour)
				w.wantHeard(page, person(0), tt.heard...)
				replies := m.of(engine.Reply)
				if len(replies) != 1 || replies[0] < 10*time.Minute || replies[0] > 20*time.Minute {
					t.Errorf("replies took %v, want one that waited for ten minutes and a little", replies)
				}
				for _, x := range m.all {
					if x.What == engine.Reply && x.Page != page {
						t.Errorf("the reply is of Page %q, want %s", x.Page, page)
					}
				}
				if lags := m.of(engine.Lag); len(lags) == 0 || slices.Max(lags) > time.Minute {
					t.Errorf("decisions took %v, want that they waited for nothing", lags)
				}
				if len(m.of(engine.Commit)) == 0 {
					t.Error("no commit was measured")
				}
			})
		})
	}
}

// The wait for an agent is measured when the agent writes, and the time limit when
// it ends the episode.
func TestHandoverIsMeasured(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		var m measures
		_, stop := w.serve(m.watch)
		w.says(page, person(0), "human")
		pass(7 * time.Minute)
		for range 2 {
			if _, err := w.metas[page].Agent().Replies(person(0), "Hi, this is Bea."); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
		}
		if waits := m.of(engine.FirstReply); !slices.Equal(waits, []time.Duration{7 * time.Minute}) {
			t.Errorf("customers waited %v, want 7 minutes once", waits)
		}
		pass(time.Hour)
		stop() // nobody is there when the limit ends
		pass(12 * time.Hour)
		w.serve(m.watch)
		pass(time.Minute)
		late := m.of(engine.Late)
		if len(late) != 1 || late[0] < 50*time.Minute || late[0] > 70*time.Minute {
			t.Errorf("time limits ended late by %v, want an hour once", late)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(slices.DeleteFunc(slices.Clone(w.lines), func(l engine.Line) bool {
			return l.Episode == nil || l.Episode.Ended != handover.CauseTimeLimit || l.Episode.FirstReply.IsZero()
		})); n != 1 {
			t.Errorf("%d lines tell of the episode that the limit ended, want 1", n)
		}
	})
}

// The engine knows what it owns, and how much waits for how long.
func TestStats(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		e, stop := w.serve()
		if got, want := e.Stats(), (engine.Stats{Partitions: 16}); got != want {
			t.Errorf("with nothing to do Stats() = %+v, want %+v", got, want)
		}
		w.metas[page].FailNext("", simulator.Failure{Code: 80006, For: time.Hour})
		w.says(page, person(0), "two")
		pass(10 * time.Minute)
		younger := 0 // in the same partition
		for n := 1; younger < 4; n++ {
			if partitionOf(person(n)) == partitionOf(person(0)) {
				w.says(page, person(n), "hours")
				younger++
			}
		}
		pass(time.Minute)
		if s := e.Stats(); s.Pending != 6 || s.Oldest.Truncate(time.Minute) != 11*time.Minute {
			t.Errorf("with six messages waiting Stats() = %+v, want them, and 11 minutes", s)
		}
		pass(3 * time.Hour)
		if got, want := e.Stats(), (engine.Stats{Partitions: 16}); got != want {
			t.Errorf("when all is said Stats() = %+v, want %+v", got, want)
		}
		stop()
		if got := e.Stats(); got != (engine.Stats{}) {
			t.Errorf("after its end Stats() = %+v, want nothing", got)
		}
	})
}

func partitionOf(psid messenger.PSID) int {
	return messenger.ThreadKey{Page: page, PSID: psid}.Partition(16)
}

// refusing is a store that refuses the first commit.
type refusing struct {
	engine.Store

	once sync.Once
	err  error
}

func (r *refusing) Commit(ctx context.Context, c handover.Commit) (done handover.Committed, err error) {
	r.once.Do(func() { err = r.err })
	if err != nil {
		return done, err
	}
	return r.Store.Commit(ctx, c)
}

// Partitions that another process took, and those that the store forgot, are counted
// apart; either way the customer is answered.
func TestLostPartitionsAreCounted(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err            error
		lost, reloaded int64
	}{
		"lost":     {handover.ErrLeaseLost, 1, 0},
		"reloaded": {handover.ErrStale, 0, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inTown(t, func(w *town) {
				e, _ := w.serve(func(o *engine.Options) { o.Store = &refusing{Store: w.store, err: tt.err} })
				w.says(page, person(0), "hours")
				pass(7 * time.Hour) // the lease is waited out
				w.wantHeard(page, person(0), openHours)
				if s := e.Stats(); s.Lost != tt.lost || s.Reloaded != tt.reloaded || s.Partitions != 16 {
					t.Errorf("Stats() = %+v, want %d lost and %d reloaded", s, tt.lost, tt.reloaded)
				}
			})
		})
	}
}

// Each way in which a call can end has a word.
func TestEnd(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve()
		for _, code := range []int{551, 12345, 1, 0} {
			if code != 0 {
				w.metas[page].FailNext(simulator.EdgeMessages, simulator.Failure{Code: code})
			}
			w.says(page, person(0), "hours")
			pass(time.Minute)
		}
		var ends []string
		for _, l := range w.lines {
			if end := l.End(); end != "" {
				ends = append(ends, end)
			}
		}
		if got, want := strings.Join(ends, ","), "refused,failed,retried,ok,ok"; got != want {
			t.Errorf("calls ended %q, want %q", got, want)
		}
	})
	for outcome, want := range map[string]string{
		"failed, given up": "given_up", "must wait": "held", "unknown, its echo decides": "unsure", "ok, by its echo": "ok",
		"expired: too old": "expired", "cancelled": "cancelled", "dropped: the handoff goes first": "overtaken",
	} {
		if got := (engine.Line{Call: "answer", Outcome: outcome}).End(); got != want {
			t.Errorf("End() of %q = %q, want %q", outcome, got, want)
		}
	}
	if got := (engine.Line{What: "message", Outcome: "ok"}).End(); got != "" {
		t.Errorf("End() of what is no call = %q", got)
	}
}
