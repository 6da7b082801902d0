package simulator

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Clock is a time that can be put forward, see [Options.Clock]. A running one
// goes on by itself, a still one does not.
type Clock struct {
	base func() time.Time
	runs bool

	mu     sync.Mutex
	ahead  time.Duration // of base
	alarms []*alarm
}

// alarm is something to be run at its time.
type alarm struct {
	due  time.Time
	run  func()
	real *time.Timer // rings by itself, where the clock runs
}

// RunningClock returns a clock that begins now and runs.
func RunningClock() *Clock {
	return &Clock{base: time.Now, runs: true} //nolint:forbidigo // a clock has to begin somewhere
}

// StillClock returns a clock that stands at a time until it is put forward.
func StillClock(at time.Time) *Clock {
	return &Clock{base: func() time.Time { return at }}
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time { return c.base().Add(c.ahead) }

// After runs f once d has passed, and returns what stops it.
func (c *Clock) After(d time.Duration, f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &alarm{due: c.now().Add(d), run: f}
	c.alarms = append(c.alarms, a)
	if c.runs {
		a.real = time.AfterFunc(d, func() {
			if c.drop(a) {
				a.run()
			}
		})
	}
	return func() bool { return c.drop(a) }
}

// drop removes an alarm, and tells whether it was still to come.
func (c *Clock) drop(a *alarm) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.alarms, a)
	if i < 0 {
		return false
	}
	c.alarms = slices.Delete(c.alarms, i, i+1)
	if a.real != nil {
		a.real.Stop()
	}
	return true
}

// step puts the clock forward to the next alarm due by end, and runs it; or to
// end, where there is none, and tells that it has come there.
func (c *Clock) step(end time.Time) (there bool) {
	c.mu.Lock()
	var next *alarm
	for _, a := range c.alarms {
		if !a.due.After(end) && (next == nil || a.due.Before(next.due)) {
			next = a
		}
	}
	to := end
	if next != nil {
		to = next.due
	}
	if d := to.Sub(c.now()); d > 0 {
		c.ahead += d
	}
	c.mu.Unlock()
	if next != nil && c.drop(next) {
		next.run()
	}
	return next == nil
}

// ErrNoClock reports a Page whose time is not its own: see [Options.Clock].
var ErrNoClock = errors.New("the clock is not the simulator's to put forward")

// Forward puts the clock forward by d. What falls due on the way, such as the
// next attempt of a delivery, happens at its own time. It returns once that is
// done, see [Meta.Quiet], or with ctx's error.
func (m *Meta) Forward(ctx context.Context, d time.Duration) error {
	c := m.opt.Clock
	if c == nil {
		return ErrNoClock
	}
	end := c.Now().Add(d)
	for {
		if err := m.Quiet(ctx); err != nil {
			return err
		}
		if c.step(end) {
			break
		}
	}
	m.mu.Lock()
	m.happened()
	m.mu.Unlock()
	return m.Quiet(ctx)
}

// Quiet blocks until no delivery is under way: each has been answered, or waits
// for the clock, for somebody to listen or to be released. It returns ctx's
// error when that ends first.
func (m *Meta) Quiet(ctx context.Context) error {
	return m.Wait(ctx, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return !slices.ContainsFunc(m.apps, func(a *app) bool { return a.queue.busy && !a.queue.pausing })
	})
}
