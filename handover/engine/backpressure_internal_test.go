package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"usher/handover"
	"usher/messenger"
)

// square is an engine with two Pages, of which one has a crowd.
type square struct {
	*Engine

	t       *testing.T
	crowded *page
	waiting []*thread // 8 effects each, one more than it takes
	loop    *partition
}

const (
	crowdedPage messenger.PageID = "1"
	quietPage   messenger.PageID = "2"
)

func inSquare(t *testing.T, test func(*square)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := &Engine{crew: newCrew(), Options: Options{Now: time.Now, CallTimeout: time.Second, SendRate: 10, Parallel: 3}}
		e.pages = map[messenger.PageID]*page{}
		ctx, cancel := context.WithCancel(t.Context())
		for _, id := range []messenger.PageID{crowdedPage, quietPage} {
			e.pages[id] = &page{lane: e.newLane(id, &meter{}), crowd: newCrowd(e.Parallel)}
			e.pages[id].lane.run(ctx)
		}
		s := &square{Engine: e, t: t, crowded: e.pages[crowdedPage], loop: newPartition(e, handover.Lease{}, time.Now())}
		for i := range manyWait/fewOfOne + 1 {
			s.waiting = append(s.waiting, &thread{key: string(crowdedPage) + ":" + time.Duration(i).String()})
			s.queue(i, fewOfOne)
		}
		test(s)
		cancel()
		for _, pg := range e.pages {
			pg.lane.stop()
		}
	})
}

// queue lets a thread have n effects in its outbox.
func (s *square) queue(i, n int) {
	s.waiting[i].queue = make([]*effect, n)
	s.loop.requeue(s.waiting[i])
}

// eases tells how long an event of each of the Pages is held up.
func (s *square) eases(when string, want time.Duration, pages ...messenger.PageID) {
	s.t.Helper()
	events := make([]messenger.Event, len(pages))
	for i, page := range pages {
		events[i].Thread.Page = page
	}
	slowed := s.Stats().Slowed
	if want > 0 {
		slowed++
	}
	begun := time.Now()
	s.Ease(s.t.Context(), events)
	if got := s.Stats().Slowed; got != slowed {
		s.t.Errorf("%s %d are counted, want %d", when, got, slowed)
	}
	if got := time.Since(begun); got != want {
		s.t.Errorf("%s events of %v are held up for %v, want %v", when, pages, got, want)
	}
}

func TestACrowdHoldsUpWhoBringsMore(t *testing.T) {
	t.Parallel()
	inSquare(t, func(s *square) {
		s.eases("while many wait", longestEase, crowdedPage)
		s.eases("while many wait", longestEase, quietPage, crowdedPage, crowdedPage)
		s.eases("while many wait elsewhere", 0, quietPage, "unknown")

		const soon = 100 * time.Millisecond
		time.AfterFunc(soon, func() {
			for i := range len(s.waiting) / 2 {
				s.queue(i, 0)
			}
			time.AfterFunc(soon, func() { s.queue(len(s.waiting)-1, 0) })
		})
		s.eases("until half of them are left", 2*soon, crowdedPage)
		s.eases("when half of them are left", 0, crowdedPage)
	})
}

func TestWhatIsNoCrowd(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*square){
		"a_little_less": func(s *square) { s.queue(0, 0); s.queue(1, fewOfOne-1) },
		"many_of_few_threads": func(s *square) {
			for i := range s.waiting {
				s.queue(i, 0)
			}
			for i := range 9 {
				s.queue(i, manyWait)
			}
		},
		"words_beyond_the_rate": func(s *square) { s.crowded.lane.bucket.AllowN(time.Now(), 10) },
		"of_a_page_that_pauses": func(s *square) { s.crowded.lane.shut(trouble{state: Limited, wait: time.Minute}) },
		"of_a_partition_that_was_lost": func(s *square) {
			s.loop.disperse()
			if s.crowded.crowd.size != 0 {
				s.t.Errorf("%d are left of it", s.crowded.crowd.size)
			}
		},
		"of_an_engine_that_has_ended": func(s *square) { s.crowded.lane.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inSquare(t, func(s *square) {
				change(s)
				s.eases("then", 0, crowdedPage)
			})
		})
	}
}

// Calls that may all be made at once are no crowd.
func TestACrowdIsMoreThanCanBeCalledAtOnce(t *testing.T) {
	t.Parallel()
	for parallel, want := range map[int]int{1: manyWait, 1024: 2048, 4096: 8192} {
		c := newCrowd(parallel)
		c.join(want - 1)
		if c.left() != nil {
			t.Errorf("with %d at once, %d are a crowd", parallel, want-1)
		}
		c.join(1)
		if c.left() == nil {
			t.Errorf("with %d at once, %d are no crowd", parallel, want)
		}
	}
}

// Whose time is over is held up no longer.
func TestACrowdHoldsUpNobodyForGood(t *testing.T) {
	t.Parallel()
	inSquare(t, func(s *square) {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Millisecond)
		defer cancel()
		begun := time.Now()
		s.Ease(ctx, []messenger.Event{{Thread: messenger.ThreadKey{Page: crowdedPage}}})
		if got := time.Since(begun); got != time.Millisecond {
			s.t.Errorf("held up for %v, want a millisecond", got)
		}
	})
}
