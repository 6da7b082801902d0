package engine_test

import (
	"testing"
	"time"

	"usher/messenger/simulator"
)

// A call that fails again and again is made as often as Options.Attempts says, and
// then reported: its thread goes on.
func TestCallThatFailsForEverIsGivenUp(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve()
		w.metas[page].FailNext(simulator.EdgeMessages, simulator.Failure{Code: 2, For: 20 * time.Minute})
		w.says(page, person(0), "hours")
		pass(19 * time.Minute)
		if n, ends := w.calls(page, simulator.EdgeMessages), w.outcomes(person(0), "failed, given up"); n != 6 || len(ends) != 1 {
			t.Errorf("%d calls were made and %d given up, want 6 and 1", n, len(ends))
		}
		pass(2 * time.Minute)
		w.says(page, person(0), "two")
		pass(time.Minute)
		w.wantHeard(page, person(0), "one of two", "two of two")
	})
}
