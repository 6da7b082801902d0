package engine

import (
	"context"
	"sync"
	"time"
)

// limit hands out the time that a call may take. Calls that begin at about the same
// moment share it, as to make a context with a timer for each costs as much as to
// encode what it says.
type limit struct {
	length time.Duration
	now    func() time.Time

	mu    sync.Mutex
	on    context.Context //nolint:containedctx // it is what ctx was made on
	ctx   context.Context //nolint:containedctx // it is lent
	since time.Time
}

// shares is into how many parts a limit is divided: by so much, at most, is the time of
// a call shorter.
const shares = 64

// begin returns a context that ends when a call's time is over, or with on.
func (l *limit) begin(on context.Context) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.ctx == nil || l.on != on || now.Sub(l.since) >= l.length/shares {
		ctx, cancel := context.WithTimeout(on, l.length)
		context.AfterFunc(ctx, cancel) // others may use it until then
		l.on, l.ctx, l.since = on, ctx, now
	}
	return l.ctx
}
