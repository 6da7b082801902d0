package engine

import (
	"testing"
	"testing/synctest"
)

// What has landed already is not waited for, when a partition is loaded anew with
// results at hand.
func TestLandingCountsWhatHasLanded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &partition{inFlight: 2, landed: []result{{}, {known: true}}, results: make(chan result, 1)}
		p.results <- result{}
		p.land(t.Context())
		if p.inFlight != 0 || len(p.results) > 0 {
			t.Errorf("%d calls are in flight, %d results wait; want none", p.inFlight, len(p.results))
		}
	})
}
