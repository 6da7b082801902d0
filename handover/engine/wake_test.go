package engine_test

import (
	"testing"
	"time"

	"usher/handover/engine"
)

// What one replica stores wakes the partition's owner at once: neither polls
// before the test would have given up.
func TestStoredElsewhereWakesTheOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(func(o *engine.Options) { o.Renew, o.Lease = time.Hour, 4*time.Hour })
	for n, words := range []string{"hello", "hours", "two"} {
		w.accept(text(words)) // through the store alone, as another replica's webhook would
		w.called("answer", "ok", n+1)
	}
}
