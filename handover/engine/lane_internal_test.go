package engine

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"usher/handover"
	"usher/messenger/graph"
)

// meter is a Graph of which only the allowance is told.
type meter struct {
	Graph

	usage graph.Usage
}

func (*meter) Ping(context.Context) error { return nil }

func (m *meter) Usage() graph.Usage { return m.usage }

// track is a lane, and what began in it.
type track struct {
	*lane

	t     *testing.T
	meter *meter
	log   strings.Builder

	mu    sync.Mutex
	began []string
}

// inLane runs a test in virtual time with a lane for 10 words a second, and 3 calls
// at once.
func inLane(t *testing.T, test func(*track)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &track{t: t, meter: &meter{}}
		e := &Engine{crew: newCrew(), Options: Options{Now: time.Now, Log: zerolog.New(&r.log), CallTimeout: time.Second, SendRate: 10, Parallel: 3}}
		r.lane = e.newLane("1", r.meter)
		ctx, cancel := context.WithCancel(t.Context())
		r.run(ctx)
		test(r)
		cancel()
		r.stop()
	})
}

// join lets a call enter that ends when it is told to, or else at once.
func (r *track) join(name string, c call, end <-chan struct{}) *place {
	pl := r.newPlace(&effect{Call: c}, func(trial bool) {
		r.mu.Lock()
		r.began = append(r.began, name)
		r.mu.Unlock()
		if end != nil {
			<-end
		}
		r.leave(trial)
	})
	r.enter(pl)
	return pl
}

func (r *track) want(when string, want ...string) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.began, want) {
		r.t.Errorf("%s these began: %q, want %q", when, r.began, want)
	}
	r.began = nil
}

func TestLaneBeginsNoMoreAtOnceThanItMay(t *testing.T) {
	t.Parallel()
	inLane(t, func(r *track) {
		end := make(chan struct{})
		for range 3 {
			r.join("early", callSaid, end)
		}
		r.want("with room for three", "early", "early", "early")
		gone := r.join("recalled", callTake, nil)
		r.join("words", callSay, nil)
		r.join("profile", callReadProfile, nil)
		r.join("take", callTake, nil)
		if s := r.status(); s.Waiting != 4 {
			t.Errorf("%d wait, want 4", s.Waiting)
		}
		if !r.recall(gone) || r.recall(gone) {
			t.Error("recall() does not tell once that the call had not begun")
		}
		r.want("with no room")
		end <- struct{}{}
		r.want("with room for one after the other", "take", "words", "profile")
		close(end)
		if pl := r.join("last", callPass, nil); r.recall(pl) {
			t.Error("recall() takes back what has begun")
		}
	})
}

// The rate is for words alone.
func TestLaneLetsControlPassARateThatIsSpent(t *testing.T) {
	t.Parallel()
	inLane(t, func(r *track) {
		for range 10 {
			r.join("words", callSaid, nil)
		}
		r.want("at the beginning", slices.Repeat([]string{"words"}, 10)...)
		r.join("more words", callSaid, nil)
		r.join("take", callTake, nil)
		r.want("with the rate spent", "take")
		time.Sleep(100 * time.Millisecond)
		r.want("a tenth of a second later", "more words")
	})
}

// Who has said something says the next thing as long as it keeps nobody waiting, at the
// same rate as all.
func TestLaneLetsWhoSpeaksGoOn(t *testing.T) {
	t.Parallel()
	inLane(t, func(r *track) {
		end := make(chan struct{})
		for range 3 {
			r.join("words", callSaid, end)
		}
		r.want("at the beginning", "words", "words", "words")
		goesOn := func(when string, want bool) {
			t.Helper()
			if got := r.goesOn(); got != want {
				t.Errorf("%s goesOn() = %v, want %v", when, got, want)
			}
		}
		for range 7 {
			goesOn("within the rate", true)
		}
		goesOn("with the rate spent", false)
		time.Sleep(100 * time.Millisecond)
		goesOn("a tenth of a second later", true)
		time.Sleep(100 * time.Millisecond)
		waiting := r.join("take", callTake, nil)
		goesOn("while another waits", false)
		r.recall(waiting)
		r.shut(trouble{state: Limited, wait: time.Minute})
		goesOn("during a pause", false)
		close(end)
	})
}

