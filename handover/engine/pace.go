package engine

import (
	"context"
	"runtime"
	"time"
)

// pace lets so many partitions turn at once that the processors are busy, and no
// more: under load the others gather entries and results meanwhile, and commit
// them together. Where there is little to do nobody waits.
type pace chan struct{}

// turnsEach is how many may turn for each processor: most of a turn it is Redis that
// works, or the system.
const turnsEach = 4

// patience bounds the wait: a partition whose Redis is slow holds nobody up.
const patience = 50 * time.Millisecond

func newPace() pace { return make(pace, turnsEach*runtime.GOMAXPROCS(0)) }

// enter waits for its turn and returns what ends it.
func (p pace) enter(ctx context.Context) (leave func()) {
	select {
	case p <- struct{}{}:
		return p.leave
	default:
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case p <- struct{}{}:
		return p.leave
	case <-late.C:
	case <-ctx.Done():
	}
	return func() {}
}

func (p pace) leave() { <-p }
