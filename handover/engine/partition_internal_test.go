package engine

import (
	"testing"
	"testing/synctest"
)

// What has landed already is not waited for, when a partition is loaded anew with
// results at hand, but all that is under way.
func TestLandingCountsWhatHasLanded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &partition{inFlight: 2, results: newResults()}
		p.results.put(result{last: true}, result{known: true}, result{})
		landed := make(chan struct{})
		go func() { p.land(t.Context()); close(landed) }()
		synctest.Wait()
		if isClosed(landed) {
			t.Error("a call in flight is not waited for")
		}
		p.results.put(result{})
		p.results.put(result{last: true})
		<-landed
		if p.inFlight != 0 || p.results.there() {
			t.Errorf("%d calls are in flight; want none, and no result", p.inFlight)
		}
	})
}
