package engine

import (
	"context"
	"sync/atomic"
)

// crew makes calls, each on a goroutine, some of which stay for the next one: to grow
// their stacks to what a call needs costs more than to begin a goroutine. How many
// calls there are at once is their lanes' business.
type crew struct {
	next    chan *place // to who rests
	resting atomic.Int32
}

// maxResting bounds the goroutines of a crew that have nothing to do.
const maxResting = 256

func newCrew() *crew { return &crew{next: make(chan *place)} }

// begin lets a call begin. Whoever rests after it does so until ctx ends.
func (c *crew) begin(ctx context.Context, pl *place) {
	select {
	case c.next <- pl:
	default:
		go c.work(ctx, pl)
	}
}

func (c *crew) work(ctx context.Context, pl *place) {
	for {
		pl.begin(pl.trial)
		if c.resting.Add(1) > maxResting {
			c.resting.Add(-1)
			return
		}
		select {
		case pl = <-c.next:
			c.resting.Add(-1)
		case <-ctx.Done():
			c.resting.Add(-1)
			return
		}
	}
}
