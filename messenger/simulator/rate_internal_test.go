package simulator

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A window counts what an exact list would, give or take a share of the span, and
// stays small.
func TestWindow(t *testing.T) {
	t.Parallel()
	const span = 100 * time.Second
	rng := rand.New(rand.NewPCG(1, 2))
	w := window{span: span}
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	var events []time.Time
	within := func(d time.Duration) int { // events are in order
		first, _ := slices.BinarySearchFunc(events, now.Add(-d), func(at, from time.Time) int {
			if at.After(from) {
				return 1
			}
			return -1
		})
		return len(events) - first
	}
	for range 10_000 {
		now = now.Add(time.Duration(rng.ExpFloat64() * float64(50*time.Millisecond)))
		w.add(now)
		events = append(events, now)
		if got, least, most := w.count(now), within(span), within(span+span/windowTicks); got < least || got > most {
			t.Fatalf("%d in the window, want %d to %d", got, least, most)
		}
		if len(w.ticks) > windowTicks+2 {
			t.Fatalf("%d ticks, want about %d", len(w.ticks), windowTicks)
		}
	}
	n := w.count(now)
	free := w.until(now, n/2)
	if w.count(free) > n/2 {
		t.Errorf("%d at %v, want no more than %d", w.count(free), free, n/2)
	}
	if got := w.until(now.Add(time.Hour), 0); !got.Equal(now.Add(time.Hour)) {
		t.Errorf("an empty window is free at %v, want at once", got)
	}
	if w.count(now.Add(span)) != 0 {
		t.Errorf("%d after a whole span, want nothing", w.count(now.Add(span)))
	}
}
