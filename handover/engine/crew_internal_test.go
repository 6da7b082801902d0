package engine

import (
	"context"
	"testing"
	"testing/synctest"
)

// Who has made a call rests, up to a bound, until there is another or the end. That
// nobody is left then is checked by synctest.
func TestCrewRestsAndGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		end := make(chan struct{})
		trials := make(chan bool, 1)
		begin := func(n int) {
			for range n {
				c.begin(ctx, &place{begin: func(bool) { <-end }})
			}
			synctest.Wait()
		}
		rest := func(when string, want int32) {
			t.Helper()
			synctest.Wait()
			if got := c.resting.Load(); got != want {
				t.Errorf("%s %d rest, want %d", when, got, want)
			}
		}
		begin(3)
		rest("while three calls are made", 0)
		for range 3 {
			end <- struct{}{}
		}
		rest("after three calls", 3)
		begin(2)
		rest("while two more are made", 1)
		end <- struct{}{}
		end <- struct{}{}
		c.begin(ctx, &place{trial: true, begin: func(trial bool) { trials <- trial }})
		if !<-trials {
			t.Error("a trial does not know that it is one")
		}
		rest("after three more", 3)
		begin(maxResting + 9)
		rest("while many are made", 0)
		close(end)
		rest("after many", maxResting)
	})
}