func TestLaneSlowsDownAsTheAllowanceRunsOut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		usage graph.Usage // At is how long ago
		words int         // in ten seconds
		state State
	}{
		"nothing_told":  {words: 110, state: Open},
		"below":         {usage: graph.Usage{Percent: 79}, words: 110, state: Open},
		"half_way":      {usage: graph.Usage{Percent: 90}, words: 55, state: Slow},
		"nearly_spent":  {usage: graph.Usage{Percent: 97}, words: 16, state: Slow},
		"spent":         {usage: graph.Usage{Percent: 98}, words: 0, state: Limited},
		"told_long_ago": {usage: graph.Usage{Percent: 90, At: time.Unix(1, 0)}, words: 110, state: Open},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inLane(t, func(r *track) {
				r.meter.usage = tt.usage
				if tt.usage.At.IsZero() && tt.usage.Percent > 0 {
					r.meter.usage.At = time.Now()
				}
				r.saw(nil, true, false)
				for range 200 {
					r.join("x", callSaid, nil)
				}
				time.Sleep(10*time.Second - time.Millisecond)
				synctest.Wait()
				r.mu.Lock()
				n := len(r.began)
				r.mu.Unlock()
				if n < tt.words-2 || n > tt.words {
					t.Errorf("%d words in ten seconds, want %d", n, tt.words)
				}
				if s := r.status(); s.State != tt.state {
					t.Errorf("status() = %+v, want %v", s, tt.state)
				}
			})
		})
	}
}

// It stays slow until the allowance has recovered, and tells of both ends once.
func TestLaneTellsOfSlownessOnce(t *testing.T) {
	t.Parallel()
	inLane(t, func(r *track) {
		for _, percent := range []float64{70, 81, 79, 81, 76, 74, 79} {
			r.meter.usage = graph.Usage{Percent: percent, At: time.Now()}
			r.saw(nil, true, false)
			time.Sleep(time.Second)
		}
		if log := r.log.String(); strings.Count(log, "\n") != 2 || !strings.Contains(log, "words go slower") || !strings.Contains(log, "usual rate") {
			t.Errorf("the log has %s, want a beginning and an end", log)
		}
	})
}

// A spent allowance stops the Page for as long as Meta says, and one that was told
// before does not stop it again.
func TestSpentAllowance(t *testing.T) {
	t.Parallel()
	inLane(t, func(r *track) {
		r.meter.usage = graph.Usage{Percent: 100, At: time.Now(), PauseUntil: time.Now().Add(7 * time.Minute)}
		if p := r.saw(nil, true, false); p.Left != 7*time.Minute || !strings.Contains(p.Why, "100 %") {
			t.Errorf("saw() = %+v, want seven minutes for all", p)
		}
		if p := r.saw(nil, true, false); p.Left != 0 {
			t.Errorf("saw() = %+v for a call that began before, want nothing new", p)
		}
		r.join("trial", callSaid, nil)
		time.Sleep(7*time.Minute - time.Second)
		r.want("within seven minutes")
		time.Sleep(2 * time.Second)
		r.want("after seven minutes", "trial")
		if p := r.saw(nil, true, true); p.Left != 0 || r.status().State != Open {
			t.Errorf("saw() = %+v, and status() = %+v, want it open: nothing new is told", p, r.status())
		}
	})
}

// Calls that began before it was shut neither open it, nor make a pause longer.
func TestWhatBeganBefore(t *testing.T) {
	t.Parallel()
	limit := &graph.Error{Edge: "messages", Status: 400, Code: 613, RetryAfter: 20 * time.Minute}
	inLane(t, func(r *track) {
		first := r.saw(limit, true, false)
		for range 10 {
			if p := r.saw(limit, true, false); p.Left != 0 {
				t.Errorf("saw() = %+v for a call that began before, want nothing", p)
			}
		}
		r.saw(nil, true, false)
		if s := r.status(); s.State != Limited || time.Until(s.Until) != first.Left {
			t.Errorf("status() = %+v, want it limited for %v still", s, first.Left)
		}
		r.saw(&graph.Error{Edge: "messages", Status: 401, Code: 190}, true, false)
		if s := r.status(); s.State != Suspended || time.Until(s.Until) < first.Left {
			t.Errorf("status() = %+v, want the worse, and nothing tried for %v still", s, first.Left)
		}
		r.heed(handover.Pause{Left: time.Hour, Why: "another"})
		if s := r.status(); s.State != Suspended || time.Until(s.Until) != time.Hour {
			t.Errorf("status() = %+v, want it suspended, and nothing tried for an hour", s)
		}
	})
}

