package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// heapRoom is how large, in bytes, the heap becomes before garbage is collected, at
// least. Go alone lets there be as much garbage as is in use, which of a few MB is next
// to nothing: a tenth of all time went into collecting.
const heapRoom = 40 << 20

// percentFor returns Go's setting (GOGC) with so many bytes in use: what fills heapRoom,
// and half as much as is in use where that is more. So Usher stays below 100 MB at full
// load.
func percentFor(inUse uint64) int {
	used := float64(max(inUse, 1))
	return int(min(1000, max(50, 100*(heapRoom-used)/used)))
}

// collectInTime sets the garbage collector after each of its cycles, until stop. Whoever
// has set GOGC is left alone.
func collectInTime() (stop func()) {
	if os.Getenv("GOGC") != "" { //nolint:forbidigo // it is Go's setting, not ours
		return func() {}
	}
	c := &collecting{before: debug.SetGCPercent(percentFor(0))}
	c.watch()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stopped = true
		debug.SetGCPercent(c.before)
	}
}

type collecting struct {
	before int

	mu      sync.Mutex // a cycle may end while it stops
	stopped bool
}

// watch makes a piece of garbage: its end tells that a cycle has ended.
func (c *collecting) watch() {
	cycle := new(*collecting) // nothing of it may be in one allocation with others
	*cycle = c
	runtime.SetFinalizer(cycle, func(ended **collecting) { (*ended).adjust() })
}

func (c *collecting) adjust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(percentFor(live[0].Value.Uint64()))
	c.watch()
}