// Five calls in a row that nobody answers are too many; an answer in between
// begins anew, and ends it.
func TestRowOfCallsThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	lost := &graph.Error{Edge: "messages", Status: 500, Code: 2}
	inLane(t, func(r *track) {
		for range 2 {
			for range unreachableAfter - 1 {
				r.saw(lost, true, false)
			}
			if s := r.status(); s.State != Open {
				t.Errorf("status() = %+v, want it open", s)
			}
			r.saw(&graph.Error{Edge: "messages", Status: 400, Code: 551}, true, false)
		}
		for range unreachableAfter {
			r.saw(context.DeadlineExceeded, true, false)
		}
		if s := r.status(); s.State != Unreachable {
			t.Errorf("status() = %+v, want it unreachable", s)
		}
		r.saw(nil, false, false) // a slow one is answered after all
		if s := r.status(); s.State != Open {
			t.Errorf("status() = %+v, want it open", s)
		}
	})
}

// What is tried after a limit is words: what a limit is of does not concern the
// rest. Nothing else begins meanwhile.
func TestTrialOfWords(t *testing.T) {
	t.Parallel()
	inLane(t, func(r *track) {
		r.saw(&graph.Error{Edge: "messages", Status: 400, Code: 613, RetryAfter: time.Minute}, true, false)
		time.Sleep(2 * time.Minute)
		end := make(chan struct{})
		r.join("take", callTake, end)
		r.join("words", callSaid, end)
		r.want("after a minute", "take")
		r.saw(nil, false, true)
		end <- struct{}{}
		r.want("after the take", "words")
		r.join("more", callSaid, nil)
		r.want("during the words")
		if s := r.status(); s.State != Limited || !s.Until.IsZero() {
			t.Errorf("status() = %+v, want it limited, and tried", s)
		}
		r.saw(nil, true, true)
		end <- struct{}{}
		r.want("after the words", "more")
	})
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want State
	}{
		"success":         {nil, Open},
		"limit":           {&graph.Error{Status: 400, Code: 4}, Limited},
		"status_429":      {&graph.Error{Status: 429}, Limited},
		"token":           {&graph.Error{Status: 400, Code: 190}, Suspended},
		"restricted":      {&graph.Error{Status: 400, Code: 368}, Suspended},
		"permission":      {&graph.Error{Edge: "messages", Status: 403, Code: 200}, Suspended},
		"may_not_take":    {&graph.Error{Edge: "take_thread_control", Status: 403, Code: 200}, Open},
		"not_owner":       {&graph.Error{Status: 400, Code: 10, Subcode: 2018300}, Open},
		"code_2":          {&graph.Error{Status: 500, Code: 2}, Unreachable},
		"code_2_with_400": {&graph.Error{Edge: "messages", Status: 400, Code: 2}, Open},
		"bad_gateway":     {&graph.Error{Status: 502}, Unreachable},
		"timeout":         {context.DeadlineExceeded, Unreachable},
		"connection_lost": {&graph.Error{}, Open}, // nothing is known of it
		"strange":         {io.EOF, Open},
	} {
		if got := judge(tt.err); got.state != tt.want {
			t.Errorf("%s: judge(%v) = %v, want %v", name, tt.err, got.state, tt.want)
		}
	}
	if got := judge(&graph.Error{Status: 400, Code: 4, RetryAfter: time.Hour}); got.wait != time.Hour {
		t.Errorf("judge() waits %v, want what Meta says", got.wait)
	}
}
